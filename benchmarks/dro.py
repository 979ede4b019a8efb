"""Algorithms 2 and 3 as they are listed, one image and one model at a time, and as humimp has them.

On digits with a simulated geography. Both are listed as plain loops with torch.optim.SGD, but for
the scale of the weights (in the listings a step grows with the number of attacks, here it is α on
average, as humimp has it) and the draws, which are humimp's, so that chance differs in neither.
Algorithm 2 attacks with PGD (L2). Algorithm 3 trains in batches with one model after the other, and
in batches with all models together. Models that are trained together must predict what they predict
when trained alone. A batch takes one step where the listing takes one for each image, so beside the
listings only the distances of the attacks and the accuracy of the models can agree, and must.
"""

import argparse
import copy
import itertools
import tempfile
from functools import partial
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from side_by_side import (
    Task,
    alone,
    begin,
    finish,
    headline,
    parser,
    show,
    take_turns,
    times,
    use,
    verdict,
)
from torch import nn

from humimp import attacks, classifiers, datasets, dro, experiment, simulation

ATTACK = partial(attacks.pgd_l2, steps=10)
BATCHES, LISTING_2 = "Algorithm 2, humimp", "Algorithm 2 as listed"
TOGETHER, APART = "Algorithm 3, humimp, together", "Algorithm 3, humimp, one after the other"
LISTING_3 = "Algorithm 3 as listed"
SAME_LABELS = 0.001  # share of the predicted labels that may differ between together and apart
SAME_L2 = 0.05  # relative, of the attacks' mean distance, between humimp and the listing
SAME_ACCURACY = 2.0  # percentage points, of the models' mean accuracy, between the same


def arguments() -> argparse.Namespace:
    made = parser(__doc__, "dro")
    add = made.add_argument
    add("--images", type=int, default=300, help="N, digits to train on (default 300)")
    add("--rounds", type=int, default=3, help="T1 (default 3)")
    add("--passes", type=int, default=3, help="T2 (default 3)")
    add("--models", type=int, default=50, help="models trained together (default 50)")
    add("--apart", type=int, default=4, help="models trained one after the other (default 4)")
    add("--batch", type=int, default=20, help="images per step (default 20)")
    add("--learning-rate", type=float, default=2e-4, help="for one image (default 2e-4)")
    add("--turns", type=int, default=3, help="turns (default 3)")
    return made.parse_args()


def listing_2(
    model: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    alpha: float,
    rounds: int,
    seed: int,
) -> dro.RobustDataset:
    """Algorithm 2 as listed, with humimp's draws and the scale of its weights: steps' mean is α."""
    model = copy.deepcopy(model).requires_grad_(True)
    optimizer = torch.optim.SGD(model.parameters(), lr=alpha)
    n = len(images)
    pool = [(images[i : i + 1], labels[i : i + 1], 1.0, i, 0) for i in range(n)]  # origin, round
    for k in range(1, rounds + 1):
        weights = torch.tensor([weight for _, _, weight, _, _ in pool], dtype=torch.float64)
        average = float(weights.square().sum() / weights.sum())
        drawn = dro._draw(weights, n, 2, seed, k)
        for i, j in enumerate(drawn.tolist(), start=1):
            x, y, weight, origin, _ = pool[j]
            optimizer.zero_grad()
            (weight / average * F.cross_entropy(model(x), y)).backward()
            optimizer.step()
            pool.append((ATTACK(model, x, y), y, float((k - 1) * n + i), origin, k))
    x, y, weight, origin, made = zip(*pool, strict=True)
    return dro.RobustDataset(
        torch.cat(x), torch.cat(y), torch.tensor(weight), torch.tensor(made), torch.tensor(origin)
    )


def listing_3(
    model: nn.Module, robust: dro.RobustDataset, alpha: float, passes: int, seed: int
) -> nn.Module:
    """Algorithm 3 as listed, with humimp's draws and the scale of its weights: steps' mean is α."""
    model = copy.deepcopy(model).requires_grad_(True)
    scaled = robust.weights / (robust.weights.square().sum() / robust.weights.sum())
    optimizer = torch.optim.SGD(model.parameters(), lr=alpha)
    count = passes * len(robust.weights)
    drawn = dro._draw(robust.weights, count, 3, seed)
    for j in drawn.tolist():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(robust.images[j : j + 1]), robust.labels[j : j + 1])
        (scaled[j].float() * loss).backward()
        optimizer.step()
    return model.eval().requires_grad_(False)


