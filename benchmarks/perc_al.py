"""PerC-AL by humimp.attacks.perc_al and by its authors' own code, image by image.

Both attack the same photographs with the same classifier (MobileNetV2) and options, one image at a
time, taking turns. Labels are what the classifier says of the photographs, so that every one is
attacked. Nothing is random. Three of ours are held against the authors' code, each a step further
from it:

    same      keep="code" with the authors' own colour difference as the cost: the same algorithm
    code      keep="code" with humimp.color.color_distance
    least     keep="least", the default

By default all is computed in float64, where "same" gives the authors' images to the last level. In
float32 rounding decides now and then on which side of the boundary an 8-bit image lies, and from
there the two go different ways.

The authors' colour difference departs from CIEDE2000: a black pixel gets L = −16 instead of 0 (in
CIELAB 0 is sent to 0 instead of 4/29), sRGB bends at 0.0405 instead of 0.04045, and constants are
rounded. All results are measured with the same distances, of this package. Times are an image's,
beside ours by "code"; peak memory, with both packages and LPIPS loaded, and arithmetic are those of
the first image. Prints tables, writes a JSON record and, beside it, the figures of each image.

The authors' code is not part of this project. Get it, MIT licensed, from
https://github.com/ZhengyuZhao/PerC-Adversarial, and name its folder with --checkout. It is imported
from there as it is. It calls the classifier with images in [-1, 1], which is undone in front of
the classifier; its constants get their precision from PyTorch's default type, which is set for it;
and PyTorch's warning about its masks of type uint8 is silenced.

Ours counts as equal where it does what the authors' code does ("same", "code") if it succeeds on
the same images and the mean of each distance is within the tolerance; in float64 "same" must give
the authors' images to the last level. Each image is in the record.
"""

import argparse
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
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

from humimp import attacks, classifiers, color, datasets, distances, weights

FILES = ("perc_al.py", "differential_color_functions.py")
DISTANCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l2": distances.l2,
    "ciede2000": color.color_distance,
    "lpips_vgg": distances.LPIPS("vgg"),
}
Attack = Callable[[Tensor, Tensor], Tensor]
TOLERANCE = 0.02  # of the mean of each distance, where ours does what the authors' code does
ALIKE = ("same", "code")
SIDES = {  # in the order of times: ours, and what is set beside it
    "code": "humimp",
    "same": "humimp, the authors' colour difference",
    "least": "humimp, keep=least",
    "authors": "the authors' code",
}


def arguments() -> argparse.Namespace:
    made = parser(__doc__, "perc_al", folder="peers", threads=1, gpu=False)
    add = made.add_argument
    add("--checkout", type=Path, required=True, help="folder of the authors' repository")
    add("--images", type=int, default=20, help="photographs to attack (default 20, which is all)")
    add("--size", type=int, default=96, help="side of the images in pixels (default 96)")
    add("--steps", type=int, default=40, help="steps of each attack (default 40)")
    add("--step-size-loss", type=float, default=1.0, help="α_l (default 1)")
    add("--step-size-color", type=float, default=0.5, help="α_c (default 0.5)")
    add("--dtype", default="float64", choices=["float32", "float64"], help="default float64")
    return made.parse_args()


def compared(options: argparse.Namespace, model: nn.Module) -> dict[str, Attack]:
    """Give the attacks by name, the authors' first."""
    sys.path.insert(0, str(options.checkout))
    import differential_color_functions as theirs  # type: ignore[import-not-found]
    from perc_al import PerC_AL  # type: ignore[import-not-found]

    warnings.filterwarnings("ignore", message="indexing with dtype torch.uint8")
    published = PerC_AL(
        max_iterations=options.steps,
        alpha_l_init=options.step_size_loss,
        alpha_c_init=options.step_size_color,
    )

    def authors(image: Tensor, label: Tensor) -> Tensor:
        with default(image.dtype):
            return published.adversary(lambda x: model(0.5 * x + 0.5), image, label, targeted=False)

    def their_distance(original: Tensor, images: Tensor) -> Tensor:
        with default(images.dtype):
            one, other = (theirs.rgb2lab_diff(x, x.device) for x in (original, images))
            return theirs.ciede2000_diff(one, other, one.device).flatten(1).norm(dim=1)

    ours = partial(
        attacks.perc_al,
        model,
        steps=options.steps,
        step_size_loss=options.step_size_loss,
        step_size_color=options.step_size_color,
    )
    return {
        "authors": authors,
        "same": partial(ours, keep="code", cost=their_distance),
        "code": partial(ours, keep="code"),
        "least": ours,
    }


