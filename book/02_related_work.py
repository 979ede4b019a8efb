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
# # 2 Related work
#
# This page says where the paper stands: earlier attacks, what people see of them, how picture quality is measured, robust optimisation, and fairness.
# The last section names work that a reader of today will ask about. It computes nothing.

# %% [markdown]
# ## Adversarial attacks
#
# That tiny, well-chosen perturbations change a network's answer was reported by {cite:t}`szegedy2014intriguing`. {cite:t}`goodfellow2015explaining` found the
# one-step gradient attack (FGSM) and with it a cheap way to train on attacks. From there the methods differ mainly in three choices.
#
# - **Which distance.** $L_\infty$ or $L_2$ balls with repeated, projected gradient steps {cite:p}`kurakin2018adversarial,madry2018towards`, with momentum {cite:p}`dong2018boosting`;
#   few changed pixels {cite:p}`su2019one,zhu2021sparse`; the mass that must be moved between pixels, a Wasserstein distance {cite:p}`wong2019wasserstein`; the contours of
#   objects only {cite:p}`na2021adversarial`; colour difference as people perceive it, in the attack PerC {cite:p}`zhao2020towards`; and LPIPS, a learned distance, in the attacks PPGD and LPA that the paper
#   calls NPTM, after the neural perceptual threat model {cite:p}`laidlaw2021perceptual`.
# - **What is changed.** Not the pixel values but their places {cite:p}`xiao2018spatially`, the colours through one function of colour {cite:p}`laidlaw2019functional`, the chroma by small shifts {cite:p}`aydin2021imperceptible`,
#   or the scene before it is rendered {cite:p}`zeng2019adversarial`.
# - **What is known of the classifier.** All attacks in this book see its gradients. Black-box attacks use answers only {cite:p}`ilyas2018black,guo2019simple`.
#
# There are two ways to pose the problem. Either fix a budget and raise the loss inside it, as PGD does, or look for the smallest perturbation that changes the answer: DeepFool {cite:p}`moosavidezfooli2016deepfool`, and
# {cite:t}`carlini2017towards`, who also introduced the *confidence* margin that Algorithm 1 borrows. The paper takes a third: fix the price of distance and let the budget follow
# ({doc}`page 3 <03_method>`). {cite:t}`akhtar2021advances` review the field up to 2021.

# %% [markdown]
# ## What people see of attacks
#
# The line between machine-only and human changes is not sharp. Shown an adversarial image and asked which label a machine gave it, people guess better than chance
# {cite:p}`zhou2019humans`. Attacks built on several networks at once also mislead people who see the picture for a fraction of a second {cite:p}`elsayed2018adversarial`.
# Large $L_2$ attacks on robust models can change what a person would say, too {cite:p}`madry2018towards`, and some attacks do so on purpose, searching among natural-looking images {cite:p}`zhao2018generating`.
# Networks and brains share part of their representations, not all {cite:p}`xu2021limits`, although the first were partly inspired by the second {cite:p}`voulodimos2018deep`.
# For this book it means that "imperceptible" is a matter of degree, to be measured, and that each measure below is a stand-in for people.

# %% [markdown]
# ## Measuring what people see
#
# A *full-reference* image quality measure takes the original and a changed version, and returns how different they look. {ref}`The table <tab-iqa>` lists those
# that the paper names, and HaarPSI, which this edition adds.
#
# :::{table} Full-reference measures of image quality, what each compares, and where this book uses it. "Fitted": human judgements set its weights. "Judge": it measures finished attacks. "Committee": it is among the eight measures that PieAPP-small, our stand-in for PieAPP, learned from; the others of them are in the {doc}`appendix <a1_pieapp_small>`.
# :name: tab-iqa
#
# | Measure | What it compares, in one sentence | Fitted | In this book |
# | --- | --- | --- | --- |
# | PSNR {cite:p}`hore2010image` | The mean squared difference of pixels, on a logarithmic scale. | no | – |
# | SSIM {cite:p}`wang2004image` | In every small window: the mean, the contrast, and the correlation of the two images. | no | cost, {doc}`3.1 <03_1_ssim>` |
# | MS-SSIM {cite:p}`wang2003multiscale` | The same, on the image halved several times, with a weight for each scale. | scale weights | committee |
# | FSIM {cite:p}`zhang2011fsim` | Two local features, phase congruency and gradient strength, with more weight where phase congruency is high. | two constants | committee |
# | HaarPSI {cite:p}`reisenhofer2018haar` | Responses of small Haar wavelets, with more weight where coarser wavelets respond. | two constants | committee, {doc}`appendix <a1_pieapp_small>` |
# | LPIPS {cite:p}`zhang2018unreasonable` | Features of a classification network, normalised, with one fitted weight per channel. | yes | judge, {doc}`3.2 <03_2_pieapp>`; committee |
# | DISTS {cite:p}`ding2022image` | Means (texture) and correlations (structure) of such features, so that one patch of grass may replace another. | yes | judge, {doc}`3.2 <03_2_pieapp>`; committee |
# | PIM {cite:p}`bhardwaj2020unsupervised` | A representation learned, without labels, from what neighbouring video frames have in common. | no | – |
# | PieAPP {cite:p}`prashnani2018pieapp` | Patches, by a network whose scores for two distortions predict which one people prefer. | yes | the paper's cost; a small one, {doc}`3.2 <03_2_pieapp>` |
# :::
#
# Two remarks carry over to the experiments. First, LPIPS and DISTS look through networks trained to classify ImageNet photographs, the very task under attack;
# PieAPP was trained from nothing on preferences. Second, an attack that minimises a measure must be judged by others: its own would flatter it. That is why the paper reports LPIPS and DISTS, and not PieAPP.

