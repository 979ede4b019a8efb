import json
import shutil
import warnings

import numpy as np
import pandas as pd
import pytest

from humimp import experiment, fairness, replicates
from humimp.scoreboard import section3
from humimp.scoreboard.evidence import Company, Evidence, Geography, Source, reference
from humimp.scoreboard.verdicts import FEWEST

from .conftest import (
    LAPTOPS,
    PAPERS,
    options,
    write_models,
    write_page,
    write_run,
    write_table1,
)


def test_the_paper_s_settings_come_first_then_the_most_images(root):
    page = "03_2_pieapp"
    write_table1(root / "results" / "laptop" / page, LAPTOPS, n=50)
    assert Evidence(reference(root)).row("PGD (L2)").whose == "laptop, MobileNetV2, n = 50"
    write_table1(root / "results" / "paper_cpu" / page, PAPERS, n=16)
    assert Evidence(reference(root)).row("PGD (L2)").whose == "paper's settings, n = 16"
    other = root / "results" / "paper_cpu" / "a2_readings" / "pgd"
    write_run(other, "PGD (L2)", {"l1": np.ones(30)}, PAPERS)
    found = Evidence(reference(root))
    assert found.row("PGD (L2)").whose == "paper's settings, n = 30"
    assert found.row("PGD (L2)", "lpips").whose == "paper's settings, n = 16"  # has the column
    assert found.row("Ours (a = 0)").whose == "paper's settings, n = 16"
    assert found.row("DDN") is None


def test_a_page_without_a_defence_does_not_hide_one_that_has_it(root):
    write_table1(root / "results" / "laptop" / "03_2_pieapp", LAPTOPS, n=50)
    names = ["Ours (a = 0)", "Ours (a = 5)"]
    for k, name in enumerate(names):
        folder = root / "results" / "paper_cpu" / "a2_readings" / str(k)
        write_run(folder, name, {"l1": np.ones(30)}, PAPERS)
    found = Evidence(reference(root))
    assert found.company(names).n == 30
    assert found.company(names, defenses=["jpeg", "bits"]).n == 50
    assert found.company(names, defenses=["jpeg", "blur"]) is None


def test_a_run_of_too_few_images_gives_way_to_one_of_enough(root):
    page = "03_2_pieapp"
    write_table1(root / "results" / "laptop" / page, LAPTOPS, n=50)
    write_table1(root / "results" / "paper_cpu" / page, PAPERS, n=FEWEST - 1)
    found = Evidence(reference(root))
    assert found.row("PGD (L2)").whose == "laptop, MobileNetV2, n = 50"
    assert found.company(["PGD (L2)", "Ours (a = 0)"]).n == 50
    shutil.rmtree(root / "results" / "laptop")
    write_table1(root / "results" / "laptop" / page, LAPTOPS, n=FEWEST - 2)
    found = Evidence(reference(root))
    assert found.row("PGD (L2)").whose == f"paper's settings, n = {FEWEST - 1}"
    assert found.company(["PGD (L2)", "Ours (a = 0)"]).n == FEWEST - 1


@pytest.mark.parametrize(
    ("about", "more"),
    [
        ({"classifier": "mobilenet_v2"}, {}),
        ({"images": "photographs"}, {}),
        ({"size": 224}, {}),
        ({}, {"steps": 4}),
        ({}, {"step_size": 1.0}),
        ({}, {"lam": 2.0}),
        ({}, {"validate": "none"}),
        ({}, {"confidence": 1.0}),
    ],
)
def test_a_run_that_asks_something_else_is_not_the_paper_s(root, about, more):
    page = root / "results" / "other" / "03_2_pieapp"
    name = "Ours (a = 0)"
    write_run(page / "a", name, {"l1": np.ones(12)}, PAPERS | about, options(name, **more))
    row = Evidence(reference(root)).row(name)
    assert not row.as_in_the_paper
    assert row.sampled == 0
    assert row.whose.startswith("other, ")


@pytest.mark.parametrize(
    ("name", "chosen", "said"),
    [
        ("Ours (a = 0)", {}, "PieAPP-small for PieAPP"),
        ("Ours (a = 0)", {"cost": {"humimp.costs.PieAPP": {"weights": "x"}}}, ""),
        ("Ours (a = 0)", {"cost": {"humimp.costs.SSIM": {}}}, "1 − SSIM for PieAPP"),
        ("PerC_AL", {"steps": 40}, "PerC_AL with 40 of its authors' 1000 steps"),
        ("PerC_AL", {}, ""),
        ("PGD (L2)", {}, ""),
    ],
)
def test_stand_ins_are_named(root, name, chosen, said):
    page = root / "results" / "laptop" / "03_2_pieapp"
    write_run(page / "a", name, {"l1": np.ones(12)}, LAPTOPS, options(name, **chosen))
    assert Evidence(reference(root)).row(name).stand_in == said


