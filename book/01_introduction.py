# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1 Introduction
#
# This page states the question of {cite:t}`hua2021human`, the idea of their attack in one line, and the claims
# that the other pages check. It draws one diagram and computes nothing from data.

# %% [markdown]
# ## The cheapest change that changes the answer
#
# A classifier $f$ gives an image $\mathbf{x}$ a label. An *adversarial attack* looks for a perturbation $\Delta$ after
# which the label is another one, although the picture still shows the same thing {cite:p}`szegedy2014intriguing,goodfellow2015explaining`.
# {cite:t}`moosavidezfooli2016deepfool` write the best attack as the one that costs least:
#
# (eq-1)=
# $$
# \min_{\Delta}\; c(\mathbf{x}, \mathbf{x} + \Delta) \quad \text{subject to} \quad f(\mathbf{x} + \Delta) \neq f(\mathbf{x}).
# \tag{1}
# $$
#
# The constraint is about the machine. The cost $c$ is about us: it says which changes we would let pass. Two attacks with
# different costs answer different questions, so everything below turns on the choice of $c$.

# %% [markdown]
# ## Why a small $L_p$ distance is not a small difference to the eye
#
# Most attacks measure the perturbation pixel by pixel: $L_1 = \sum_i |\Delta_i|$, $L_2 = (\sum_i \Delta_i^2)^{1/2}$ or
# $L_\infty = \max_i |\Delta_i|$ {cite:p}`goodfellow2015explaining,madry2018towards,tramer2018ensemble`.
# These are easy to compute and easy to differentiate. They also miss three things that the eye does not miss.
#
# 1. **Where the change is.** Noise in grass or gravel disappears among the texture; the same noise in a clear sky is seen at once.
#    An $L_p$ distance gives both the same number, because it looks at no pixel's neighbours.
# 2. **What kind of change it is.** Make every pixel a little brighter, or spend the same $L_2$ on blur or on blocks: the three pictures look
#    quite different, and the $L_2$ distance cannot tell them apart {cite:p}`wang2004image`.
# 3. **What it leaves alone.** Shift a photograph by one pixel. Nobody notices, and the $L_p$ distance is large.
#
# So closeness in $L_p$ is neither needed for two images to look alike nor enough to make them look alike; {cite:t}`sharif2018suitability`
# show the second half with people as judges.
#
# The remedy is to take for $c$ a distance that was built or trained to agree with people. The paper uses two:
# one minus the structural similarity index, $1 - \mathrm{SSIM}$ {cite:p}`wang2004image`, for grey digits ({doc}`page 3.1 <03_1_ssim>`),
# and PieAPP {cite:p}`prashnani2018pieapp`, a neural network trained on which of two distorted images people prefer, for photographs
# ({doc}`page 3.2 <03_2_pieapp>`).

# %% [markdown]
# ## The idea in one line
#
# Equation {ref}`(1) <eq-1>` has a hard constraint and a cost that is itself a deep network. Instead of treating them one after the other, the paper puts
# a price on perceptual distance and climbs the difference:
#
# $$
# \text{attack on } (\mathbf{x}_0, y): \qquad
# \max_{\mathbf{x}}\; \underbrace{\ell(\theta; \mathbf{x}, y)}_{\text{the classifier's loss}}
# \;-\; \lambda\, \underbrace{c_0(\mathbf{x}_0, \mathbf{x})}_{\text{what a person would notice}} .
# $$
#
# Here $\theta$ are the classifier's parameters and $\lambda \ge 0$ is the price. A gradient step then serves both goals at once: it raises the loss,
# and it holds back where the eye would object. {doc}`Page 3 <03_method>` shows that this is more than a convenient penalty: it is the inner problem of
# distributionally robust training, and the price $\lambda$ has a meaning there.

