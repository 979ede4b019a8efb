"""Where the time of page 3.2 goes: each attack, measure and defence of a profile, and its floor.

The parameters are those of book/profiles/PROFILE.yml. Each entry is timed alone on a few images,
all attacked; what the whole page needs is that times the profile's number of images, and for
measures and defences times the number of attacks too. The floor is the arithmetic of an entry at
the rate of this machine's matrix product (side_by_side.rate): no arrangement of the same
convolutions and products in the same precision is faster. Saliency is run by onnxruntime, and
JPEG by Pillow, whose arithmetic is not counted.

Attacks without an early stop (PerC_AL, DDN, ALMA) take --most-steps steps and are scaled up. Each
entry is done once before it is timed: a GPU chooses kernels for each new shape. Its floor is by the
rate of TF32 for PGD and ours, whose classifier rounds so, and of float32 for all else; CIEDE2000 is
compiled from more steps on than are taken here.
Where PieAPP's official weights are not to be had, random ones of its width cost the same.
"""

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pieapp import network
from side_by_side import ROOT, Arithmetic, begin, clock, finish, parser
from torch import nn

from humimp import (
    attacks,
    classifiers,
    costs,
    datasets,
    defenses,
    distances,
    experiment,
    features,
    pieapp,
)
from humimp import images as pictures
from humimp.pages import Project

PAGE = "03_2_pieapp"


def arguments() -> argparse.Namespace:
    made = parser(__doc__, "page_3_2")
    add = made.add_argument
    add("--profile", default="laptop", help="laptop (default) or paper")
    add("--classifier", help="another than the profile's")
    add("--measured", type=int, help="images to measure on (default 4, on a GPU the batch)")
    add("--most-steps", type=int, default=20, help="of an attack without a stop (default 20)")
    options = made.parse_args()
    if options.profile != "laptop":
        options.record += f"_{options.profile}"
    return options


def page(profile: str, name: str = PAGE) -> dict[str, Any]:
    """Read the parameters of a page, its defaults where the profile has none."""
    project = Project(ROOT)
    return dict(project.page(name).defaults) | project.profile(profile).get(name, {})


def measured(options: argparse.Namespace, given: dict[str, Any]) -> int:
    """Say how many images are measured on."""
    return options.measured or (4 if options.device == "cpu" else given["batch_size"])


def ground_cost(name: str, device: str) -> Any:
    """Give the ground cost, PieAPP with random weights."""
    if name == "PieAPP":
        return pieapp.Distance(network("random").to(device))
    return experiment.COSTS[name]()


def entries(
    options: argparse.Namespace, given: dict[str, Any], model: nn.Module
) -> dict[str, tuple[Callable[..., Any], float]]:
    """Give the attacks by name, each with what its time must be multiplied by."""
    device = options.device
    phi = features.alexnet(device) if given["nptm_network"] == "AlexNet" else features.of(model)
    price = ground_cost(given["cost"], device)
    steps = {"steps": given["steps"], "step_size": given["step_size"]}
    found: dict[str, tuple[Callable[..., Any], float]] = {
        "PGD (L2)": (partial(attacks.pgd_l2, **steps), 1.0),
        "NPTM (PPGD)": (partial(attacks.ppgd, features=phi), 1.0),
        "NPTM (LPA)": (partial(attacks.lpa, features=phi), 1.0),
        "8-bit aware": (partial(attacks.eight_bit, rounds=given["rounds"]), 1.0),
    }
    for a in given["confidences"]:
        ours = partial(attacks.imperceptible, cost=price, lam=given["lam"], confidence=a, **steps)
        found[f"Ours (a = {a:g})"] = ours, 1.0
    without_stop: dict[str, tuple[Callable[..., Any], int]] = {
        "PerC_AL": (attacks.perc_al, given["perc_al_steps"]),
        "PerC_AL (κ = 40)": (partial(attacks.perc_al, confidence=40.0), given["perc_al_steps"]),
        "DDN": (attacks.ddn, given["ddn_steps"]),
        "ALMA (LPIPS)": (
            partial(attacks.alma, cost=costs.LPIPS("alex"), init_cost=1e-5, alpha=0.5),
            given["alma_steps"],
        ),
    }
    for name, (attack, wanted) in without_stop.items():
        taken = min(wanted, options.most_steps)
        found[name] = partial(attack, steps=taken), wanted / taken
    return found


