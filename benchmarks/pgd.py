"""PGD (L2) by humimp.attacks and by torchattacks and foolbox: 100 steps with early stop.

All attack the same images with the same classifier, step and loss, without a random start and in
a ball too large to matter; images are not rounded. Ours stops at an image's first wrong answer and
goes on with the others; the two peers know no early stop, so they take every step. "stopped by
hand" is what a user can do about it: torchattacks called for one step at a time with the images
that are not done.

A turn is a batch of images. Then the same number of steps, without a stop, is timed for all: what a
step costs. (foolbox asks the classifier once more about what it returns.) "as it comes" is
torchattacks on the classifier as torchvision loads it.

Checked in the same run: all succeed on the same number of images; and, for a few, the image that
each peer is first wrong about, seen at the classifier's door, is the one that ours returns, and
images are equal after equally many steps. That is asked in float64: in float32 two ways of rounding
go apart within ten steps, as they decide on which side of a ReLU's bend one is.
"""

import argparse
import copy
import sys
from importlib.metadata import version
from types import ModuleType
from typing import Any

import torch
import torchvision
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
)  # fmt: skip
from torch import Tensor, nn

from humimp import attacks, classifiers, datasets, distances, weights

BALL = 1e3  # larger than any perturbation can become
OURS = "humimp"
NEVER = 1e6  # a confidence that no image reaches
TOLERANCE = 1e-5  # of the perturbation's length, in float64, for each image


def arguments() -> argparse.Namespace:
    made = parser(__doc__, "pgd")
    add = made.add_argument
    add("--classifier", default="mobilenet_v2")
    add("--data", default="crops", choices=["crops", "imagenet1000"], help="default crops")
    add("--images", type=int, default=100, help="images to attack (default 100)")
    add("--size", type=int, default=112, help="side of the images in pixels (default 112)")
    add("--batch", type=int, default=20, help="images in a turn (default 20)")
    add("--steps", type=int, default=100, help="steps (default 100)")
    add("--step-size", type=float, default=0.1, help="length of a step (default 0.1)")
    add("--equal-steps", type=int, default=10, help="steps without a stop (default 10)")
    add("--repeats", type=int, default=5, help="turns at equal steps (default 5)")
    add("--checked", type=int, default=4, help="images compared in float64 (default 4)")
    return made.parse_args()


def peers() -> tuple[Any, Any]:
    """Import torchattacks and foolbox; foolbox's downloads, unused, need no git."""
    try:
        sys.modules.setdefault("git", ModuleType("git")).Repo = None  # type: ignore[attr-defined]
        import foolbox  # type: ignore[import-not-found]
        import torchattacks  # type: ignore[import-not-found]
    except ImportError as error:
        sys.exit(f"{error}; run: make bench, or install benchmarks/requirements.txt")
    return torchattacks, foolbox


