"""Algorithms 2 and 3 as they are listed, one image and one model at a time, and as humimp has them.

On digits with a simulated geography. Algorithm 3 is timed as its listing (a plain loop with
torch.optim.SGD and batches of one), in batches with one model after the other, and in batches with
all models at once; Algorithm 2 as its listing for PGD (L2), and in batches for each attack. The
ways of humimp are compared with each other: predictions on the test images, and slopes β. What
training does to accuracy and to robustness is measured too, for each reading of the weights.
Prints tables and writes a JSON record.
"""

import argparse
import copy
import json
import math
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from machine import machine
from torch import Tensor, nn

from humimp import attacks, classifiers, costs, datasets, dro, fairness, geography, runs

ROOT = Path(__file__).resolve().parents[1]
ATTACKS: dict[str, Callable[..., Tensor]] = {
    "pgd_l2": partial(attacks.pgd_l2, steps=10),
    "perc_al": partial(attacks.perc_al, steps=20),
    "imperceptible": partial(attacks.imperceptible, cost=costs.SSIM(), steps=20, step_size=1.0),
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--images", type=int, default=500, help="N, digits to train on (default 500)")
    add("--rounds", type=int, default=3, help="T1 (default 3)")
    add("--passes", type=int, default=3, help="T2 (default 3)")
    add("--replicates", type=int, default=50, help="models at once (default 50)")
    add("--alone", type=int, default=10, help="models one after the other (default 10)")
    add("--batch", type=int, default=20, help="images per step (default 20)")
    add("--learning-rate", type=float, default=2e-4, help="for one image (default 2e-4)")
    add("--strength", type=int, default=8, help="of the planted pattern, in levels (default 8)")
    add("--threads", type=int, default=0, help="CPU threads (default: PyTorch's choice)")
    add("--out", type=Path, default=ROOT / "results" / "benchmarks" / "dro.json")
    options = parser.parse_args()
    options.device = "cpu"
    return options


def clock(task: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """Do something; give the seconds on the wall and of the processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    made = task()
    return made, {"seconds": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def listing_3(model: nn.Module, robust: dro.RobustDataset, alpha: float, passes: int) -> nn.Module:
    """Algorithm 3 as listed, but for the weights' scale: the steps' mean is α."""
    model = copy.deepcopy(model).requires_grad_(True)
    scaled = robust.weights / (robust.weights.square().sum() / robust.weights.sum())
    optimizer = torch.optim.SGD(model.parameters(), lr=alpha)
    for j in torch.multinomial(robust.weights, passes * len(robust.weights), True).tolist():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(robust.images[j : j + 1]), robust.labels[j : j + 1])
        (scaled[j].float() * loss).backward()
        optimizer.step()
    return model.eval().requires_grad_(False)


def health(model: nn.Module, test: geography.GeoDataset) -> dict[str, float]:
    """Measure accuracy in percent, and the mean L2 that PGD needs to fool the model."""
    images, labels = test.images[:200], test.labels[:200]
    moved = (attacks.pgd_l2(model, images, labels, steps=50) - images).flatten(1).norm(dim=1)
    accuracy = classifiers.accuracy(model, test.images, test.labels, 500)
    return {"accuracy": 100 * accuracy, "l2_to_fool": float(moved.mean())}


def betas(records: pd.DataFrame, test: geography.GeoDataset) -> "pd.Series[float]":
    country = dict(zip(test.ids, test.countries, strict=True))
    return fairness.by_model(records.assign(country=records["id"].map(country)))["beta"]


def row(name: str, values: dict[str, Any]) -> None:
    cells = (f"{key} {value:.4g}" for key, value in values.items())
    print(f"{name:34}", ", ".join(cells), flush=True)


def main() -> None:
    options = arguments()
    if options.threads:
        torch.set_num_threads(options.threads)
    record = runs.provenance(
        machine=machine(options.device),
        threads=torch.get_num_threads(),
        load_before=os.getloadavg(),
        options={name: value for name, value in vars(options).items() if name != "out"},
    )
    simulate = partial(geography.simulate, strength=options.strength)
    known = simulate(datasets.digits("train"), seed=1)
    test = simulate(datasets.digits("test"), seed=2)
    images, labels = known.images[: options.images], known.labels[: options.images]
    model = classifiers.digits_small()
    model = classifiers.train(model, images, labels, epochs=30, shift=1)
    alpha, n = options.learning_rate, options.replicates
    made = {"learning_rate": alpha, "batch_size": options.batch, "rounds": options.rounds}

    print("Algorithm 2")
    record["algorithm_2"], sets = {}, {}
    for name, attack in ATTACKS.items():
        task = partial(dro.robust_dataset, model, images, labels, attack)
        sets[name], found = clock(partial(task, **made))
        if name == "pgd_l2":
            one_by_one = clock(partial(task, **made | {"batch_size": 1}))[1]
            found |= {"listing_seconds": one_by_one["seconds"]}
            found["ratio"] = one_by_one["seconds"] / found["seconds"]
        new = sets[name].round > 0
        moved = (sets[name].images - images[sets[name].origin])[new].flatten(1).norm(dim=1)
        found["l2_mean"] = float(moved.mean())
        record["algorithm_2"][name] = found
        row(name, found)

    print("\nAlgorithm 3, a model")
    robust = sets["pgd_l2"]
    given: dict[str, Any] = {
        "learning_rate": alpha,
        "passes": options.passes,
        "batch_size": options.batch,
        "test": (test.images, test.labels, test.ids),
    }
    with tempfile.TemporaryDirectory() as folder:
        listed, listing = clock(lambda: listing_3(model, robust, alpha, options.passes))
        run = partial(dro.replicates, model, robust, **given)
        few = {"seeds": range(options.alone)}
        one, alone = clock(partial(run, out=f"{folder}/alone", together=1, **few))
        many, together = clock(partial(run, out=f"{folder}/together", together=n, seeds=range(n)))
        halves = run(out=f"{folder}/halves", together=max(options.alone // 2, 1), **few)
    alone = {key: value / options.alone for key, value in alone.items()}
    together = {key: value / n for key, value in together.items()}
    record["algorithm_3"] = {"listing": listing, "one after the other": alone, "together": together}
    for found in record["algorithm_3"].values():
        found["ratio"] = listing["seconds"] / found["seconds"]
    record["algorithm_3"]["listing"] |= health(listed, test)
    for name, found in record["algorithm_3"].items():
        row(name, found)

    first, slope = many[many["replicate"] < options.alone], betas(many, test)
    record["agreement"] = {
        name: {
            "labels_that_differ": float((other["predicted"] != one["predicted"]).mean()),
            "beta_difference": float((betas(other, test) - betas(one, test)).abs().max()),
        }
        for name, other in (("together", first.reset_index(drop=True)), ("in halves", halves))
    }
    record["agreement"]["beta_std"] = float(slope.std())
    print("\nAgreement with one after the other:", json.dumps(record["agreement"]))

    print("\nReadings")
    record["theta0"] = health(model, test)
    row("θ0", record["theta0"])
    record["readings"] = {}
    plain = {"learning_rate": alpha, "passes": options.passes, "batch_size": options.batch}
    for name in ("clean", *ATTACKS):
        for weighting in dro.WEIGHTINGS if name != "clean" else dro.WEIGHTINGS[:1]:
            try:
                if name == "clean":
                    data = dro.clean(images, labels, options.rounds)
                elif weighting == "normalized":
                    data = sets[name]
                else:
                    task = partial(dro.robust_dataset, model, images, labels, ATTACKS[name])
                    data = task(**made, weighting=weighting)
                found = health(dro.train(model, data, **plain, weighting=weighting), test)
            except ValueError as error:
                found = {"accuracy": math.nan, "l2_to_fool": math.nan}
                print(error)
            record["readings"][f"{name}, {weighting}"] = found
            row(f"{name}, {weighting}", found)
    record["load_after"] = os.getloadavg()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    runs.write_json(options.out, record)
    print(f"\nwritten to {options.out}")


if __name__ == "__main__":
    main()
