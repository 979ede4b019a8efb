"""What evaluate.run costs for 20, 100 and 1000 images: seconds an image, and memory.

Each number of images is a fresh process that runs PGD (L2) over so many images through
humimp.evaluate.run, which saves the attacked images, measures L2 and tries one JPEG compression.
The images are crops of the photographs, flipped and turned to make enough of them; the data set is
made before the clock starts. Memory is the process's peak, less what it had after a first batch was
run on data that was then dropped, less the data set's own bytes.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import torch
from side_by_side import begin, clock, crops, finish, own_peak, parser
from torch import Tensor

from humimp import attacks, classifiers, defenses, distances, evaluate


def arguments() -> argparse.Namespace:
    made = parser(__doc__, "scaling")
    add = made.add_argument
    add("--numbers", type=int, nargs="+", default=[20, 100, 1000], help="default 20 100 1000")
    add("--classifier", default="mobilenet_v2")
    add("--size", type=int, default=64, help="side of the images in pixels (default 64)")
    add("--batch", type=int, default=20, help="images in a batch (default 20)")
    add("--repeats", type=int, default=1, help="turns (default 1)")
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
    labels = classifiers.predict(model, images)
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
        before = own_peak(options.device)
        images = many(n, options.size)
        records, seconds = clock(lambda: attack(options, model, images, Path(folder) / "run"))
        data = images.numel() * images.element_size()
        print(
            json.dumps(
                {
                    "seconds": seconds,
                    "peak_bytes": own_peak(options.device),
                    "peak_bytes_of_one_batch": before,
                    "data_bytes": data,
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
            command = [sys.executable, *sys.argv, "--only", str(n)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found[n].append(json.loads(done.stdout.splitlines()[-1]))
    print(f"PGD (L2) through evaluate.run, images of {options.size}, {record['machine']}")
    print(f"{'images':>8} {'s an image':>11} {'peak MB':>8} {'grown by, but for the data, MB':>31}")
    record["measured"] = {}
    for n, turns in found.items():
        row = {
            "seconds_median": statistics.median(turn["seconds"] for turn in turns) / n,
            "seconds": [turn["seconds"] / n for turn in turns],
            "peak_bytes": max(turn["peak_bytes"] for turn in turns),
            "data_bytes": turns[0]["data_bytes"],
            "grown_bytes": max(
                turn["peak_bytes"] - turn["peak_bytes_of_one_batch"] - turn["data_bytes"]
                for turn in turns
            ),
            "success": turns[0]["success"],
        }
        record["measured"][str(n)] = row
        print(
            f"{n:8} {row['seconds_median']:11.4f} {row['peak_bytes'] / 1e6:8.0f} "
            f"{row['grown_bytes'] / 1e6:31.0f}"
        )
    first, *_, last = record["measured"].values()
    record["cost_of_last_by_first"] = last["seconds_median"] / first["seconds_median"]
    finish(record, options)


if __name__ == "__main__":
    main()
