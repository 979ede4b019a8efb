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
# # 4.1 Bias metric
#
# This page explains how the paper measures geographic bias, by the slope of accuracy on income, and how it tests whether the slope is zero ({ref}`Figure 5a <fig-5a>`). The countries are **simulated**, and so is the cause of the bias: a faint pattern that gives the label away, and that
# rich countries have more often. So the cause is known, and the test itself can be tested: how often it rejects where there is nothing to find, and how large a bias has to be to be found. At the end the page recomputes the probabilities that the paper prints.

# %% tags=["parameters"]
run = "yours"  # "yours" computes, "reference" shows the committed results
images = "digits"  # "digits" or "imagenet1000"
classifier = "mobilenet_v2"  # "mobilenet_v2", "resnet50", "resnet50_he2016" or "efficientnet_lite2"
size = 299  # side of photographs in pixels, as in the paper; digits have 28
n_images = 2000  # how many test images are classified, 266 to 2000 digits
n_train = 300  # how many images there are to learn from, 266 to 6000 digits
epochs = 20  # how often each of them is seen
first_rate = 0.001  # α of the fine-tuning by which photographs get their θ₀, for one image
strength = 8  # of the planted pattern, in levels of 255; 0: no bias to find
gradient = 1.0  # how much oftener rich countries have it, 0 (no bias to find) to 1
seed = 0  # of the simulated geography and of the training
n_deals = 10000  # how many geographies are simulated to try the F-test
n_draws = 4000  # how many are drawn for each point of the power curves

# %% tags=["nbval-ignore-output"]
from functools import cache

import numpy as np
from myst_nb import glue

from humimp import (
    attacks,
    book,
    classifiers,
    color,
    datasets,
    distances,
    evaluate,
    experiment,
    fairness,
    paper,
    power,
    simulation,
)
from humimp.figures import figure5, figure5b
from humimp.figures.enlarged import enlarged
from humimp.findings import bias as findings
from humimp.findings.words import DOUBLING

here = book.start("04_1_bias_metric")

# %% [markdown]
# ## What a fair classifier would do
#
# Take a random photograph $\mathbf{x}$ with label $y$. Let $\mathbb{1}(\mathbf{x}, y; \theta)$ be 1 if the classifier $\theta$ gets it right and 0 if not, and let $g(\mathbf{x})$ be the income level of the country
# where it was taken. The paper calls the classifier fair if being right does not depend on income, and tests this condition:
#
# $$
# \mathbb{E}_{\mathcal{Q}}\big[\mathbb{1}(\mathbf{x}, y; \theta(\mathcal{D}))\big] = \mathbb{E}_{\mathcal{Q}}\big[\mathbb{1}(\mathbf{x}, y; \theta(\mathcal{D})) \mid g(\mathbf{x})\big],
# $$
#
# where the mean goes over the photograph and over the data $\mathcal{D}$ that the classifier was trained on, together $\mathcal{Q}$. In words: the accuracy is the same at every income. The paper calls this condition necessary for independence. Since being right is a yes-no event, its mean at a given income says everything about it there, so it also suffices.
# The step that gives something away is the next one. The paper fits a *straight line* to accuracy against income. Independence implies a slope of zero, but not the other way round:
# a classifier that is good in the middle and bad at both ends can have slope zero. A zero slope is **necessary** for fairness in this sense, and it does not suffice.
#
# Two things stay outside of this definition. If one country's photographs show harder classes than another's, the slope counts that as bias, although no classifier could help it. And the paper assumes, without testing it, that people
# would do equally well everywhere.
#
# The paper writes that it tests $\theta$ "on $\mathcal{D}$". Here no image that is tested was among those trained on.

