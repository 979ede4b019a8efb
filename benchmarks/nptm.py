"""PPGD and LPA by humimp.attacks and by their authors' perceptual_advex, image by image.

Both attack the same photographs with the same classifier (MobileNetV2), the same LPIPS network
(AlexNet), the same noise and the options that both have by default (ours in the variant "code"),
one image at a time, taking turns. Labels are what the classifier says of the photographs, so that
every one is attacked. What is compared is not yet rounded to 8 bit. In float32 rounding decides on
a few images, since PPGD divides differences by 0.001; float64 tells whether it is rounding. Times
are an image's; peak memory, with both packages loaded, and arithmetic are those of the first image.
Prints tables, writes a JSON record and, beside it, the figures of each image.

The authors' code is not part of this project. Get it, MIT licensed, from
https://github.com/cassidylaidlaw/perceptual-advex, and name its folder with --checkout. It is
imported from there as it is. Its requirements robustness and advex-uar and its own module of data
sets, which attacks do not use, are replaced by empty modules; its AlexNet gets the weights of
humimp.weights instead of a download, and is handed over as an object, which also keeps it from
moving to a GPU by itself.

They count as equal if both succeed on the same images and the mean of each distance is within the
tolerance, which is wide for PPGD in float32: one image in twenty can move a mean by several per
cent there, and on another processor it is another one. Each image is in the record.
"""

import argparse
import contextlib
import io
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pandas as pd
import torch
import torchvision
from machine import peer
from side_by_side import (
    Task,
    alone,
    begin,
    default,
    finish,
    headline,
    one_by_one,
    parser,
    show,
    take_turns,
    times,
    use,
    verdict,
)
from torch import Tensor, nn

from humimp import attacks, classifiers, datasets, distances, features, weights

STUBS = {
    "robustness": (),
    "robustness.datasets": ("DATASETS", "DataSet"),
    "robustness.model_utils": ("make_and_restore_model",),
    "robustness.attacker": ("AttackerModel",),
    "robustness.cifar_models": (),
    "robustness.cifar_models.resnet": ("ResNet",),
    "advex_uar": (),
    "advex_uar.common": ("pyt_common",),
    "perceptual_advex.datasets": (),
}
SOURCES = ("perceptual_attacks.py", "distances.py", "models.py", "utilities.py")
DISTANCES = ("l2", "nptm", "lpips_alex", "lpips_vgg")
PROJECTIONS = {"newton": "newtons", "bisection": "bisection"}  # our names, theirs
Attack = Callable[[Tensor, Tensor, int], Tensor]
TOLERANCE = {  # of the mean of each distance
    "PPGD, float32": 0.1,
    "LPA, float32": 1e-3,
    "PPGD, float64": 1e-6,
    "LPA, float64": 1e-6,
}


def arguments() -> argparse.Namespace:
    made = parser(__doc__, "nptm", folder="peers", threads=1, gpu=False)
    add = made.add_argument
    add("--checkout", type=Path, required=True, help="folder of the authors' repository")
    add("--images", type=int, default=20, help="photographs to attack (default 20, which is all)")
    add("--size", type=int, default=112, help="side of the images in pixels (default 112)")
    add("--seed", type=int, default=0, help="of the noise; image i gets seed + i (default 0)")
    add(
        "--projections",
        nargs="+",
        default=["newton"],
        choices=list(PROJECTIONS),
        help="ways to project (default newton, as the authors')",
    )
    add(
        "--precisions",
        nargs="+",
        default=["float32", "float64"],
        choices=["float32", "float64"],
        help="floating-point precisions (default both)",
    )
    return made.parse_args()


def authors(checkout: Path) -> Any:
    """Import the authors' module of attacks, with empty modules for what it does not use here."""
    for name, members in STUBS.items():
        stub = ModuleType(name)
        for member in members:
            setattr(stub, member, type(member, (nn.Module,), {}))
        sys.modules[name] = stub
    sys.path.insert(0, str(checkout))
    from perceptual_advex import models, perceptual_attacks  # type: ignore[import-not-found]

    with torch.device("meta"):
        network = torchvision.models.alexnet(weights=None)
    network.load_state_dict(weights.load("alexnet_features"), assign=True, strict=False)
    return SimpleNamespace(
        PPGD=perceptual_attacks.PerceptualPGDAttack,
        LPA=perceptual_attacks.LagrangePerceptualAttack,
        network=models.AlexNetFeatureModel(network.requires_grad_(False)),
        module=perceptual_attacks,
    )


def pair(
    name: str, projection: str, model: nn.Module, phi: features.Features, theirs: Any
) -> tuple[Attack, Attack]:
    """Give our attack and theirs, PPGD or LPA."""
    attack = getattr(attacks, name.lower())
    other = getattr(theirs, name)(
        model, lpips_model=theirs.network, projection=PROJECTIONS[projection]
    )

    def ours(image: Tensor, label: Tensor, seed: int) -> Tensor:
        return attack(
            model, image, label, features=phi, projection=projection, variant="code",
            validate="none", generator=torch.Generator().manual_seed(seed),
        )  # fmt: skip

    def published(image: Tensor, label: Tensor, seed: int) -> Tensor:
        torch.manual_seed(seed)
        return other(image.clone(), label).detach().clamp(0, 1)

    return ours, published