def test_the_error_of_a_sample_shrinks_as_it_becomes_the_whole(root):
    for n in (250, 1000):
        page = root / "results" / f"run{n}" / "03_2_pieapp"
        write_table1(page, PAPERS, n=n, names=["PGD (L2)"])
    rows = {row.images: row for row in Evidence(reference(root)).rows}
    assert rows[1000].errors["l1"] == 0
    alone = 0.1 * rows[250].summary["l1"] / np.sqrt(250)
    assert rows[250].errors["l1"] == pytest.approx(alone * np.sqrt(0.75), rel=0.1)


def test_an_incomplete_run_is_left_out(root):
    folder = root / "results" / "laptop" / "03_2_pieapp" / "a"
    write_run(folder, "PGD (L2)", {"l1": np.ones(12)}, LAPTOPS)
    file = folder / "provenance.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"state": "running"}))
    assert Evidence(reference(root)).rows == []


def test_a_damaged_run_is_an_error(root):
    folder = root / "results" / "laptop" / "03_2_pieapp" / "a"
    write_run(folder, "PGD (L2)", {"l1": np.ones(12)}, LAPTOPS)
    with (folder / "records.parquet").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ValueError, match="damaged"):
        _ = Evidence(reference(root)).rows


def company(root, **distances):
    """Two attacks with these LPIPS; the second fails on its last image."""
    page = root / "results" / "laptop" / "03_2_pieapp"
    for name, lpips in distances.items():
        success = np.ones(len(lpips), bool)
        success[-1] = name == "first"
        stands = {"under_jpeg_9": np.r_[2, np.ones(len(lpips) - 1)].astype(int)}
        stands |= {"under_jpeg_5": np.ones(len(lpips), int)}
        write_run(page / name, name, {"lpips": np.array(lpips)} | stands, LAPTOPS, {}, success)
    return Evidence(reference(root)).company(list(distances), ["lpips"])


def test_distances_are_compared_image_by_image_where_both_succeed(root):
    both = company(root, first=[*[0.001, 0.003] * 5, 9.0], second=[*[0.002, 0.006] * 5, 5.0])
    found = both.less("first", "second", "lpips")
    assert found.value == pytest.approx(2)  # thousandths: 1 and 3
    assert found.error == pytest.approx(np.std([1, 3] * 5, ddof=1) / np.sqrt(10))
    assert [both.distance(name, "lpips") for name in ("first", "second")] == pytest.approx([2, 4])
    assert both.n == 11


def test_few_images_that_both_fool_are_not_compared(root):
    both = company(root, first=[*[0.001] * 9, 9.0], second=[*[0.002] * 9, 5.0])
    assert both.n == 10
    assert np.isnan(both.less("first", "second", "lpips").value)


def test_survival_counts_levels_of_each_image(root):
    both = company(root, first=[1.0, 1.0, 1.0], second=[1.0, 1.0, 1.0])
    assert both.survival("first", "jpeg").tolist() == [50, 0, 0]
    assert both.stronger("first", "second", "jpeg") == (0, 0)


def test_attacks_are_compared_on_one_page_only(root):
    write_run(root / "results" / "laptop" / "03_2_pieapp" / "a", "A", {"l1": np.ones(12)}, LAPTOPS)
    write_run(root / "results" / "laptop" / "a2_readings" / "b", "B", {"l1": np.ones(12)}, LAPTOPS)
    found = Evidence(reference(root))
    assert found.company(["A"]) is not None
    assert found.company(["A", "B"]) is None


def test_images_that_only_one_was_run_on_are_left_out(root):
    page = root / "results" / "laptop" / "03_2_pieapp"
    write_run(page / "a", "A", {"l1": np.arange(15.0)}, LAPTOPS)
    write_run(page / "b", "B", {"l1": 1 + np.arange(11.0)}, LAPTOPS)
    rows = {row.name: row for row in Evidence(reference(root)).rows}
    both = Company(rows)
    assert both.n == 11
    assert both.less("A", "B", "l1") == (1, 0)
    assert [both.distance(name, "l1") for name in "AB"] == [5, 6]


def test_with_and_without_the_price_are_rows_of_one_run(root):
    rows = {"lam-0": (0.0, 3.0), "lam-1": (1.0, 2.0)}
    for name, (lam, cost) in rows.items():
        page = root / "results" / "paper_cpu" / "03_2_1_rounding"
        costs = {"cost": cost + np.arange(12.0)}
        write_run(page / name, name, costs, LAPTOPS, {"lam": lam})
    half = root / "results" / "paper" / "03_2_1_rounding" / "lam-1"
    write_run(half, "lam-1", {"cost": 50 + np.arange(12.0)}, LAPTOPS, {"lam": 1.0})
    found = section3._price(Evidence(reference(root)))
    assert found.ours == "1000 c₀: 7500.00 with, 8500.00 without"


