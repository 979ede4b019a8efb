"""Algorithm 1 by humimp.attacks.imperceptible and as it is listed, on piq's PieAPP.

"as listed" is the loop that one writes from the paper: one image at a time, the classifier asked
and piq.PieAPP called on the image and its original in each step, the gradient of the difference
taken by autograd. Both have the same classifier, the same weights of PieAPP and the same options;
labels are what the classifier says, so that every image is attacked. A turn is a batch of images.

With truncation, the paper's reading of line 9, most images need one or two steps; with "none" or a
larger confidence more, and then it counts more that the reference's features are remembered.
PieAPP's official weights cost the same as random ones of its width.

With --reduced bfloat16 (or tf32, on a GPU) ours is measured a second time, PieAPP's convolutions
taking rounded factors; the outcome is checked against the listing's as that of full precision is.

Checked in the same run: same successes, and the same steps and L2 image by image, within the
tolerance; in float32 the two gradients differ where ReLU and max-pooling have ties (see pieapp.py),
and truncation turns any difference into whole levels. Where the margin is near the confidence, that
decides whether another step is taken, on a GPU also because its convolutions round to TF32: a few
images may differ by a step, and are left out of the comparison of L2.
"""

import argparse
import statistics
from typing import Any

import torch
import torch.nn.functional as F
from pieapp import by_piq, network, parsed
from side_by_side import (
    Task,
    alone,
    begin,
    crops,
    finish,
    headline,
    parser,
    show,
    take_turns,
    times,
    use,
    verdict,
)
from torch import Tensor, nn

from humimp import attacks, classifiers, datasets, distances, pieapp

OURS, LISTED = "humimp", "as listed, on piq.PieAPP"
TOLERANCE = 0.02  # of an image's L2
MAY_DIFFER = 0.05  # share of the images, in their steps


def arguments() -> argparse.Namespace:
    made = parser(__doc__, "algorithm1")
    add = made.add_argument
    add("--classifier", default="mobilenet_v2")
    add("--weights", default="random", help="of PieAPP: random (default), official, small, a file")
    add("--width", type=int, default=64, help="of random weights (default 64, as published)")
    add("--data", default="crops", choices=["crops", "imagenet1000"], help="default crops")
    add("--images", type=int, default=4, help="images to attack (default 4)")
    add("--size", type=int, default=224, help="side of the images in pixels (default 224)")
    add("--batch", type=int, default=2, help="images in a turn (default 2)")
    add("--steps", type=int, default=100, help="the greatest number of steps (default 100)")
    add("--step-size", type=float, default=0.1, help="ε (default 0.1)")
    add("--confidence", type=float, default=5.0, help="a (default 5)")
    add("--validate", default="truncate", choices=["truncate", "round", "none"])
    add("--reduced", nargs="*", default=[], help="ours once more, in tf32 or bfloat16")
    return parsed(made)


def listed(
    options: argparse.Namespace, model: nn.Module, metric: nn.Module, images: Tensor, labels: Tensor
) -> tuple[Tensor, list[int]]:
    """Algorithm 1 as listed; also give the number of steps of each image."""
    made, taken = [], []
    for original, label in zip(images.split(1), labels.split(1), strict=True):
        adversarial = original  # line 1
        steps = 0
        for _ in range(options.steps):  # line 2
            x = adversarial.clone().requires_grad_()
            logits = model(x)  # line 3
            others = logits.detach().clone()
            others[0, label] = -torch.inf
            if others.max() - logits[0, label] > options.confidence:  # lines 4 to 6
                break
            value = F.cross_entropy(logits, label) - metric(x, original)[0]
            (delta,) = torch.autograd.grad(value, x)  # line 7
            adversarial = (x.detach() + options.step_size * delta).clamp(0, 1)  # line 8
            if options.validate != "none":  # line 9
                levels = 255 * adversarial
                levels = levels.floor() if options.validate == "truncate" else levels.round()
                adversarial = levels / 255
            steps += 1
        made.append(adversarial)
        taken.append(steps)
    return torch.cat(made), taken