def batches(options: argparse.Namespace, model: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """Give images and what the classifier says of them, so that every image is attacked."""
    if options.data == "crops":
        images = crops(options.images, options.size)[0]
    else:
        images = datasets.imagenet1000(options.images, options.size).images
    images = images.to(options.device)
    labels = classifiers.predict(model, images)
    return list(zip(images.split(options.batch), labels.split(options.batch), strict=True))


def as_it_comes(name: str, device: str) -> nn.Module | None:
    """Give the same classifier as torchvision builds it, if it is one of torchvision's."""
    if name not in ("mobilenet_v2", "resnet50"):
        return None
    built = torchvision.models.get_model(name, weights=None)
    built.load_state_dict(weights.load(name))
    model = classifiers.Normalized(built, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    return model.eval().to(device)


class Contiguous(nn.Module):
    """A classifier whose gradient is contiguous, which torchattacks takes for granted."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images, as the classifier gives them."""
        return self.model(images.flatten(1).view_as(images))


def compared(
    options: argparse.Namespace, model: nn.Module, steps: int, confidence: float = 0.0
) -> dict[str, Any]:
    """Give the attacks by name: (model, images, labels) to images."""
    torchattacks, foolbox = peers()

    def ours(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        return attacks.pgd_l2(
            model, images, labels,
            steps=steps, step_size=options.step_size, confidence=confidence, validate="none",
        )  # fmt: skip

    def by_torchattacks(
        model: nn.Module, images: Tensor, labels: Tensor, steps: int = steps
    ) -> Tensor:
        attack = torchattacks.PGDL2(
            Contiguous(model).eval(),
            eps=BALL,
            alpha=options.step_size,
            steps=steps,
            random_start=False,
        )
        return attack(images, labels)

    def by_foolbox(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        attack = foolbox.attacks.L2ProjectedGradientDescentAttack(
            abs_stepsize=options.step_size, steps=steps, random_start=False
        )
        door = foolbox.PyTorchModel(model, bounds=(0, 1), device=images.device)
        return attack(door, images, foolbox.criteria.Misclassification(labels), epsilons=BALL)[1]

    def by_hand(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        made, active = images.clone(), torch.arange(len(images), device=images.device)
        for _ in range(steps):
            with torch.no_grad():
                active = active[model(made[active]).argmax(1) == labels[active]]
            if not len(active):
                break
            made[active] = by_torchattacks(model, made[active], labels[active], 1)
        return made

    return {
        OURS: ours,
        "torchattacks": by_torchattacks,
        "foolbox": by_foolbox,
        "torchattacks, stopped by hand": by_hand,
    }


class Door(nn.Module):
    """A classifier that remembers the first image of each place that it gets wrong."""

    def __init__(self, model: nn.Module, images: Tensor, labels: Tensor) -> None:
        super().__init__()
        self.model, self.labels = model, labels
        self.first, self.done = images.clone(), torch.zeros_like(labels, dtype=torch.bool)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images, as the classifier gives them."""
        logits = self.model(images)
        new = (logits.argmax(1) != self.labels) & ~self.done
        self.first[new] = images.detach()[new]
        self.done |= new
        return logits


def apart(original: Tensor, one: Tensor, other: Tensor) -> float:
    """Give the distance between two results, as a share of the perturbation; the worst image."""
    return float((distances.l2(one, other) / distances.l2(original, one)).max())


def check(
    options: argparse.Namespace,
    model: nn.Module,
    given: list[tuple[Tensor, Tensor]],
    made: dict[str, list[Tensor]],
) -> dict[str, Any]:
    """Compare all successes with ours, and in float64 a few images."""
    success = {
        name: sum(
            int((classifiers.predict(model, got) != labels).sum())
            for got, (_, labels) in zip(results, given, strict=True)
        )
        for name, results in made.items()
    }
    exact = copy.deepcopy(model).double()
    images = given[0][0][: options.checked].double()
    labels = classifiers.predict(exact, images)
    stopped = compared(options, exact, options.steps)
    without = compared(options, exact, options.equal_steps, confidence=NEVER)
    ours = stopped[OURS](exact, images, labels)
    by_hand = stopped["torchattacks, stopped by hand"](exact, images, labels)
    found = {"stopped by hand": apart(images, ours, by_hand)}
    same = without[OURS](exact, images, labels)
    for name in ("torchattacks", "foolbox"):
        door = Door(exact, images, labels).eval()
        stopped[name](door, images, labels)
        found[f"first success of {name}"] = apart(images, ours, door.first)
        other = without[name](exact, images, labels)
        found[f"equal steps of {name}"] = apart(images, same, other)
    return {"success": success, "apart_float64": found}


def main() -> None:
    options = arguments()
    record = begin(options, tolerance=TOLERANCE)
    model = classifiers.load(options.classifier, device=options.device)
    plain = as_it_comes(options.classifier, options.device)
    given = batches(options, model)
    attack = compared(options, model, options.steps)
    sides: dict[str, Task] = {
        name: lambda turn, one=one: one(model, *given[turn]) for name, one in attack.items()
    }
    if plain is not None:
        sides["torchattacks, as it comes"] = lambda turn: attack["torchattacks"](
            plain, *given[turn]
        )
    few = compared(options, model, options.equal_steps, confidence=NEVER)
    equal: dict[str, Task] = {
        f"{name}, equal steps": lambda turn, one=few[name]: one(model, *given[0])
        for name in (OURS, "torchattacks", "foolbox")
    }
    if plain is not None:
        equal["torchattacks, as it comes"] = lambda turn: few["torchattacks"](plain, *given[0])
    if options.only:
        alone(sides | equal, options)
        return
    record["peers"] = {name: version(name) for name in ("torchattacks", "foolbox")}
    for task in (equal if options.device == "cpu" else equal | sides).values():
        task(0)  # warms up; a GPU chooses kernels for each number of images
    headline(record, f"PGD (L2), {options.images} images of {options.size}, {options.steps} steps")
    made, seconds = take_turns(sides, len(given), options.device)
    record["early_stop"] = times(seconds, OURS, options.batch)
    peers = "torchattacks", "foolbox"
    use(record["early_stop"], record, options.batch, sides, OURS, *peers, alike=False)
    show(record["early_stop"])
    _, seconds = take_turns(equal, options.repeats, options.device)
    rows = times(seconds, f"{OURS}, equal steps", options.batch * options.equal_steps)
    use(rows, record, options.batch * options.equal_steps, equal, f"{OURS}, equal steps")
    record["equal_steps"] = rows
    print("a step")
    show(rows)

    record["agreement"] = found = check(options, model, given, made)
    record["equal"] = (
        len(set(found["success"].values())) == 1
        and max(found["apart_float64"].values()) <= TOLERANCE
    )
    finish(record, options)
    verdict(record)


if __name__ == "__main__":
    main()
