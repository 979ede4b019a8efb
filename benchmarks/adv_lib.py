"""DDN and ALMA by humimp.attacks and by their first author's adv-lib, image by image.

Both attack the same photographs with the same classifier (MobileNetV2), steps and options, all
images in one batch. Labels are what the classifier says of the photographs, so that every one is
attacked. Success is asked twice: of what the attack returns, and of that rounded to 8 bit, as it
would be saved. "to 8 bit" compares our ALMA, which shows the model rounded images, with adv-lib's
levels=256, which rounds the image that takes the steps: there the two differ by design. Ours also
tries the image after the last step, which adv-lib throws away; "cost_before_last" is what ours
would have returned without. ALMA's way is chaotic: the last line compares adv-lib with itself, its
ε a ten-thousandth larger, which is what agreement can be had. Then both take turns, without
anything beside and with more steps, and are timed; peak memory, with both packages and LPIPS
loaded, and arithmetic are those of one such turn. Prints a table, writes a JSON record and, beside
it, the figures of each image.

The authors' code is not part of this project. Get it, BSD licensed, from
https://github.com/jeromerony/adversarial-library, and name its folder with --checkout. It is
imported from there as it is; visdom, with which it can draw its progress, is replaced by an empty
module. Its LPIPS is another distance (no learned weights, not squared) and would be downloaded, so
its ALMA is given ours.

Those that do the same count as equal if both succeed on the same images and the mean cost before
the last step is within the tolerance, which is wide for ALMA; each image is in the record.
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pandas as pd
import torch
from machine import peer
from side_by_side import Task, alone, begin, finish, parser, take_turns, times, use, verdict
from torch import Tensor, nn

from humimp import attacks, classifiers, costs, datasets, distances, images, weights

TIMED = ("ddn", "alma, L2", "alma, LPIPS")
TOLERANCE = {  # of the mean cost, before the last step, of those that do the same
    "ddn": 0.01,
    "alma, L2": 0.05,
    "alma, 1 − SSIM": 0.05,
    "alma, LPIPS": 0.05,
}
SOURCES = ("augmented_lagrangian.py", "decoupled_direction_norm.py")
Attack = Callable[[nn.Module, Tensor, Tensor], Tensor]
Cost = Callable[[Tensor, Tensor], Tensor]


def arguments() -> argparse.Namespace:
    made = parser(__doc__, "adv_lib", folder="peers", threads=1, gpu=False)
    add = made.add_argument
    add("--checkout", type=Path, required=True, help="folder of the authors' repository")
    add("--images", type=int, default=20, help="photographs to attack (default 20, which is all)")
    add("--size", type=int, default=112, help="side of the images in pixels (default 112)")
    add("--steps", type=int, default=30, help="steps of each attack, compared (default 30)")
    add("--timed-steps", type=int, default=100, help="steps when timed (default 100)")
    add("--repeats", type=int, default=5, help="turns of each to time (default 5)")
    return made.parse_args()


def authors(checkout: Path) -> Any:
    """Import the authors' two attacks, with an empty module in the place of visdom."""
    sys.modules["visdom"] = ModuleType("visdom")
    sys.path.insert(0, str(checkout))
    from adv_lib.attacks import augmented_lagrangian  # type: ignore[import-not-found]
    from adv_lib.attacks.decoupled_direction_norm import ddn  # type: ignore[import-not-found]

    lpips = costs.LPIPS("alex")
    augmented_lagrangian._distances["lpips"] = lambda target: lpips.at(target)
    return SimpleNamespace(ddn=ddn, alma=augmented_lagrangian.alma)


def pairs(steps: int, theirs: Any) -> dict[str, tuple[Attack, Attack, Cost]]:
    """Give what is compared, by name: ours, theirs, and the cost that both minimise."""

    def alma(cost: Cost, name: str, init_cost: float, levels: int | None = None) -> Any:
        ours = partial(
            attacks.alma, cost=cost, steps=steps, init_cost=init_cost, alpha=0.5,
            validate="round" if levels else "none",
        )  # fmt: skip
        published = partial(
            theirs.alma, distance=name, num_steps=steps, init_lr_distance=init_cost, α=0.5,
            levels=levels,
        )  # fmt: skip
        return ours, published, cost

    def nudged(model: nn.Module, x: Tensor, labels: Tensor, callback: object = None) -> Tensor:
        return alma(length, "l2", 0.1 * 1.0001)[1](model, x, labels)

    return {
        "ddn": (partial(attacks.ddn, steps=steps), partial(theirs.ddn, steps=steps), distances.l2),
        "alma, L2": alma(length, "l2", 0.1),
        "alma, 1 − SSIM": alma(costs.SSIM(), "ssim", 1e-4),
        "alma, LPIPS": alma(costs.LPIPS("alex"), "lpips", 1e-4),
        "alma, 1 − SSIM, to 8 bit": alma(costs.SSIM(), "ssim", 1e-4, 256),
        "alma, L2, adv-lib twice": (nudged, *alma(length, "l2", 0.1)[1:]),
    }


def length(original: Tensor, other: Tensor) -> Tensor:
    """L2 with a gradient, which is 0 at the original."""
    return (other - original).flatten(1).norm(dim=1)