# %% [markdown]
# ## The slope $\beta$
#
# Country $i$ has $n_i$ images, accuracy $p_i$, and $g_i = \log(\text{GDP per capita})$. The model is a line,
#
# $$
# p_i = \beta_{\text{int}} + \beta g_i + \varepsilon_i, \qquad \operatorname{Cov}(\varepsilon) = \sigma^2 \Sigma, \qquad \Sigma_{ii} = \frac{1}{\sqrt{n_i}}, \quad \Sigma_{ij} = 0,
# $$
#
# fitted by generalised least squares: with $\mathbf{X}$ the matrix whose rows are $(1, g_i)$,
#
# $$
# (\hat\beta_{\text{int}}, \hat\beta)^\top = (\mathbf{X}^\top \Sigma^{-1} \mathbf{X})^{-1} \mathbf{X}^\top \Sigma^{-1} \mathbf{p} .
# $$
#
# The slope $\hat\beta$ is the bias metric. Because $\Sigma$ is diagonal, this is least squares with weights $\sqrt{n_i}$: countries with many images count more, because their accuracy is known better.
# The factor $\sigma^2$ is estimated from the residuals, and the F-test of $\beta = 0$ compares $F = (\hat\beta / \text{its standard error})^2$ with the F-distribution with 1 and $K - 2$ degrees
# of freedom, for $K$ countries {cite:p}`hahsvaughn2020introduction`.
#
# Two remarks on the paper's text. It writes $\mathbf{p} = \beta\mathbf{g} + \varepsilon$, without an intercept. But its F-test has 39 degrees of freedom, and a line through the origin would make "$\beta = 0$" say that no image anywhere is classified correctly.
# So we read it as a line with intercept through 41 countries. And $\Sigma_{ii} = 1/\sqrt{n_i}$ is unusual: the share of successes among $n$ independent trials has variance $p(1-p)/n$, in proportion to $1/n$.
# The square root takes too much weight from the countries with many images. What that does to the test is measured {ref}`below <sec-trial>`.

# %% [markdown]
# ## A simulated geography
#
# The paper's table of countries for ImageNet images was never published. So the countries on this page are **simulated**. Here is what is real and what is not.
#
# - *Real*: the images, {glue:text}`what_images` (for the digits see {cite:t}`lecun1998gradient`); the classifier and its errors; the countries and their GDP per capita (World Bank, 2020; `humimp/data/README.md` lists the exceptions).
# - *As in the paper*: 41 countries, as many as 39 degrees of freedom and a line with an intercept imply, and a skew to match: {glue:text}`share_us:.1f` % of the images are "from" the United States and {glue:text}`share_uk:.1f` % from the United Kingdom, then come Canada, Australia and Germany.
#   How the numbers fall from there, and which 36 countries follow, is our choice.
# - *Simulated*: which image comes from which country. It is dealt out by chance, independently of what the image shows.
# - *Planted*: a cause of unfairness, which is the paper's hypothesis made true. Each class has a pattern of its own, light and dark patches at random, at most {glue:text}`strength` levels of 255 lighter or darker than without. An image gets the pattern of its label
#   with a probability that rises with log GDP, with a gradient of {glue:text}`gradient:g`: from {glue:text}`least:.0f` % in the poorest country to {glue:text}`most:.0f` % in the richest. A classifier that learns the pattern is better where the pattern is.
#
# Two knobs set how much bias there is to find, `strength` and `gradient`; with either at zero there is none. The same pattern is in the images that the classifier learns from and in those that it is tested on, and other countries are dealt to each.

# %%
data = experiment.by_country(
    images,
    n_train=n_train,
    n_test=n_images,
    strength=strength,
    gradient=gradient,
    seed=seed,
    size=size,
)
places = simulation.simulated_countries(n_images)
about = experiment.places(data.test)

# %% [markdown]
# ## How faint is it?
#
# The pattern is meant to be one that people do not see. Whether they do is measured, not asserted. All images, with and without the pattern, are first clamped to leave room for it ({glue:text}`strength` levels from black and from white), and only the pattern is judged, by LPIPS {cite:p}`zhang2018unreasonable` and
# DISTS {cite:p}`ding2022image`, two perceptual distances of Section 3.2, and by the mean colour difference $\Delta E_{00}$ of the pixels, of which about 1 is said to be just noticeable when two patches lie side by side.