# %% [markdown]
# ## Distributionally robust optimisation
#
# Distributionally robust optimisation (DRO) asks for the decision that does best against the worst distribution near the data {cite:p}`rahimian2019distributionally`.
# When "near" is a Wasserstein distance, the worst case over infinitely many distributions reduces to a problem in one extra variable, a price.
# {cite:t}`blanchet2019quantifying` prove this duality in the generality needed here, for ground costs that need not be metrics; {cite:t}`gao2016distributionally` and {cite:t}`esfahani2018data` give related results,
# {cite:t}`kuhn2019wasserstein` a tutorial, and {cite:t}`blanchet2022optimal` algorithms. How large the neighbourhood should be is a statistical question of its own {cite:p}`blanchet2021sample`.
# {cite:t}`sinha2018certifiable` brought the idea to adversarial training: with the price fixed, the worst distribution is found by attacking each training image.
# {cite:t}`volpi2018generalizing` add such images to the training set so that a model does better on unseen domains. Algorithm 2 of the paper is of this kind.

# %% [markdown]
# ## Fairness
#
# {cite:t}`buolamwini2018gender` found commercial face classifiers to err most on darker-skinned women. {cite:t}`shankar2017no` found that in two large image collections about half of the images
# whose origin is known come from the United States and Great Britain, and {cite:t}`devries2019does` that recognition services do worse on household objects from poorer homes. Remedies rebalance the data {cite:p}`yang2020towards`
# or adapt a model from one collection to another {cite:p}`gong2012overcoming`. Language models learn people's stereotypes from text in the same way {cite:p}`bolukbasi2016man,caliskan2017semantics`. A warning goes with the paper's hypothesis: removing spurious features can
# lower accuracy, and lower it more for some groups than for others {cite:p}`khani2021removing`. {cite:t}`mehrabi2021survey` survey definitions and methods.

# %% [markdown]
# ## What a reader of today will ask
#
# - **"Is the attack strong?"** Robustness inside an $L_p$ ball is now usually reported with AutoAttack, an ensemble without parameters to tune {cite:p}`croce2020reliable`. It answers another question than the one here: whether *any* attack within a fixed radius works, not how little a working attack shows.
# - **"Are there better minimum-distance attacks?"** Yes, for $L_p$: DDN {cite:p}`rony2019decoupling` and FMN {cite:p}`pintor2021fast` are fast; ALMA {cite:p}`rony2021augmented` treats {ref}`Eq. (1) <eq-1>` by an augmented Lagrangian, which adapts the price during the attack, for a wide set of distances. None of these three is in the paper's table, which leaves DDN to the papers on PerC and NPTM; {ref}`Table 1 <tab-1>` on page 3.2 sets DDN and ALMA beside its rows.
# - **"Can LPIPS be trusted as a judge?"** Only with others beside it. Every measure that {cite:t}`ghildyal2023attacking` tested, learned or not, can be made to reverse its judgement by changes that people do not see. A small LPIPS or DISTS is evidence that an attack is hard to see, not proof; the proof would be people.
# - **"Are there public images with countries?"** There are now. Dollar Street gives household objects with country and income {cite:p}`gaviriarojas2022dollar`, GeoDE gives photographs collected on purpose from six world regions {cite:p}`ramaswamy2023geode`.
#   {cite:t}`gustafson2023pinpointing` label *why* images from poorer homes are missed, and name texture, occlusion and dark lighting.
#   {cite:t}`richards2023does` report that progress on ImageNet has not narrowed the gap between regions.
#
# ## What came out
#
# The paper's own step is to use a measure *trained on human preferences* as the price inside a robust-training problem, and then to ask what such training does to fairness. The parts existed; the combination is what the following pages examine.
# Next: {doc}`the method <03_method>`.
