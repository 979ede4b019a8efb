"""The numbers that the paper prints in its Sections 3 and 4, and where it prints them.

Nothing here is computed. :data:`PLACES` says for every constant where in the paper it stands.
"""

# ------------------------------------------------------------- Section 3: the attack

#: Algorithm 1's settings: number of iterations N, step size epsilon, weight lambda of the ground
#: cost, and the values of the confidence a.
STEPS = 100
STEP_SIZE = 0.1
LAM = 1.0
CONFIDENCES = (0, 1, 5)

#: Side of the square RGB images that are attacked, in pixels.
IMAGE_SIZE = 299

#: Number of images in the subset of ImageNet on which the attacks are compared.
N_IMAGES = 1000

#: Number of other attack methods that ours is compared with.
N_RIVALS = 4

#: Side, in pixels, of the smallest image that PieAPP takes.
PIEAPP_SIZE = 64

#: Figure 2: how many digits it shows, and the labels that the network gives PGD's of them. Which
#: digits of MNIST they are, the paper does not say.
N_DIGITS = 3
DIGIT_LABELS = (2, 4, 9)

#: Figure 3: how many photographs it shows.
N_EXAMPLES = 2

#: By how much Table 1 multiplies LPIPS and DISTS.
SCALE = 1000

#: Number of iterations of PGD (L2).
PGD_STEPS = 100

#: Table 1, row by row. ``success_rate`` is in percent of the correctly classified images; the
#: distances are between original and attacked image with values in [0, 1]; ``lpips`` and
#: ``dists`` are scaled by 1000.
TABLE1: dict[str, dict[str, float]] = {
    name: dict(
        zip(("success_rate", "l1", "l2", "linf", "lpips", "dists"), row, strict=True),
    )
    for name, row in {
        "PerC_AL": (100.0, 633.12, 2.22, 0.085, 33.96, 33.82),
        "PGD (L2)": (100.0, 592.74, 1.56, 0.005, 7.82, 8.77),
        "NPTM (PPGD)": (95.75, 2544.21, 6.60, 0.115, 81.57, 51.08),
        "NPTM (LPA)": (99.78, 2157.77, 5.31, 0.049, 51.64, 35.92),
        "Ours (a = 0)": (100.0, 783.86, 1.91, 0.006, 7.30, 8.17),
        "Ours (a = 1)": (100.0, 1965.10, 4.45, 0.014, 22.24, 21.47),
        "Ours (a = 5)": (100.0, 3925.55, 8.53, 0.029, 44.89, 40.05),
    }.items()
}

#: How many decimals Table 1 prints in each column; success rates of 100 are printed without.
TABLE1_DECIMALS: dict[str, int] = {
    "success_rate": 2,
    "l1": 2,
    "l2": 2,
    "linf": 3,
    "lpips": 2,
    "dists": 2,
}

#: The entries that Table 1 prints in bold, as the smallest of their columns.
TABLE1_BOLD: dict[str, str] = {
    "l1": "PGD (L2)",
    "l2": "PGD (L2)",
    "linf": "PGD (L2)",
    "lpips": "Ours (a = 0)",
    "dists": "Ours (a = 0)",
}

# --------------------------------------------------- Section 4: geographical fairness

#: Shares, in percent, of the two countries that most images of the geo-location data set are from.
SHARE_US = 43.2
SHARE_UK = 12.8

#: The five countries that the most images come from, in order.
TOP_COUNTRIES = ("US", "UK", "Canada", "Australia", "Germany")

#: Level of the statistical tests.
SIGNIFICANCE = 0.05

#: F-test of "the slope of accuracy on log GDP per capita is zero" for the pretrained model: the
#: statistic, its two degrees of freedom, and the probability of a larger one.
F_STATISTIC = 5.392
F_DEGREES = (1, 39)
F_PROBABILITY = 0.02554

#: Number of countries. The paper does not print it: it follows from the F-test's 39 degrees of
#: freedom, because a line with an intercept uses up two.
N_COUNTRIES = F_DEGREES[1] + 2

#: Number of models trained with each attack, whose slopes the t-tests compare.
N_MODELS = 50

#: The t-tests of "the slopes after training with our attack are smaller": statistic, probability.
T_PGD = 3.85
P_PGD = 0.00017
T_PERC = 2.95
P_PERC = 0.00242

#: Number of steps of Algorithms 2 and 3, and the hours that they took on one NVIDIA V100: Algorithm
#: 2 once, Algorithm 3 fifty times.
T1 = 3
T2 = 3
HOURS_ALGORITHM2 = 9
HOURS_ALGORITHM3 = 25

#: Where in the paper each constant stands.
PLACES: dict[str, str] = {
    "STEPS": "Section 3.2, first paragraph (N)",
    "STEP_SIZE": "Section 3.2, first paragraph (epsilon)",
    "LAM": "Section 3.2, first paragraph (lambda)",
    "CONFIDENCES": "Section 3.2, first paragraph (a)",
    "IMAGE_SIZE": "Section 3.2, first paragraph",
    "N_IMAGES": "Section 3.2, third paragraph",
    "N_RIVALS": "Section 3.2, third paragraph",
    "PIEAPP_SIZE": "Section 3, paragraph after Equation (4)",
    "N_DIGITS": "Figure 2, caption",
    "DIGIT_LABELS": "Figure 2, caption",
    "N_EXAMPLES": "Section 3.2, fourth paragraph",
    "SCALE": "Table 1, caption",
    "PGD_STEPS": "Section 3.2, second paragraph",
    "TABLE1": "Table 1",
    "TABLE1_DECIMALS": "Table 1",
    "TABLE1_BOLD": "Table 1",
    "SHARE_US": "Section 4, first paragraph",
    "SHARE_UK": "Section 4, first paragraph",
    "TOP_COUNTRIES": "Section 4, first paragraph",
    "SIGNIFICANCE": "Section 4.1, last paragraph",
    "F_STATISTIC": "Section 4.3, first paragraph",
    "F_DEGREES": "Section 4.3, first paragraph",
    "F_PROBABILITY": "Section 4.3, first paragraph",
    "N_COUNTRIES": "Section 4.3, first paragraph (inferred from the degrees of freedom)",
    "N_MODELS": "Section 4.2, first paragraph, and Section 4.3, first paragraph",
    "T_PGD": "Section 4.3, second paragraph",
    "P_PGD": "Section 4.3, second paragraph",
    "T_PERC": "Section 4.3, second paragraph",
    "P_PERC": "Section 4.3, second paragraph",
    "T1": "Section 4.3, second paragraph",
    "T2": "Section 4.3, second paragraph",
    "HOURS_ALGORITHM2": "Section 4.3, second paragraph",
    "HOURS_ALGORITHM3": "Section 4.3, second paragraph",
}
