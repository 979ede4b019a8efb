"""What page 3.2.3 says of attacks on several networks."""

import numpy as np
import pandas as pd
import pytest

from humimp.findings import networks as findings

NETWORKS = ("mobilenet_v2", "efficientnet_lite2", "resnet50")
# Of each attack: L2, LPIPS and DISTS, how many images it fools, and how many mislead the others.
ATTACKS = {
    "mobilenet_v2": {  # all that is claimed holds
        "PGD (L2)": (7.0, 0.02, 0.03, 3, (0, 0)),
        "Ours (a = 0)": (6.0, 0.01, 0.02, 3, (1, 2)),
        "Ours (a = 5)": (9.0, 0.05, 0.06, 3, (2, 3)),
        "8-bit aware": (1.0, 0.001, 0.005, 3, (0, 0)),
    },
    "efficientnet_lite2": {
        "PGD (L2)": (7.0, 0.003, 0.009, 4, (2, 2)),
        "Ours (a = 0)": (8.0, 0.02, 0.008, 3, (2, 2)),
        "Ours (a = 5)": (9.0, 0.05, 0.06, 4, (1, 2)),
        "8-bit aware": (1.0, 0.004, 0.001, 4, (1, 3)),
    },
    "resnet50": {
        "NPTM (LPA)": (1.0, 0.001, 0.001, 0, (0, 0)),
        "Ours (a = 0)": (1.0, 0.02, 0.02, 2, (0, 0)),
        "Ours (a = 5)": (1.0, 0.03, 0.01, 2, (0, 1)),
    },
}
N = {"mobilenet_v2": 3, "efficientnet_lite2": 4, "resnet50": 2}  # classified correctly, of 4
ASKED = {
    "later": ["8-bit aware"],
    "confidences": [5.0, 0.5],
    "size": 64,
    "cost": "HaarPSI",
    "perc_al_steps": 7,
    "ddn_steps": 8,
    "alma_steps": 9,
}
KNOWN = ("DDN", "ALMA (LPIPS)", "8-bit aware")


def records(network):
    """Four images for each attack on a network, those that it classifies correctly first."""
    image = np.arange(4)
    correct = image < N[network]
    parts = []
    for attack, (l2, lpips, dists, fooled, misled) in ATTACKS[network].items():
        others = [name for name in NETWORKS if name != network]
        changed = dict(zip(others, misled, strict=True)) | {network: fooled}
        part = pd.DataFrame(
            {
                "id": image, "label": 1, "attack": attack, "clean": 1, "correct": correct,
                "predicted": 2, "success": image < fooled, "margin": 1.0,
                "l2": l2, "lpips": lpips, "dists": dists, "forwards": 1.0, "backwards": 1.0,
            }
            | {f"changes_{name}": np.where(correct, image < changed[name], np.nan)
               for name in NETWORKS}
        )  # fmt: skip
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def found():
    return findings.verdicts({name: records(name) for name in NETWORKS}, confidences=[5.0, 0.0])


def test_each_network_is_asked_what_holds(found):
    assert list(found.index) == list(NETWORKS)
    wanted = {
        "images": [4, 4, 4],
        "n": [3, 4, 2],
        "always": [True, False, True],
        "claim": [True, False, False],
        "least_lpips": ["8-bit aware", "PGD (L2)", "Ours (a = 0)"],
        "least_dists": ["8-bit aware", "8-bit aware", "Ours (a = 5)"],
        "most": ["Ours (a = 5)", "PGD (L2), Ours (a = 0), 8-bit aware", "Ours (a = 5)"],
    }
    assert found[list(wanted)].to_dict("list") == wanted
    numbers = {
        "ratio_l2": [1 / 6, 1 / 8, np.nan],
        "ratio_lpips": [0.1, 0.2, np.nan],
        "ratio_dists": [0.25, 0.125, np.nan],
        "weak": [50, 50, 0],
        "strong": [250 / 3, 37.5, 25],
        "aware": [0, 50, np.nan],
        "most_share": [250 / 3, 50, 25],
    }
    for column, values in numbers.items():
        np.testing.assert_allclose(found[column], values, rtol=1e-12, err_msg=column)


def test_a_network_that_is_right_about_no_image_is_named():
    given = {name: records(name) for name in NETWORKS}
    given["resnet50"] = given["resnet50"].assign(correct=False, success=False)
    with pytest.raises(ValueError, match="resnet50: none of the 4 photographs is classified corr"):
        findings.verdicts(given, confidences=[5.0, 0.0])


def test_claims_are_counted_and_the_nearest_attack_told(found):
    assert findings.claims(found) == {
        "always": "2 of 3",
        "sure": 22,  # 100 · √0.05 = 22.4
        "claim": "1 of 3",
        "nearest": "8-bit aware is below all other rows, in LPIPS and in DISTS, on 1 of 3 "
        "networks. Its largest shares of ours are 0.1667 in L₂, 0.2000 in LPIPS and 0.2500 in "
        "DISTS",
    }
    assert findings.claims(found[2:])["nearest"] == "8-bit aware was not run, or fools none"


@pytest.mark.parametrize("column", ["least_lpips", "least_dists"])
def test_8_bit_aware_is_below_all_only_if_in_both(found, column):
    assert "on 1 of 1 networks" in findings.claims(found[:1])["nearest"]
    other = found[:1].assign(**{column: "DDN"})
    assert "on 0 of 1 networks" in findings.claims(other)["nearest"]