# %% [markdown]
# ## From imperceptible attacks to fairness
#
# An attack that nobody sees, and that works, proves that the classifier reacts to features that people do not use.
# The paper asks whether such features are also what makes classifiers worse on photographs from poorer countries
# {cite:p}`shankar2017no,devries2019does`. Its reasoning has three steps:
#
# 1. The classifier relies on features that people cannot see.
# 2. Training data come mostly from a few rich countries, so a classifier that is free to use any feature picks up some that hold there and not elsewhere.
#    People, it is assumed, recognise things about equally well wherever the picture was taken.
# 3. Training on imperceptible attacks makes the unseen features useless to the classifier. What remains is closer to what people use, and should be fairer.
#
# {ref}`Figure 1a <fig-1a>` draws the third step. What can be measured is its end, whether accuracy depends less on income after training (pages
# {doc}`4.1 <04_1_bias_metric>` to {doc}`4.3 <04_3_results>`), and, where the unseen feature is planted on purpose as there, how much a model still gains from it. The rest is a hypothesis. In particular, nothing says in advance that
# unseen features and unfair features are the same ones.

# %% tags=["remove-output"]
from myst_nb import glue

from humimp import figures

glue("fig_1a", figures.figure1(), display=True)

# %% [markdown]
# ```{glue:figure} fig_1a
# :alt: "Two overlapping circles, what people notice and what changes the classifier's answer, before and after training"
# :name: "fig-1a"
#
# **Figure 1a.** What training on imperceptible attacks is meant to do. Each mark is a change made to a photograph. Inside the solid circle are the changes that
# people notice, inside the dashed circle those that change the classifier's answer. Attacks of this paper are the changes in the dashed circle alone.
# Training on them (right) teaches the classifier to ignore them, and the two circles come to overlap more (arrow). A drawing of the hypothesis,
# after Figure 1a of the paper; it shows no data.
# ```

# %% [markdown]
# Figure 1b of the paper is missing here. It shows two photographs of the ImageNet class "grocery store, grocery, food market, market", one from Pakistan, which the
# classifier gets wrong, and one from the United States, which it gets right. They come from a table of countries for ImageNet images that the authors collected and never published,
# and the photographs are not ours to print. {doc}`Page 4.1 <04_1_bias_metric>` says what stands in for that table.

# %% [markdown]
# ## The claims to be checked
#
# 1. With $c_0 = 1 - \mathrm{SSIM}$ and one step, the attack keeps a digit's shape where a gradient step of the same $L_2$ length bends it towards another digit.
#    The paper's Figure 2; {doc}`page 3.1 <03_1_ssim>`.
# 2. With PieAPP as the cost and confidence $a = 0$, the attack always succeeds, and of all compared attacks it has the smallest LPIPS and DISTS distances,
#    although its $L_p$ distances are larger than those of PGD. The paper's Table 1 and Figure 3; {doc}`page 3.2 <03_2_pieapp>`.
# 3. With confidence $a = 5$ it survives JPEG compression and bit-depth reduction better than all other attacks, while being less visible than PPGD, the most visible of them.
#    The paper's Figure 4; {doc}`page 3.2 <03_2_pieapp>`.
# 4. A classifier trained on ImageNet is more often right on images from richer countries, and the slope differs significantly from zero. The paper's Figure 5a and its F-test; {doc}`page 4.1 <04_1_bias_metric>`.
# 5. Building the adversarial data set once and training on samples from it gives many models at a bearable cost. The paper's Algorithms 2 and 3; {doc}`page 4.2 <04_2_dro>`.
# 6. Training on these attacks lowers that slope more than training on PGD or on PerC attacks. The paper's Figure 5b and its t-tests; {doc}`page 4.3 <04_3_results>`.
#
# ## What came out
#
# A question (which changes move a classifier but not a person?), a tool (loss minus priced perceptual distance), a hypothesis that links the tool to fairness, and
# six claims. {doc}`Page 2 <02_related_work>` says what was known before, and what has come since. {doc}`Page 5 <05_conclusion>` collects what this edition has found.