def measure(
    model: nn.Module, given: list[tuple[Tensor, Tensor]], ids: list[str], made: dict[str, Any]
) -> pd.DataFrame:
    """Measure what each made of the photographs; a row per image."""
    rows = []
    for index, (name, (image, label)) in enumerate(zip(ids, given, strict=True)):
        row: dict[str, Any] = {"id": name}
        for who in made:
            got = made[who][index]
            row[f"success_{who}"] = bool(classifiers.predict(model, got) != label)
            for distance, function in DISTANCES.items():
                row[f"{distance}_{who}"] = float(function(image.float(), got.float()))
            off = (got - made["authors"][index]).abs().max()
            row[f"levels_from_authors_{who}"] = float(off * 255)
        rows.append(row)
    return pd.DataFrame(rows)


def compare(rows: pd.DataFrame, who: str) -> dict[str, Any]:
    """Summarise one attack: means, how far they are off the authors', and the worst image."""
    found: dict[str, Any] = {
        "success": int(rows[f"success_{who}"].sum()),
        "success_differs": rows["id"][rows[f"success_{who}"] != rows["success_authors"]].tolist(),
        "equal_to_authors": int((rows[f"levels_from_authors_{who}"] < 0.5).sum()),
    }
    for distance in DISTANCES:
        ours, authors = rows[f"{distance}_{who}"], rows[f"{distance}_authors"]
        off = (ours / authors - 1).abs()
        found[distance] = {
            "mean": float(ours.mean()),
            "mean_off": float(ours.mean() / authors.mean() - 1),
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
        checkpoints={"mobilenet_v2": weights.sha256("mobilenet_v2")},
        authors=peer(
            "https://github.com/ZhengyuZhao/PerC-Adversarial",
            options.checkout,
            FILES,
        ),
    )
    model = classifiers.load("mobilenet_v2").to(getattr(torch, options.dtype))
    by = compared(options, model)
    photographs, _, ids = datasets.photographs(options.images, options.size)
    given = one_by_one(model, photographs, getattr(torch, options.dtype))
    sides: dict[str, Task] = {
        side: lambda turn, attack=by[who]: attack(*given[turn]) for who, side in SIDES.items()
    }
    if options.only:
        alone(sides, options)
        return
    for task in sides.values():
        task(0)  # warms up
    made, seconds = take_turns(sides, len(given))
    rows = measure(model, given, ids, {who: made[side] for who, side in SIDES.items()})
    record["images"] = len(rows)
    record["compared"] = {who: compare(rows, who) for who in by}

    print(f"{'':8} {'success':>7}  {'':10} {'mean':>9} {'off':>7} {'worst':>8}  beyond 10 %")
    for who, found in record["compared"].items():
        for place, distance in enumerate(DISTANCES):
            row = found[distance]
            print(
                f"{who if place == 0 else '':8} {found['success'] if place == 0 else '':>7}  "
                f"{distance:10} {row['mean']:9.4f} {row['mean_off']:+7.2%} "
                f"{row['worst_off']:8.2%}  {len(row['beyond_a_tenth'])}"
            )
        print(f"{'':16}  {found['equal_to_authors']} equal")
    headline(record, f"PerC_AL, {len(rows)} images of {options.size}, {options.steps} steps")
    record["speed"] = times(seconds, SIDES["code"], 1)
    use(record["speed"], record, 1, sides, alike=False, precision=options.dtype)
    show(record["speed"])
    record["agreement"] = {
        who: {distance: record["compared"][who][distance]["mean_off"] for distance in DISTANCES}
        for who in ALIKE
    }
    record["equal"] = all(
        not record["compared"][who]["success_differs"]
        and max(map(abs, record["agreement"][who].values())) <= TOLERANCE
        for who in ALIKE
    )
    if options.dtype == "float64":
        record["equal"] &= record["compared"]["same"]["equal_to_authors"] == len(rows)
    finish(record, options, rows)
    verdict(record)


if __name__ == "__main__":
    main()