def test_equals_share_the_claim():
    table = records("mobilenet_v2").replace({"PGD (L2)": "Ours (a = 1)"})
    same = table["attack"] == "Ours (a = 1)"
    table.loc[same, ["lpips", "dists"]] = [0.01, 0.02]
    given = {"mobilenet_v2": table, "efficientnet_lite2": records("efficientnet_lite2")}
    found = findings.verdicts(given, confidences=[0.0, 1.0, 5.0])
    assert found["claim"].tolist() == [True, False]


def test_ours_at_any_confidence_is_of_the_paper_s_rows():
    given = {
        name: records(name).replace({"Ours (a = 0)": "Ours (a = 0.5)"}) for name in NETWORKS[:2]
    }
    found = findings.verdicts(given, confidences=[0.5, 5.0])
    assert found["claim"].tolist() == [True, False]


def test_transfer_is_told_network_by_network(found):
    assert findings.transferred(found) == {
        "weak": pytest.approx(100 / 3),
        "strong": pytest.approx((250 / 3 + 37.5 + 25) / 3),
        "grows": "2 of 3",
        "aware": "25 %",
        "most": "of MobileNetV2, Ours (a = 5) (83 %); of EfficientNet-Lite2, "
        "PGD (L2), Ours (a = 0), 8-bit aware (50 %); of ResNet-50, Ours (a = 5) (25 %)",
    }
    assert findings.transferred(found[2:])["aware"] == "not run"
    still = found.assign(strong=found["weak"])
    assert findings.transferred(still)["grows"] == "0 of 3"


def test_what_was_run(found):
    assert findings.settings(found, ASKED, known=KNOWN) == {
        "n_networks": "three networks",
        "names": "MobileNetV2, EfficientNet-Lite2 and ResNet-50",
        "own_sizes": "MobileNetV2 224, EfficientNet-Lite2 260, ResNet-50 224",
        "n_images": 4,
        "n_correct": "3 with MobileNetV2, 4 with EfficientNet-Lite2, 2 with ResNet-50",
        "grain": 25.0,
        "size": 64,
        "cost": "1 − HaarPSI",
        "stand_in": "a stand-in for the paper's PieAPP",
        "own_steps": "PerC_AL 7 (its authors: 1000)",
        "later": "8-bit aware",
        "left_out": "DDN, ALMA (LPIPS)",
        "a_least": "0.5",
        "a_most": "5",
    }


@pytest.mark.parametrize(
    ("later", "own", "told", "left"),
    [
        ([], "", "none", "DDN, ALMA (LPIPS), 8-bit aware"),
        (["DDN"], ", DDN 8 (100 to 1000)", "DDN", "ALMA (LPIPS), 8-bit aware"),
        (["ALMA (LPIPS)"], ", ALMA 9 (100 or 1000)", "ALMA (LPIPS)", "DDN, 8-bit aware"),
        (KNOWN, ", DDN 8 (100 to 1000), ALMA 9 (100 or 1000)", ", ".join(KNOWN), "none"),
    ],
)
def test_later_attacks_are_named_with_their_steps(found, later, own, told, left):
    facts = findings.settings(found, ASKED | {"later": later}, known=KNOWN)
    assert facts["own_steps"] == f"PerC_AL 7 (its authors: 1000){own}"
    assert (facts["later"], facts["left_out"]) == (told, left)


@pytest.mark.parametrize(("n", "words"), [(2, "two networks"), (4, "four networks")])
def test_networks_are_counted_in_words(found, n, words):
    many = pd.concat([found, found.rename(index={"resnet50": "resnet50_he2016"})[2:]])[:n]
    assert findings.settings(many, ASKED, known=KNOWN)["n_networks"] == words


def made(attack, correct, **changes):
    """Make records of one attack; nothing is measured where nothing was attacked."""
    frame = pd.DataFrame({"attack": attack, "correct": correct})
    for network, values in changes.items():
        frame[f"changes_{network}"] = np.where(correct, values, np.nan)
    return frame


ASKED_OF_TWO = {
    "one": pd.concat(
        [
            made("PGD (L2)", [True, True, False, True, True], one=[1] * 5, two=[0, 1, 1, 0, 0]),
            made("DDN", [True, True, False, True, True], one=[1, 0, 0, 1, 1], two=[0] * 5),
        ]
    ),
    "two": pd.concat(
        [
            made("PGD (L2)", [True, True], one=[1, 0], two=[1, 1]),
            made("mine", [False, False], one=[1, 1], two=[1, 1]),
        ]
    ),
}  # fmt: skip


WANTED = {
    ("one", "PGD (L2)"): [100, 25],
    ("one", "DDN"): [75, 0],
    ("two", "PGD (L2)"): [50, 100],
    ("two", "mine"): [np.nan, np.nan],
}


def test_shares_are_of_the_images_that_were_attacked():
    rates = findings.transfer_rates(ASKED_OF_TWO)
    assert list(rates) == ["one", "two"]
    assert rates.index.names == ["source", "attack"]
    assert list(rates.index) == list(WANTED)
    np.testing.assert_array_equal(rates.to_numpy(), np.array(list(WANTED.values())))