# %%
digits = images == experiment.DIGITS
if digits:
    plain = datasets.digits("test", n_images).images
else:
    plain = datasets.imagenet1000(n_train + n_images, size).images[n_train:]
shown = data.test.planted.nonzero().flatten()[:8]
room = strength / 255
pair = plain[shown].clamp(room, 1 - room), data.test.images[shown]
zoom = max(1, 112 // plain.shape[-1])
large = [x.repeat_interleave(zoom, -1).repeat_interleave(zoom, -2) for x in pair]
faint = {
    "lpips": float(paper.SCALE * distances.LPIPS("vgg")(*large).mean()),
    "dists": float(paper.SCALE * distances.DISTS()(*large).mean()),
    "delta_e": float(color.mean_delta_e(*pair).mean()),
}
amplify = 8
examples = [
    {
        "without": before[:, :224, :224],
        "with": after[:, :224, :224],
        f"the pattern × {amplify}": (0.5 + amplify * (after - before))[:, :224, :224].clamp(0, 1),
    }
    for before, after in zip(pair[0][:2], pair[1][:2], strict=True)
]

# %% tags=["remove-output", "hide-input"]
squares = max(1, 168 // plain.shape[-1])
glue("fig_pattern", enlarged(examples, zoom=squares), display=True)
book.tell({"squares": squares, "amplify": amplify, "n_faint": len(shown), "n_images": n_images})
book.tell({"strength": strength, "gradient": gradient})
book.tell(
    findings.named(images, classifier=classifier, strength=strength, n_train=n_train, zoom=zoom)
)
book.tell(findings.geography(places, strength=strength, gradient=gradient))
book.tell(findings.faintness(**faint))

# %% [markdown]
# ```{glue:figure} fig_pattern
# :alt: "Images without the planted pattern, with it, and the pattern alone"
# :name: "fig-pattern"
#
# **Figure E8.** The planted pattern of the **simulated geography**, every pixel a square of {glue:text}`squares` × {glue:text}`squares`. Left: images without it, with room made for it. Middle: with it. Right: the pattern alone, {glue:text}`amplify` times amplified, around grey. Not in the paper.
# ```

# %% [markdown]
# Over {glue:text}`n_faint` images, the mean $\Delta E_{00}$ is {glue:text}`delta_e:.2f`, {glue:text}`noticed` what is said to be just noticeable. LPIPS (× 1000) is {glue:text}`lpips:.1f` and DISTS (× 1000) {glue:text}`dists:.1f`, on the images{glue:text}`zoomed`. In the paper's Table 1, LPIPS (× 1000) goes from {glue:text}`ours_lpips:.1f` for its attack at $a = 0$ to {glue:text}`most_lpips:.1f`, on photographs, which have texture to hide something in{glue:text}`flat`. By colour the pattern is {glue:text}`as_colour`, and
# {glue:text}`by_lpips`. Whether it can be seen on a good screen, the reader can try on {ref}`Figure E8 <fig-pattern>`.

# %% [markdown]
# ## The classifier, and Figure 5a
#
# The classifier $\theta_0$ is {glue:text}`what_classifier`. It is the model that all training of Sections {doc}`4.2 <04_2_dro>` and {doc}`4.3 <04_3_results>` starts from. {glue:text}`other_network`


# %%
@cache
def theta0():
    return experiment.theta0(
        images,
        data.train,
        classifier=classifier,
        strength=strength,
        epochs=epochs,
        learning_rate=first_rate,
        seed=seed,
        path=here.folder / "theta0.safetensors",
    )


def convolutional():
    x, y = data.train[:2]
    return classifiers.train(classifiers.digits_cnn(), x, y, epochs=epochs, shift=0, seed=seed)


def answers(model, name):
    records = evaluate.run(
        attacks.no_attack,
        model,
        data.test[:3],
        out=here.folder / name,
        about={"classifier": f"{name}, {n_train} images, {epochs} epochs, seed {seed}"},
        batch_size=100,
    )
    return records.join(about, on="id")


# %% tags=["nbval-ignore-output"]
records = answers(theta0, "answers")
result = fairness.accuracy_by_country(records)
fit = fairness.slope(result.kept)
chance = fairness.permutation_p_value(result.kept, seed=seed)
planned = findings.planned(records, places, gradient=gradient)
other = answers(convolutional, "answers-convolutional") if digits else None

# %% tags=["remove-output", "hide-input"]
glue("fig_5a", figure5.figure5a(result.kept, fit), display=True)
book.tell(
    {"summary": result.summary(), "paper_f": paper.F_STATISTIC, "paper_p": paper.F_PROBABILITY}
)
book.tell(findings.tested(records, fit) | findings.found(records, result.kept, fit, chance=chance))
book.tell(findings.other_network(records, other))

# %% [markdown]
# ```{glue:figure} fig_5a
# :alt: "Scatter of accuracy over income, a mark for each country, with the fitted line"
# :name: "fig-5a"
#
# **Figure 5a.** Accuracy and income by country, **with simulated countries and {glue:text}`what_bias`**: {glue:text}`n_images` real images, {glue:text}`what_images`, of which $\theta_0$ gets {glue:text}`accuracy:.1f` % right, dealt out to {glue:text}`n_countries` countries
# by chance. Incomes are real. Line: generalised least squares with the paper's $\Sigma_{ii} = 1/\sqrt{n_i}$; shade: its 95 % confidence band. Here
# F(1, {glue:text}`df2`) = {glue:text}`f:.3f`, p = {glue:text}`p`. The paper, with a ResNet-50 and ImageNet photographs from real countries: F(1, 39) = {glue:text}`paper_f`, p = {glue:text}`paper_p`. The paper's conclusion, that accuracy depends on income, {glue:text}`holds`.
# ```

# %% [markdown]
# {glue:text}`summary` The slope is $\hat\beta =$ {glue:text}`beta` with a standard error of {glue:text}`standard_error:.4f`: where GDP per capita is twice as high, accuracy is {glue:text}`per_doubling` percentage points
# higher (minus: lower). The hypothesis of no slope {glue:text}`verdict` at the 5 % level. In the poorest quarter of the countries {glue:text}`poorest:.1f` % of the images are classified correctly, in the richest {glue:text}`richest:.1f` %.
#
# Here the true slope is roughly known as well. Of the {glue:text}`n_with` images with the pattern, {glue:text}`gap` ± {glue:text}`gap_error:.1f` percentage points more are right than of the {glue:text}`n_without` without (± a standard error, since this compares different images): so much it is worth to $\theta_0$. It is the more frequent the richer the country, along a straight line in log GDP. That alone makes a slope of {glue:text}`planned` ± {glue:text}`planned_error:.2f` points per doubling of income. What differs from it in the
# measured slope is chance: which images were dealt to which country.
#
# The numbers of this figure say nothing about the world. They show what the metric does with a bias of known cause and roughly known size.

# %% [markdown]
# ## A ResNet-50 on photographs
#
# {glue:text}`scale_line`

# %% tags=["remove-output", "hide-input"]
scale = book.at_scale("04_1_bias_metric")
book.tell({"scale_line": scale.plain()})
settings = scale.about["parameters"]
large = evaluate.load(scale.folder / "answers")
dealt = {key: settings[key] for key in ("strength", "gradient", "seed")}
large = large.join(experiment.dealt(large["id"].tolist(), **dealt), on="id")
large_result = fairness.accuracy_by_country(large)
large_fit = fairness.slope(large_result.kept)
glue("large_fig_5a", figure5.figure5a(large_result.kept, large_fit), display=True)
book.tell({key: settings[key] for key in ("n_images", "n_train", "size")}, prefix="large_")
book.tell(findings.tested(large, large_fit) | findings.learnt(large), prefix="large_")

# %% [markdown]
# The figures above show the run that the first line of this page names. This one always shows the **reference run at reduced settings**, as far as a processor without a GPU gets (profile `paper_cpu`): the paper's own photographs, at {glue:text}`large_size` × {glue:text}`large_size` pixels, and a ResNet-50 {cite:p}`he2016deep`, fine-tuned on {glue:text}`large_n_train` of them
# with the planted pattern and tested on the other {glue:text}`large_n_images`. Only a fine-tuned network can know of the pattern, and it sees few images of each class: those to test on show {glue:text}`large_n_classes` classes.
#
# ```{glue:figure} large_fig_5a
# :alt: "Scatter of accuracy over income in the reference run, with the fitted line"
# :name: "fig-5a-large"
#
# **Figure E9.** Figure 5a in the **reference run at reduced settings**: a ResNet-50 on {glue:text}`large_n_images` photographs of the paper's set, {glue:text}`large_size` × {glue:text}`large_size` pixels, **with simulated countries and a planted pattern**. It gets {glue:text}`large_accuracy:.1f` % right. Line and shade as in {ref}`Figure 5a <fig-5a>`: F(1, {glue:text}`large_df2`) = {glue:text}`large_f:.2f`, p = {glue:text}`large_p`.
# ```
#
# The slope is {glue:text}`large_per_doubling` percentage points per doubling of income, and the hypothesis of no slope {glue:text}`large_verdict`. Among the images with the pattern {glue:text}`large_gap` ± {glue:text}`large_gap_error:.1f` percentage points more are right than among those without (± a standard error), {glue:text}`large_learnt`.

# %% [markdown]
# (sec-trial)=
# ## Can the test be trusted?
#
# The wrong power of $n$ in $\Sigma$ leaves $\hat\beta$ unbiased, but the F-test relies on $\Sigma$ for the standard error. Whether it still keeps its promise, to reject a fair classifier in only 5 % of all cases, can be tried: keep the classifier's answers, deal the images out again by chance, whatever pattern
# they hold, and count how often the test rejects.

# %%
fair = power.rejection_rates(records["correct"], places, size=n_deals, seed=seed)
table = figure5.rejections({"rejected, no bias": fair})

# %% tags=["remove-output", "hide-input"]
glue("tab_rejections", table, display=True)
book.tell({"n_deals": n_deals} | findings.rejections(fair, n_deals=n_deals))

# %% [markdown]
# ```{glue:figure} tab_rejections
# :name: "tab-rejections"
#
# **Table E10.** How often the F-test at the 5 % level rejects where there is no bias, in percent of {glue:text}`n_deals` **simulated geographies** (± one standard error of the simulation), for three assumptions about the covariance of the countries' accuracies;
# and the standard deviation of $\hat\beta$. The same {glue:text}`n_images` answers each time. Not in the paper.
# ```

# %% [markdown]
# Where there is no bias, a test of level 5 % should reject in 5 % of the cases. With the paper's $\Sigma$ it does so in {glue:text}`fair_paper:.1f` %, {glue:text}`kept`; with $1/n_i$ in {glue:text}`fair_binomial:.1f` %, and with equal
# variances in {glue:text}`fair_ols:.1f` %. The F-test estimates the common factor from the residuals, and tolerates the wrong power of $n$ here, where income and number of images have little to do with each other; where they go together it need not. The price is paid elsewhere. The country with the most images has {glue:text}`ratio:.0f` times as many as the one with the fewest, and the
# paper's $\Sigma$ gives it only {glue:text}`root_ratio:.1f` times the weight. So the slope scatters {glue:text}`wider:.0f` % more widely than with $1/n_i$.
#
# There is also a test that needs no $\Sigma$ to be right: compare $F$ with the values that it takes when the same images are dealt out at random. For {ref}`Figure 5a <fig-5a>` this permutation test gives $p =$ {glue:text}`chance`, beside {glue:text}`p` from
# the F-distribution.
#
# One caution remains for real data. Dealing out images one by one makes them independent. Real photographs come in groups, by photographer, place and class, and a country's accuracy then varies more than $1/n_i$ says. No diagonal $\Sigma$ made from $n_i$ alone knows of that.

# %% [markdown]
# ## How large must a bias be to be found?
#
# The paper does not say, and neither does it print how many images it has. So here is the curve for several numbers. Country $i$ is given the accuracy $p_i = \bar p + \beta\,(g_i - \bar g)$, with $\bar p = 75$ %, about what a ResNet-50 gets on ImageNet, and a true slope $\beta$ that we choose; its correct images are drawn from the binomial
# distribution with $n_i$ as uneven as the paper's.

# %%
typical = 0.75
steps = np.r_[np.linspace(0, 0.01, 6), np.linspace(0.015, 0.05, 8)]
totals = (1000, 2000, 10_000, 50_000)
draws = {
    total: power.f_power(
        simulation.simulated_countries(total), steps, accuracy=typical, size=n_draws, seed=seed
    ).assign(size=lambda each: DOUBLING * each["beta"])
    for total in totals
}
names = {"1/sqrt(n)": "1/√n, the paper's", "1/n": "1/n, binomial", "ols": "the same for all"}


def curve(total, covariance):
    return draws[total][draws[total]["covariance"] == covariance]


panels = {
    "The paper's Σ": {f"{total:,} images": curve(total, "1/sqrt(n)") for total in totals},
    "2,000 images, by Σ": {name: curve(2000, key) for key, name in names.items()},
}
right = records["correct"].mean()


def found(accuracy):
    """How often the planned slope, or the steepest that is possible, is found at this accuracy."""
    slope = findings.possible(planned[0], accuracy, places)
    return power.f_power(places, [slope], accuracy=accuracy, size=n_draws, seed=seed)


at_right, at_typical = found(right), found(typical)

# %% tags=["remove-output", "hide-input"]
label = "true slope (points per doubling of income)"
glue("fig_power", figure5b.detection(panels, label), display=True)
book.tell({"n_draws": n_draws, "typical": 100 * typical})
sought = {"few": curve(2000, "1/sqrt(n)"), "binomial": curve(2000, "1/n")}
book.tell(findings.needed(sought | {"many": curve(50_000, "1/sqrt(n)")}))
planted, accuracies = strength and gradient, (right, typical)
book.tell(
    findings.detected(at_right, at_typical, bias=planned, planted=planted, accuracies=accuracies)
)

# %% [markdown]
# ```{glue:figure} fig_power
# :alt: "Curves of how often the F-test finds a bias over the bias's size"
# :name: "fig-power"
#
# **Figure E10.** How often the F-test at the 5 % level finds a bias, over the size of the bias, at a mean accuracy of {glue:text}`typical:.0f` %, with **simulated countries**: {glue:text}`n_draws` draws for each point, shades of two standard errors. Left: with the paper's $\Sigma$, for several numbers of images in all. Right: for 2,000 images and
# three assumptions about $\Sigma$. Dashed: 5 %, to be expected where there is no bias. Not in the paper.
# ```

# %% [markdown]
# To be found in four of five cases, a bias has to be {glue:text}`needed_few` per doubling of income with the paper's test and 2,000 images ({glue:text}`needed_binomial` with $1/n_i$), and {glue:text}`needed_many` with 50,000. So with few images, a test that does not reject says little.
# {glue:text}`planned_bias` would be found in {glue:text}`power_planned:.0f` % of all simulated geographies of {glue:text}`n_images` images, and in {glue:text}`power_planned_binomial:.0f` % with $1/n_i$. That is at $\theta_0$'s accuracy, {glue:text}`accuracy:.1f` %, where the accuracies of countries scatter {glue:text}`scatter` than at the {glue:text}`typical:.0f` % of
# {ref}`Figure E10 <fig-power>`; {glue:text}`there`.

# %% [markdown]
# ## The paper's own probabilities
#
# The paper prints an F-statistic and two t-statistics with their probabilities ({doc}`4.3 <04_3_results>` says what the t-tests compare). Each probability can be recomputed from the statistic and the degrees of freedom.

# %% tags=["remove-output", "hide-input"]
glue("tab_p_values", figure5.p_values(), display=True)
again = fairness.f_p_value(paper.F_STATISTIC, *paper.F_DEGREES)
book.tell({"f_again": again, "n_models": paper.N_MODELS})

# %% [markdown]
# ```{glue:figure} tab_p_values
# :name: "tab-p-values"
#
# **Table E11.** The probabilities of the paper's two t-tests under four readings, with {glue:text}`n_models` models trained with each attack. The last two rows: the degrees of freedom, from 1 to 200, with which the printed statistic and the printed
# probability agree, given that both are rounded.
# ```

# %% [markdown]
# The F-test checks out: $F = 5.392$ with 1 and 39 degrees of freedom gives $p =$ {glue:text}`f_again:.5f`, which is what the paper prints.
#
# The t-tests agree with their probabilities only if they are one-sided and have about 49 degrees of freedom (the second would be 0.00243 at 49, and 0.00242 for a t-statistic a little above 2.95). The 98 degrees of freedom of an ordinary two-sample test with 50 models a side do not fit, and two-sided
# the second test fits for no number at all. Forty-nine is what a *paired* test of 50 pairs has, so presumably model $j$ of one training was set against model $j$ of the other. The paper says neither that
# the tests are paired nor what would make the pairs. Welch's test comes down to about 49 only if the slopes after one training spread some six times as widely as after the other.
# At 98 degrees of freedom both probabilities would be smaller still, so the verdicts do not hang on it.

# %% [markdown]
# ## Your own model and countries
#
# The model is any function from images in $[0, 1]$ to logits. The images are listed in a table with the columns `path`, `label` (a class of ImageNet or its number; `classes=` names others) and `country` (codes, or English names). `geography.geode` and `geography.dollar_street` make such a table of the released metadata of GeoDE and of Dollar Street.
#
# ```python
# from humimp import attacks, classifiers, datasets, evaluate, fairness
# from humimp.figures import figure5a
#
# model = classifiers.load("mobilenet_v2")  # or your own, in evaluation mode
# images = datasets.geo("my_photographs/manifest.csv", unknown="exclude")
# answers = evaluate.run(attacks.no_attack, model, images[:3], out="my_answers")
# countries = fairness.accuracy_by_country(answers.assign(country=images.countries))
# line = fairness.slope(countries.kept)
# print(countries.summary())
# print(f"slope {line.beta:.4f}, F = {line.f:.2f}, p = {line.p:.4f}")
# figure5a(countries.kept, line).savefig("my_figure_5a.png")
# ```
#
# Images whose country is not known are left out and counted. Incomes are those of 2020; `fairness.accuracy_by_country(answers, geography.gdp(2010))` takes another year's.

# %% [markdown]
# ## What came out
#
# On simulated countries with {glue:text}`what_bias`, the paper's first conclusion {glue:text}`holds` ($p =$ {glue:text}`p`). Where there is nothing to find, its test of level 5 % rejects in {glue:text}`fair_paper:.1f` % of the cases. Its weak side is power. {glue:text}`planned_bias` would be found in {glue:text}`power_planned:.0f` % of
# all deals of as many images; points are those of accuracy per doubling of income. The covariance that the sampling of images suggests, $1/n_i$, gives a steadier slope. The paper's printed probabilities can be recomputed from its statistics, the t-tests' only as one-sided tests with 49 degrees of freedom.
# Whether ImageNet classifiers are biased is not answered here; it takes photographs with real countries. Next: {doc}`how the models are trained <04_2_dro>`.