def measure(
    task: Callable[[], Any], record: dict[str, Any], device: str, n: int, rounds: bool = False
) -> dict[str, Any]:
    """Do something twice; give seconds an image, and the floor of its arithmetic.

    Its operations are counted the first time, when a GPU chooses kernels; counting takes time.
    ``rounds``: whether a GPU rounds convolutions to TF32 in it.
    """
    with Arithmetic() as counted:
        task()
    made, seconds = clock(task, device)
    full = record["matmul_per_second_in"]["float32"]
    floor = counted.operations / (record["matmul_per_second"] if rounds else full)
    return {"made": made, "seconds": seconds / n, "floor": floor / n}


def main() -> None:
    options = arguments()
    given = page(options.profile)
    given |= {"classifier": options.classifier or given["classifier"]}
    record = begin(options, page=given)
    device, n = options.device, measured(options, given)
    model = classifiers.load(given["classifier"], device=device)
    x = datasets.load(given["images"], n, size=given["size"]).images.to(device)
    labels = classifiers.predict(model, x)
    rows: dict[str, dict[str, Any]] = {}

    classifiers.predict(model, x)  # warms up
    named = entries(options, given, model)
    for name, (attack, times) in named.items():
        rounds = name.startswith(("PGD", "Ours"))
        row = measure(partial(attack, model, x, labels), record, device, n, rounds)
        attacked = row.pop("made")
        rows[name] = {key: value * times for key, value in row.items()} | {"calls": 1}
    measures: dict[str, Callable[..., Any]] = {
        "L1, L2 and L∞": lambda one, other: [
            norm(one, other) for norm in (distances.l1, distances.l2, distances.linf)
        ],
        "LPIPS": distances.LPIPS(),
        "DISTS": distances.DISTS(),
    }
    for name, function in measures.items():
        rows[name] = measure(partial(function, x, attacked), record, device, n)
    if given["saliency"]:  # it keeps the maps of the originals
        maps = distances.Saliency()
        maps(*2 * [attacked.flip(3)[:1]])  # warms up
        both = clock(lambda: maps(x, attacked), device)[1] / n
        rows["saliency"] = measure(lambda: maps(x, attacked), record, device, n)
        own = both - rows["saliency"]["seconds"]
        rows["saliency of the originals"] = {"seconds": own, "floor": 0.0, "calls": 1}
    levels: dict[str, list[Callable[..., Any]]] = {
        "JPEG": [partial(defenses.jpeg, quality=quality) for quality in given["qualities"]],
        "bit depths": [partial(defenses.bit_depth, bits=bits) for bits in given["bit_depths"]],
    }
    for name, some in levels.items():
        rows[f"{name}, defending"] = measure(
            lambda some=some: [one(attacked) for one in some], record, device, n
        )
    calls = sum(len(some) for some in levels.values())
    with torch.no_grad():
        row = measure(lambda: model(attacked), record, device, n)
    rows["predictions under them"] = {key: calls * row[key] for key in ("seconds", "floor")}
    rows["predictions before and after"] = {key: 2 * row[key] for key in ("seconds", "floor")}
    with tempfile.TemporaryDirectory() as folder:

        def save() -> None:
            for number, image in enumerate(attacked):
                pictures.save(image, Path(folder) / f"{number}.png")
                pictures.load(Path(folder) / f"{number}.png")

        rows["saving and reading the image"] = measure(save, record, device, n)

    for row in rows.values():
        row.pop("made", None)
        row["calls"] = row.get("calls", len(named))
        row["page_seconds"] = row["seconds"] * row["calls"] * given["n_images"]
        row["page_floor"] = row["floor"] * row["calls"] * given["n_images"]
    record["measured"] = dict(sorted(rows.items(), key=lambda entry: -entry[1]["page_seconds"]))
    total = {key: sum(row[key] for row in rows.values()) for key in ("page_seconds", "page_floor")}
    record["total"] = total
    rate = record["matmul_per_second"] / 1e9
    print(
        f"page 3.2, profile {options.profile}: {given['n_images']} images of {given['size']}, "
        f"{given['classifier']}, {given['cost']}\n"
        f"{record['machine']}, {record['threads']} threads, {rate:.0f} GFLOP/s in a matrix product"
        f"\n{'':32} {'s an image':>10} {'floor':>8} {'reached':>8} {'s the page':>11} {'share':>6}"
    )
    for name, row in record["measured"].items():
        reached = f"{row['floor'] / row['seconds']:8.0%}" if row["floor"] else f"{'':8}"
        print(
            f"{name:32} {row['seconds']:10.3f} {row['floor']:8.3f} {reached} "
            f"{row['page_seconds']:11.1f} {row['page_seconds'] / total['page_seconds']:6.1%}"
        )
    print(f"{'all':32} {'':28} {total['page_seconds']:11.1f}")
    finish(record, options)


if __name__ == "__main__":
    main()