def l2(robust: dro.RobustDataset, originals: torch.Tensor) -> float:
    """Measure the mean Euclidean distance of a pool's attacks from their originals."""
    moved = (robust.images - originals[robust.origin])[robust.round > 0]
    return float(moved.flatten(1).norm(dim=1).mean())


def main() -> None:
    options = arguments()
    record = begin(options)
    known = simulation.simulate(datasets.digits("train"), seed=1)
    test = simulation.simulate(datasets.digits("test"), seed=2)
    images = known.images[: options.images].to(options.device)
    labels = known.labels[: options.images].to(options.device)
    model = classifiers.train(experiment.digits_network(), images, labels, epochs=30, shift=1)
    model = model.to(options.device)
    alpha = options.learning_rate
    steps: dict[str, Any] = {"learning_rate": alpha, "batch_size": options.batch}
    folder, numbers = tempfile.TemporaryDirectory(), itertools.count()

    def pool(turn: int) -> dro.RobustDataset:
        return dro.robust_dataset(
            model, images, labels, ATTACK, rounds=options.rounds, seed=turn, **steps
        )

    def trained(turn: int, count: int, together: int) -> pd.DataFrame:
        return dro.replicates(
            model, pools[turn], test=(test.images, test.labels, test.ids), passes=options.passes,
            out=f"{folder.name}/{next(numbers)}", seeds=range(count), together=together, **steps,
        )  # fmt: skip

    second: dict[str, Task] = {
        BATCHES: pool,
        LISTING_2: lambda turn: listing_2(model, images, labels, alpha, options.rounds, turn),
    }
    third: dict[str, Task] = {
        TOGETHER: lambda turn: trained(turn, options.models, options.models),
        APART: lambda turn: trained(turn, options.apart, 1),
        LISTING_3: lambda turn: listing_3(model, pools[turn], alpha, options.passes, turn),
    }
    if options.only:
        pools = [pool(0)]
        alone(second | third, options)
        return
    headline(record, f"{options.images} digits, T1 = {options.rounds}, T2 = {options.passes}")
    attacked, seconds = take_turns(second, options.turns, options.device)
    pools = attacked[BATCHES]
    made_images = options.rounds * options.images
    rows = times(seconds, BATCHES, made_images)
    use(rows, record, made_images, second)
    show(rows)

    found, taken = take_turns(third, options.turns, options.device)
    models = {TOGETHER: options.models, APART: options.apart, LISTING_3: 1}
    a_model = {name: [one / models[name] for one in taken[name]] for name in third}
    print("\nseconds a model, not an image:")
    more = times(a_model, TOGETHER, 1)
    for name in third:
        use(more, record, models[name], third, name)
    show(more)
    record["measured"] = rows | more

    together, apart = found[TOGETHER], found[APART]
    first = [one[one["replicate"] < options.apart].reset_index(drop=True) for one in together]
    ours = 100 * sum(one["correct"].mean() for one in together) / len(together)
    theirs = [classifiers.accuracy(one, test.images, test.labels, 500) for one in found[LISTING_3]]
    record["agreement"] = {
        "labels_that_differ": sum(
            float((one["predicted"] != other["predicted"]).mean())
            for one, other in zip(first, apart, strict=True)
        )
        / len(first),
        "l2": [sum(l2(one, images) for one in attacked[name]) for name in second],
        "accuracy": [float(ours), 100 * sum(theirs) / len(theirs)],
    }
    folder.cleanup()
    (mine, listed), (right, listed_right) = (
        record["agreement"][name] for name in ("l2", "accuracy")
    )
    record["equal"] = (
        record["agreement"]["labels_that_differ"] <= SAME_LABELS
        and abs(mine / listed - 1) <= SAME_L2
        and abs(right - listed_right) <= SAME_ACCURACY
    )
    finish(record, options)
    verdict(record)


if __name__ == "__main__":
    main()
