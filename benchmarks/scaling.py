"""What evaluate.run costs for 20, 100 and 1000 images: seconds an image, and memory.

Each number of images is a fresh process that runs PGD (L2) over so many images through
humimp.evaluate.run, which saves the attacked images, measures L2 and tries one JPEG compression.
The images are crops of the photographs, flipped and turned to make enough of them; the data set is
made, and a first batch run on others, before the clock starts. Memory is that of another process
that does the same, in which what is freed is given back to the system at once, so that its peak
counts what is held and not what the allocator keeps: by how much the run raises it above what was
there before, the data set included.
"""

import argparse
import json
import statistics
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import torch
from side_by_side import begin, clock, crops, finish, forget_peak, fresh, own_peak, parser
from torch import Tensor

from humimp import attacks, classifiers, defenses, distances, evaluate

GIVEN_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536"}  # glibc: tensors of 64 KB and more, when freed


def arguments() -> argparse.Namespace:
    made = parser(__doc__, "scaling")
    add = made.add_argument
    add("--numbers", type=int, nargs="+", default=[20, 100, 1000], help="default 20 100 1000")
    add("--classifier", default="mobilenet_v2")
    add("--size", type=int, default=64, help="side of the images in pixels (default 64)")
    add("--batch", type=int, default=20, help="images in a batch (default 20)")
    add("--repeats", type=int, default=3, help="turns (default 3)")
    return made.parse_args()


def many(n: int, size: int) -> Tensor:
    """Make n different images: crops in all eight positions of a square, then shifted."""
    images, found = crops(100, size)[0], torch.empty(n, 3, size, size)
    for index in range(n):
        turn, rest = divmod(index, len(images))
        image = images[rest].rot90(turn % 4, (1, 2))
        found[index] = image.flip(2) if turn // 4 % 2 else image
        found[index] = found[index].roll(turn // 8, 1)
    return found


def attack(options: argparse.Namespace, model: Any, images: Tensor, out: Path) -> Any:
    """Run PGD over images, all of them labelled with what the classifier says."""
    labels = classifiers.predict(model, images, options.batch)
    ids = [f"{number:05d}" for number in range(len(images))]
    return evaluate.run(
        attacks.pgd_l2,
        model,
        (images, labels, ids),
        out=out,
        measures={"l2": distances.l2},
        defenses={"jpeg_70": partial(defenses.jpeg, quality=70)},
        batch_size=options.batch,
    )


def alone(options: argparse.Namespace) -> None:
    """Do one number of images and print what it took."""
    n = int(options.only)
    model = classifiers.load(options.classifier, device=options.device)
    with tempfile.TemporaryDirectory() as folder:
        attack(options, model, many(options.batch, options.size), Path(folder) / "first")
        images = many(n, options.size)
        forget_peak(options.device)
        before = own_peak(options.device)
        records, seconds = clock(lambda: attack(options, model, images, Path(folder) / "run"))
        print(
            json.dumps(
                {
                    "seconds": seconds,
                    "before_bytes": before,
                    "work_bytes": own_peak(options.device) - before,
                    "data_bytes": images.nbytes,
                    "success": int(records["success"].sum()),
                }
            )
        )


def main() -> None:
    options = arguments()
    if options.only:
        torch.set_num_threads(options.threads or torch.get_num_threads())
        alone(options)
        return
    record = begin(options)
    found: dict[int, list[dict[str, Any]]] = {n: [] for n in options.numbers}
    for turn in range(options.repeats):
        for n in options.numbers[:: -1 if turn % 2 else 1]:
            found[n].append(fresh(str(n)))
    print(f"PGD (L2) through evaluate.run, images of {options.size}, {record['machine']}")
    print(f"{'images':>8} {'s an image':>11} {'data MB':>8} {'run MB':>8}")
    record["measured"] = {}
    for n, turns in found.items():
        memory = fresh(str(n), **GIVEN_BACK)
        row = {
            "seconds_median": statistics.median(turn["seconds"] for turn in turns) / n,
            "seconds": [turn["seconds"] / n for turn in turns],
            **{key: memory[key] for key in ("before_bytes", "data_bytes", "work_bytes")},
            "success": memory["success"],
        }
        record["measured"][str(n)] = row
        print(
            f"{n:8} {row['seconds_median']:11.4f} {row['data_bytes'] / 1e6:8.1f} "
            f"{row['work_bytes'] / 1e6:8.0f}",
            flush=True,
        )
    first, *_, last = record["measured"].values()
    record["cost_of_last_by_first"] = last["seconds_median"] / first["seconds_median"]
    record["work_of_last_by_first"] = last["work_bytes"] / first["work_bytes"]
    finish(record, options)


if __name__ == "__main__":
    main()