def turns(
    options: argparse.Namespace, model: nn.Module, pair: tuple[Attack, Attack, Cost]
) -> pd.DataFrame:
    """Attack the photographs by both; a row per image."""
    x, _, ids = datasets.photographs(options.images, options.size)
    labels = classifiers.predict(model, x)
    rows, made, seen = {"id": ids}, {}, []
    for who, attack in zip(("ours", "theirs"), pair[:2], strict=True):
        more = {"callback": lambda step, now, active: seen.append(now)} if who == "ours" else {}
        made[who] = attack(model, x.clone(), labels, **more).detach().clamp(0, 1)
    rows["cost_before_last_ours"] = before_last(model, x, labels, seen, pair[2])
    for who, got in made.items():
        saved = images.validate(got, "round")
        rows[f"success_{who}"] = (classifiers.predict(model, got) != labels).tolist()
        rows[f"success_saved_{who}"] = (classifiers.predict(model, saved) != labels).tolist()
        rows[f"l2_{who}"] = distances.l2(x, got).tolist()
        with torch.no_grad():
            rows[f"cost_{who}"] = pair[2](x, got).tolist()
    rows["l2_between"] = distances.l2(made["ours"], made["theirs"]).tolist()
    return pd.DataFrame(rows)


def timed(options: argparse.Namespace, model: nn.Module, theirs: Any) -> dict[str, dict[str, Task]]:
    """Give what is timed, attack, then side: each turn is the same, on the same photographs."""
    x = datasets.photographs(options.images, options.size).images
    labels = classifiers.predict(model, x)
    by = pairs(options.timed_steps, theirs)
    return {
        name: {
            f"{name}, {who}": lambda turn, attack=attack: attack(model, x.clone(), labels)
            for who, attack in zip(("humimp", "adv-lib"), by[name][:2], strict=True)
        }
        for name in TIMED
    }


def before_last(
    model: nn.Module, x: Tensor, labels: Tensor, seen: list[Tensor], cost: Cost
) -> list[float]:
    """Give the least cost of a success among all images on the way but the last, for each image."""
    least = torch.full((len(x),), torch.inf)
    with torch.no_grad():
        for now in seen[:-1]:
            price = cost(x, now)
            better = (classifiers.predict(model, now) != labels) & (price < least)
            least = torch.where(better, price, least)
    return least.tolist()


def compare(rows: pd.DataFrame) -> dict[str, Any]:
    """Summarise one attack; distances are compared where both succeed."""
    both = rows[rows["success_ours"] & rows["success_theirs"]]
    found: dict[str, Any] = {"images": len(rows), "compared": len(both)}
    found["success_differs"] = rows["id"][rows["success_ours"] != rows["success_theirs"]].tolist()
    for what in ("success", "success_saved"):
        found[what] = {who: int(rows[f"{what}_{who}"].sum()) for who in ("ours", "theirs")}
    for what in ("cost", "cost_before_last", "l2"):
        kept = both[both[f"{what}_ours"] < torch.inf]  # a success may come with the last step
        if kept.empty:
            continue
        ours, theirs = kept[f"{what}_ours"], kept[f"{what.removesuffix('_before_last')}_theirs"]
        off = ours / theirs - 1
        found[what] = {
            "ours": float(ours.mean()),
            "theirs": float(theirs.mean()),
            "mean_off": float(ours.mean() / theirs.mean() - 1),
            "median_off": float(off.median()),
            "worst_off": float(off.abs().max()),
            "beyond_a_tenth": kept["id"][off.abs() > 0.1].tolist(),
        }
    found["l2_between_median"] = float(rows["l2_between"].median())
    return found


def main() -> None:
    options = arguments()
    record = begin(
        options,
        tolerance=TOLERANCE,
        classifier="mobilenet_v2",
        checkpoints={
            name: weights.sha256(name)
            for name in ("mobilenet_v2", "alexnet_features", "lpips_alex")
        },
        authors=peer(
            "https://github.com/jeromerony/adversarial-library",
            options.checkout,
            [f"adv_lib/attacks/{name}" for name in SOURCES],
        ),
        compared={},
        agreement={},
        equal=True,
    )
    theirs = authors(options.checkout)
    model = classifiers.load("mobilenet_v2").requires_grad_(False)
    tasks = timed(options, model, theirs)
    if options.only:
        alone({side: task for sides in tasks.values() for side, task in sides.items()}, options)
        return
    tables = []
    print(
        f"{'':25} {'success':>8} {'saved':>7} {'ours':>9} {'theirs':>9} {'mean':>7} {'worst':>7}"
        "  before last"
    )
    for name, pair in pairs(options.steps, theirs).items():
        rows = turns(options, model, pair)
        rows.insert(0, "attack", name)
        tables.append(rows)
        record["compared"][name] = found = compare(rows)
        success, saved = (
            f"{found[what]['ours']}/{found[what]['theirs']}"
            for what in ("success", "success_saved")
        )
        row, before = found["cost"], found.get("cost_before_last", found["cost"])
        print(
            f"{name:25} {success:>8} {saved:>7} {row['ours']:9.5f} {row['theirs']:9.5f} "
            f"{row['mean_off']:+7.2%} {row['worst_off']:7.2%} "
            f"{before['mean_off']:+7.2%} {before['worst_off']:7.2%}",
            flush=True,
        )
        if name in TOLERANCE:
            record["agreement"][name] = before["mean_off"]
            record["equal"] &= (
                not found["success_differs"] and abs(before["mean_off"]) <= TOLERANCE[name]
            )
        if name in TIMED:
            seconds = take_turns(tasks[name], options.repeats)[1]
            taken = times(seconds, f"{name}, humimp", options.images)
            use(taken, record, options.images, tasks[name])
            record.setdefault("speed", {})[name] = taken
            ratio = taken[f"{name}, adv-lib"]["ratio_median_of_turns"]
            print(f"{'':25} adv-lib takes {ratio:.2f} times as long")
    finish(record, options, pd.concat(tables, ignore_index=True))
    verdict(record)


if __name__ == "__main__":
    main()
