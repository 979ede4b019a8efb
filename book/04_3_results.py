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
# # 4.3 Results
#
# This page states the two hypotheses that the paper tests, its numbers, and what they do and do not show. This page computes nothing.
#
# :::{admonition} Not yet computed
# :class: warning
# Figure 5b, the slopes of fifty models for each of three attacks, needs the training of Section 4.2, which is not part of this edition yet. Figure 5a and the F-test are on {doc}`page 4.1 <04_1_bias_metric>`, with simulated countries.
# :::

# %% [markdown]
# ## Is the pretrained model biased?
#
# For the pretrained ResNet-50, $\theta_0$, with slope $\beta_0$, the hypotheses are
#
# $$
# H_0: \beta_0 = 0 \qquad \text{against} \qquad H_1: \beta_0 \neq 0 .
# $$
#
# If $H_0$ holds and the model of {doc}`4.1 <04_1_bias_metric>` is right, $F = (\hat\beta_0 / \operatorname{se}(\hat\beta_0))^2$ follows the F-distribution with 1 and 39 degrees of freedom {cite:p}`hahsvaughn2020introduction`. A large $F$ speaks against $H_0$. The paper finds $F = 5.392$ and
# $\mathbb{P}(f > F) = 0.02554$, below its level of 0.05, and concludes that accuracy depends on income. The numbers agree with each other ({ref}`page 4.1 <tab-p-values>` recomputes them), and the test keeps its level in our trials ({ref}`Table E3 <tab-rejections>`).
#
# What the test cannot say is *why*. Countries differ in what is photographed and how, and 56 % of the images come from two countries. A slope can come from harder classes in poorer countries as well as from a classifier that knows rich countries better.

# %% [markdown]
# ## Does training on imperceptible attacks lower the slope?
#
# Algorithm 3 gives fifty models for each kind of attack, hence fifty slopes: $\beta_1^{m}, \dots, \beta_{50}^{m}$ with $m$ one of ours, PGD {cite:p}`madry2018towards` or PerC {cite:p}`zhao2020towards`. For each competitor $m$,
#
# $$
# H_0: \mathbb{E}\,\beta^{\,m} \le \mathbb{E}\,\beta^{\text{ours}} \qquad \text{against} \qquad H_1: \mathbb{E}\,\beta^{\,m} > \mathbb{E}\,\beta^{\text{ours}} .
# $$
#
# The paper uses t-tests. Two kinds come into question. If model $j$ of one training belongs to model $j$ of the other, for instance by a common random seed, the differences $d_j = \beta_j^{m} - \beta_j^{\text{ours}}$ are tested,
#
# $$
# t = \frac{\bar d}{s_d / \sqrt{50}}, \qquad 49 \text{ degrees of freedom};
# $$
#
# and if all models were trained independently,
#
# $$
# t = \frac{\bar\beta^{\,m} - \bar\beta^{\text{ours}}}{\sqrt{s_m^2/50 + s_{\text{ours}}^2/50}}, \qquad 98 \text{ degrees of freedom, or Welch's number, between 49 and 98}.
# $$
#
# :::{table} The paper's t-tests. The last column is what page 4.1 finds by recomputing the probabilities.
# :name: tab-t-tests
#
# | Ours against | t | Probability | Fits |
# | --- | --- | --- | --- |
# | PGD | 3.85 | 0.00017 | one-sided, 49 degrees of freedom |
# | PerC | 2.95 | 0.00242 | one-sided, 49 degrees of freedom |
# :::
#
# So the tests were one-sided, and either paired or a test with equally few degrees of freedom ({ref}`Table E4 <tab-p-values>`). Both probabilities stay below 0.05 after Holm's correction for two tests: the smaller is doubled to 0.00034 and the larger stays as it is.
# In the paper's Figure 5b, each box shows the fifty slopes of one method and a dashed line marks $\beta_0$; the paper reads from it that its attack lowers the bias most.

# %% [markdown]
# ## What would make the result convincing
#
# The tests compare slopes. Before "smaller slope" can be read as "fairer", these questions want an answer, and the paper's tables do not give it.
#
# - **Is the accuracy still there?** A model that gets worse everywhere also gets a smaller slope: if all accuracies shrink by a factor, so does $\beta$. A coin has slope zero. The slope has to be shown beside the accuracy, best by quarter of the income range: a gain at the lower end is fairness, a loss at the upper end is not.
# - **Is it the attack?** Models that are fine-tuned on clean images for as long, with the same weights, are the control that is missing. The pretrained $\theta_0$ alone is not: it has not been trained further.
# - **Which side of zero?** A one-sided test on $\beta$ rewards a slope that falls below zero. That would be bias in the other direction; the magnitude $|\beta|$ is what should be small.
# - **How large is the effect?** With fifty models a side, small differences become significant. A difference in $\beta$ with its confidence interval, in percentage points of accuracy per doubling of income, says more than a probability.
# - **What varies?** The fifty models share one adversarial data set and one test set. The tests hold for repeated training on *that* data set. They do not say what another sample of photographs, or another run of Algorithm 2, would give; the authors name this limit themselves.
#
# ## What came out
#
# The paper's argument rests on three tests. Their printed probabilities can be recomputed. The first, that a bias exists, is a sound use of the metric with the caution about causes above. The other two compare fifty slopes a side; their kind had to be inferred, and without
# accuracies and a control they leave open what was lowered. {doc}`Page 5 <05_conclusion>` collects what this edition has found.