def tasks(
    options: argparse.Namespace,
    given: list[tuple[Tensor, Tensor]],
    both: tuple[Attack, Attack],
    name: str,
) -> dict[str, Task]:
    """Give both sides of an attack: each turn is an image."""

    def task(attack: Attack) -> Task:
        def one(turn: int) -> Tensor:
            image, label = given[turn]
            with default(image.dtype):
                return attack(image, label, options.seed + turn)

        return one

    sides = ("humimp", "the authors' code")
    return {f"{name}, {side}": task(one) for side, one in zip(sides, both, strict=True)}


def measure(
    model: nn.Module,
    phi: features.Features,
    given: list[tuple[Tensor, Tensor]],
    ids: list[str],
    made: dict[str, list[Tensor]],
) -> pd.DataFrame:
    """Measure what both made of the photographs; a row per image."""
    lpips = {f"lpips_{net}": distances.LPIPS(net) for net in ("alex", "vgg")}
    rows = []
    for index, (name, (image, label)) in enumerate(zip(ids, given, strict=True)):
        row: dict[str, Any] = {"id": name}
        for who in made:
            got = made[who][index]
            row[f"success_{who}"] = bool(classifiers.predict(model, got) != label)
            row[f"l2_{who}"] = float(distances.l2(image, got))
            row[f"nptm_{who}"] = float(phi.distance(image, got))
            for distance, function in lpips.items():
                row[f"{distance}_{who}"] = float(function(image.float(), got.float()))
        row["l2_between"] = float(distances.l2(made["ours"][index], made["theirs"][index]))
        rows.append(row)
    return pd.DataFrame(rows)


def compare(rows: pd.DataFrame) -> dict[str, Any]:
    """Summarise one attack: means, their relative difference, and the worst image."""
    found: dict[str, Any] = {
        "images": len(rows),
        "success_ours": int(rows["success_ours"].sum()),
        "success_theirs": int(rows["success_theirs"].sum()),
        "success_differs": rows["id"][rows["success_ours"] != rows["success_theirs"]].tolist(),
    }
    for distance in DISTANCES:
        ours, theirs = rows[f"{distance}_ours"], rows[f"{distance}_theirs"]
        off = (ours / theirs - 1).abs()
        found[distance] = {
            "ours": float(ours.mean()),
            "theirs": float(theirs.mean()),
            "mean_off": float(ours.mean() / theirs.mean() - 1),
            "worst_off": float(off.max()),
            "beyond_a_tenth": rows["id"][off > 0.1].tolist(),
        }
    return found


def main() -> None:
    options = arguments()
    record = begin(
        options,
        tolerance=TOLERANCE,
        classifier="mobilenet_v2",
        checkpoints={name: weights.sha256(name) for name in ("mobilenet_v2", "alexnet_features")},
        authors=peer(
            "https://github.com/cassidylaidlaw/perceptual-advex",
            options.checkout,
            [f"perceptual_advex/{name}" for name in SOURCES],
        ),
        compared={},
        agreement={},
        equal=True,
        speed={},
    )
    model, phi = classifiers.load("mobilenet_v2"), features.alexnet()
    record["features"] = repr(phi)
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = authors(options.checkout)
    photographs, _, ids = datasets.photographs(options.images, options.size)
    tables = []
    head = f"{'':23} {'success':>9}  {'':10} {'ours':>9} {'theirs':>9} {'mean':>7} {'worst':>7}"
    for word, projection, attack in product(
        options.precisions, options.projections, ("PPGD", "LPA")
    ):
        dtype = getattr(torch, word)
        for network in (model, phi, theirs.network):
            network.to(dtype)
        # the same constants to the last bit, of which float64 has more
        theirs.network.normalizer.mean = phi.network.mean.flatten().tolist()
        theirs.network.normalizer.std = phi.network.std.flatten().tolist()
        given = one_by_one(model, photographs, dtype)
        name = f"{attack}, {projection}, {word}"
        sides = tasks(options, given, pair(attack, projection, model, phi, theirs), name)
        if options.only in sides:
            alone(sides, options)
            return
        if options.only:
            continue
        for task in sides.values():
            task(0)  # warms up
        made, seconds = take_turns(sides, len(given))
        ours, published = sides
        results = {"ours": made[ours], "theirs": made[published]}
        rows = measure(model, phi, given, ids, results)
        rows.insert(0, "attack", name)
        tables.append(rows)
        record["compared"][name] = found = compare(rows)
        off = {distance: found[distance]["mean_off"] for distance in DISTANCES}
        record["agreement"][name] = off
        record["equal"] &= (
            not found["success_differs"]
            and max(map(abs, off.values())) <= TOLERANCE[f"{attack}, {word}"]
        )
        success = f"{found['success_ours']}/{found['success_theirs']}/{len(rows)}"
        print(head)
        for place, distance in enumerate(DISTANCES):
            row = found[distance]
            print(
                f"{name if place == 0 else '':23} {success if place == 0 else '':>9}  "
                f"{distance:10} {row['ours']:9.4f} {row['theirs']:9.4f} "
                f"{row['mean_off']:+7.2%} {row['worst_off']:7.2%}"
            )
        headline(record, f"{name}, {len(rows)} images of {options.size}")
        record["speed"][name] = taken = times(seconds, ours, 1)
        use(taken, record, 1, sides, alike=False, precision=word)
        show(taken)
    finish(record, options, pd.concat(tables, ignore_index=True))
    verdict(record)


if __name__ == "__main__":
    main()