def ours(
    options: argparse.Namespace, model: nn.Module, cost: Any, images: Tensor, labels: Tensor
) -> tuple[Tensor, list[int]]:
    """Algorithm 1 by this package; also give the number of steps of each image."""
    steps = torch.zeros(len(images), dtype=torch.int64, device=images.device)

    def count(step: int, images: Tensor, active: Tensor) -> None:
        steps[active] = step

    made = attacks.imperceptible(
        model, images, labels,
        cost=cost, steps=options.steps, step_size=options.step_size,
        confidence=options.confidence, validate=options.validate, callback=count,
    )  # fmt: skip
    return made, steps.tolist()


def main() -> None:
    options = arguments()
    record = begin(options, tolerance=TOLERANCE)
    model = classifiers.load(options.classifier, device=options.device)
    if options.data == "crops":
        images = crops(options.images, options.size)[0].to(options.device)
    else:
        images = datasets.imagenet1000(options.images, options.size).images.to(options.device)
    labels = classifiers.predict(model, images)
    given = list(zip(images.split(options.batch), labels.split(options.batch), strict=True))
    net = network(options.weights, options.width)
    sides: dict[str, Task] = {}
    for precision in ("float32", *options.reduced):
        name = OURS if precision == "float32" else f"{OURS}, {precision}"
        if options.only in (None, name):
            cost = pieapp.Distance(net, precision=precision)
            sides[name] = lambda turn, cost=cost: ours(options, model, cost, *given[turn])
    if options.only in (None, LISTED):
        metric = by_piq(net, 27).to(options.device)
        sides[LISTED] = lambda turn: listed(options, model, metric, *given[turn])
    del net
    if options.only:
        alone(sides, options)
        return

    for task in sides.values():
        task(0)  # warms up
    headline(
        record,
        f"Algorithm 1, a = {options.confidence:g}, {options.images} images of {options.size}, "
        f"{options.classifier}, PieAPP {options.weights}",
    )
    made, seconds = take_turns(sides, len(given), options.device)
    record["measured"] = times(seconds, OURS, options.batch)
    use(record["measured"], record, options.batch, sides, alike=False)
    show(record["measured"])
    record["listing_takes"] = {
        name: statistics.median(
            other / own for own, other in zip(taken, seconds[LISTED], strict=True)
        )
        for name, taken in seconds.items()
        if name != LISTED
    }
    for name, ratio in record["listing_takes"].items():
        print(f"the listing takes {ratio:.2f} times as long as {name}")

    agreement: dict[str, Any] = {"success": {}, "steps": {}, "l2": {}}
    for name, results in made.items():
        got = torch.cat([one for one, _ in results])
        agreement["success"][name] = int((classifiers.predict(model, got) != labels).sum())
        agreement["steps"][name] = [step for _, steps in results for step in steps]
        agreement["l2"][name] = distances.l2(images, got).tolist()
    listing, its = agreement["l2"][LISTED], agreement["steps"][LISTED]
    same = {name: [a == b for a, b in zip(steps, its, strict=True)]
            for name, steps in agreement["steps"].items()}  # fmt: skip
    agreement["steps_that_differ"] = {name: each.count(False) for name, each in same.items()}
    agreement["l2_worst"] = {
        name: max(
            abs(own / other - 1)
            for own, other, alike in zip(each, listing, same[name], strict=True)
            if alike
        )
        for name, each in agreement["l2"].items()
    }
    record["agreement"] = agreement
    allowed = MAY_DIFFER * options.images
    if options.device != "cpu":
        allowed = max(1, allowed)  # of a few images one may
    record["equal"] = (
        len(set(agreement["success"].values())) == 1
        and max(agreement["steps_that_differ"].values()) <= allowed
        and max(agreement["l2_worst"].values()) <= TOLERANCE
    )
    finish(record, options)
    verdict(record)


if __name__ == "__main__":
    main()
