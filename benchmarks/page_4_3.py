"""What Section 4 takes at a profile: Algorithm 2 with each attack, and Algorithm 3's many models.

The parameters are those of book/profiles/PROFILE.yml for page 4.3. Measured are, on a few images:
an attack on one of them, with each of the three attacks; a step of training on one; a prediction of
one. What the page needs is T1 N attacks and as many steps for each of the three data sets, then T2
M steps for each model, of which each data set and plain fine-tuning have --models, and their
predictions. PerC_AL, which has no early stop, takes --most-steps steps and is scaled up.

Attacks see the network that Algorithm 2 starts from; where PieAPP's official weights are not to be
had, random ones of its width cost the same. On a GPU each entry is done once before it is timed.
"""

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

from page_3_2 import ground_cost, measured, page
from side_by_side import begin, clock, finish, parser

from humimp import attacks, classifiers, datasets, dro

PAGE = "04_3_results"


def arguments() -> argparse.Namespace:
    made = parser(__doc__, "page_4_3")
    add = made.add_argument
    add("--profile", default="paper", help="paper (default) or paper_cpu")
    add("--classifier", help="another than the profile's")
    add("--measured", type=int, help="images to measure on (default 4, on a GPU the batch)")
    add("--most-steps", type=int, default=20, help="of PerC_AL (default 20)")
    options = made.parse_args()
    options.record += f"_{options.profile}"
    return options


def main() -> None:
    options = arguments()
    given = page(options.profile, PAGE)
    given |= {"classifier": options.classifier or given["classifier"]}
    record = begin(options, page=given)
    device, n = options.device, measured(options, given)
    model = classifiers.load(given["classifier"], device=device, fold=False)
    x = datasets.load(given["images"], n, size=given["size"]).images.to(device)
    labels = classifiers.predict(model, x)
    pool = dro.clean(x, labels, given["rounds"])
    moves = {"steps": given["steps"], "step_size": given["step_size"]}
    taken = min(given["perc_al_steps"], options.most_steps)
    price = ground_cost(given["cost"], device)
    sets, rounds, passes = 3, given["rounds"], given["passes"]
    for_sets = sets * rounds * given["n_train"]
    pooled = (1 + rounds) * given["n_train"]
    for_models = (sets + 1) * given["n_models"] * passes * pooled
    train = partial(
        dro.train, learning_rate=given["learning_rate"], passes=1, batch_size=given["batch_size"]
    )
    entries: dict[str, tuple[Callable[[], Any], float, float]] = {  # task, images in it, wanted
        "PGD": (partial(attacks.pgd_l2, model, x, labels, **moves), n, for_sets / sets),
        "PerC_AL": (
            partial(attacks.perc_al, model, x, labels, steps=taken),
            n * taken / given["perc_al_steps"],
            for_sets / sets,
        ),
        "Ours": (
            partial(attacks.imperceptible, model, x, labels, cost=price, lam=given["lam"], **moves),
            n,
            for_sets / sets,
        ),
        "steps of Algorithm 2": (partial(train, model, pool), len(pool.images), for_sets),
        "steps of Algorithm 3": (
            partial(train, model, pool, mixed_precision=given["mixed_precision"]),
            len(pool.images),
            for_models,
        ),
        "predictions": (
            partial(classifiers.predict, model, x),
            n,
            (sets + 1) * given["n_models"] * given["n_images"],
        ),
    }
    record["measured"] = {}
    for name, (task, images, wanted) in entries.items():
        if device != "cpu":
            task()
        seconds = clock(task, device)[1] / images
        record["measured"][name] = {
            "seconds": seconds, "images": wanted, "page_seconds": seconds * wanted
        }  # fmt: skip
    total = sum(row["page_seconds"] for row in record["measured"].values())
    record["total"] = {"page_seconds": total}
    print(
        f"page 4.3, profile {options.profile}: {given['n_train']} images of {given['size']} to "
        f"train on, {given['n_models']} models each, {given['classifier']}, {given['cost']}\n"
        f"{record['machine']}, {record['threads']} threads\n"
        f"{'':24} {'s an image':>10} {'images':>10} {'s the page':>11} {'share':>6}"
    )
    for name, row in record["measured"].items():
        print(
            f"{name:24} {row['seconds']:10.4f} {row['images']:10.0f} {row['page_seconds']:11.1f} "
            f"{row['page_seconds'] / total:6.1%}"
        )
    print(f"{'all':24} {'':21} {total:11.1f}")
    finish(record, options)


if __name__ == "__main__":
    main()