# ------------------------------------------------------------------------------- Section 4's models


@pytest.fixture
def models(root):
    """Four models for each of two trainings, and the model before them, on 300 digits."""
    data = experiment.by_country("digits", n_train=300, n_test=300, seed=3).test
    drawn = np.random.default_rng(0)
    right = {
        name: drawn.random((4, 300)) < chance for name, chance in (("PGD", 0.8), ("Ours", 0.7))
    }
    page = root / "results" / "laptop" / "04_3_results"
    write_models(page, right, data.ids, seed=3)
    answers = root / "results" / "laptop" / "04_1_bias_metric" / "answers"
    before = pd.DataFrame({"id": data.ids, "correct": drawn.random(300) < 0.9})
    right, none = before["correct"], np.zeros(300, bool)
    write_run(answers, "no_attack", {"l1": np.ones(300)}, {}, {}, none, data.ids, right)
    return page, data, before


def test_countries_and_pattern_are_those_of_the_experiment(root, models):
    _, data, before = models
    (found,) = Evidence(reference(root)).geographies
    assert found.country.tolist() == data.countries
    assert found.planted.tolist() == data.planted.tolist()
    assert set(found.right) == {"PGD", "Ours", "theta0"}
    assert found.right["theta0"][0].tolist() == before["correct"].tolist()


def test_slopes_and_quarters_are_those_of_the_page(root, models):
    page, data, before = models
    (found,) = Evidence(reference(root)).geographies
    country = dict(zip(data.ids, data.countries, strict=True))
    for name in ("PGD", "Ours"):
        records = replicates.load(page / f"models-{name.lower()}")
        wanted = fairness.by_model(records.assign(country=records["id"].map(country)))
        np.testing.assert_allclose(found.betas(name), wanted["beta"], atol=1e-12)
        np.testing.assert_allclose(found.gap(name), wanted["quarter_4"] - wanted["quarter_1"])
        assert found.poorest(name) == pytest.approx(100 * wanted["quarter_1"].mean())
        planted = data.planted.numpy()
        share = [
            own["correct"].to_numpy()[planted].mean() - own["correct"].to_numpy()[~planted].mean()
            for _, own in records.groupby("replicate")
        ]
        np.testing.assert_allclose(found.worth(name), share)
    with_country = before.assign(country=before["id"].map(country))
    start = fairness.slope(fairness.accuracy_by_country(with_country).kept).beta
    assert found.betas("theta0") == pytest.approx([start])
    assert found.seconds["Ours"] == (7.0, 0.25)


def test_models_that_diverged_are_no_news_here(root, models, monkeypatch):
    load = replicates.load

    def warn(path):
        warnings.warn("1 of 4 replicates diverged", RuntimeWarning, stacklevel=2)
        return load(path)

    monkeypatch.setattr(replicates, "load", warn)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(Evidence(reference(root)).geographies) == 1


@pytest.mark.parametrize(
    ("images", "classifier", "cost", "wanted"),
    [
        (
            "digits",
            "x",
            "SSIM",
            "digits and a small network, simulated countries, 1 − SSIM for Pie",
        ),
        ("imagenet1000", "resnet50", "PieAPP", "simulated countries"),
        (
            "imagenet1000",
            "mobilenet_v2",
            "PieAPP",
            "MobileNetV2 for ResNet-50, simulated countries",
        ),
    ],
)
def test_what_stands_in_is_said_of_the_network_too(root, images, classifier, cost, wanted):
    parameters = {"images": images, "classifier": classifier, "cost": cost}
    source, none = Source("laptop", "04_3_results", root), np.zeros(0)
    found = Geography(source, parameters, {}, {}, pd.DataFrame(), none, none)
    assert found.stand_in.startswith(wanted)


def test_another_model_s_answers_are_not_taken_for_those_before_training(root, models):
    page, *_ = models
    for name in ("ours", "pgd"):
        file = page / f"models-{name}" / "provenance.json"
        file.write_text(file.read_text().replace("start", "another"))
    (found,) = Evidence(reference(root)).geographies
    assert "theta0" not in found.right


@pytest.mark.parametrize(("few", "chosen"), [(9, "laptop"), (10, "reduced settings")])
def test_a_run_of_too_few_models_stands_behind_one_of_enough(root, few, chosen):
    for profile, n_models in (("paper_cpu", few), ("laptop", 50)):
        write_page(root / "results" / profile / "04_3_results", n_models=n_models)
    source, parameters = Evidence(reference(root)).parameters("04_3_results")
    assert source.run == chosen
    assert parameters["n_models"] == (50 if chosen == "laptop" else few)
