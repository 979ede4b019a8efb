"""Success under JPEG compression and bit depths (Figure 4): a batch at a time, and in a plain loop.

humimp defends a batch at each level and asks the classifier once about all of it, as
humimp.evaluate does. "one image at a time" is the plain loop: each image through Pillow, or
rounded, at each level, and one call of the classifier for each. Defended images are compared pixel
by pixel, and predictions, in the same run.
"""

import argparse
import io

import numpy as np
import torch
from PIL import Image
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

from humimp import classifiers
from humimp.defenses import bit_depth, jpeg
from humimp.images import to_uint8, validate

OURS, PLAIN = "humimp", "one image at a time"
QUALITIES = (90, 80, 70, 60, 50, 40, 30)
BITS = (7, 6, 5, 4, 3, 2)


def arguments() -> argparse.Namespace:
    made = parser(__doc__, "defenses")
    add = made.add_argument
    add("--classifier", default="mobilenet_v2")
    add("--images", type=int, default=20, help="images (default 20)")
    add("--size", type=int, default=224, help="side of the images in pixels (default 224)")
    add("--batch", type=int, default=5, help="images in a turn (default 5)")
    return made.parse_args()


def plain_jpeg(image: Tensor, quality: int) -> Tensor:
    """Compress and decompress one image (3, H, W)."""
    file = io.BytesIO()
    levels = (image.cpu().numpy() * 255).round().astype(np.uint8).transpose(1, 2, 0)
    Image.fromarray(levels).save(file, "JPEG", quality=quality)
    decoded = np.asarray(Image.open(file)).transpose(2, 0, 1)
    return torch.tensor(decoded.astype(np.float32) / 255, device=image.device)


def plain_bits(image: Tensor, bits: int) -> Tensor:
    """Round one image (3, H, W) to fewer levels, and these to 8 bit."""
    top = 2**bits - 1
    return torch.round(torch.round(image * top) / top * 255) / 255


def made_by(model: nn.Module, images: Tensor, plain: bool, kind: str) -> tuple[Tensor, Tensor]:
    """Defend images at all levels; give levels of 8 bit and predictions, a row per level."""
    together, alone = (jpeg, plain_jpeg) if kind == "JPEG" else (bit_depth, plain_bits)
    defended, predicted = [], []
    for level in QUALITIES if kind == "JPEG" else BITS:
        if plain:
            one_by_one = [alone(image, level) for image in images]
            predicted.append(torch.cat([model(image[None]).argmax(1) for image in one_by_one]))
            defended.append(to_uint8(torch.stack(one_by_one)))
        else:
            batch = together(images, level)
            predicted.append(model(batch).argmax(1))
            defended.append(to_uint8(batch))
    return torch.stack(defended), torch.stack(predicted)


def main() -> None:
    options = arguments()
    record = begin(options, qualities=QUALITIES, bits=BITS)
    model = classifiers.load(options.classifier, device=options.device)
    images = validate(crops(options.images, options.size)[0], "round").to(options.device)
    given = images.split(options.batch)
    sides: dict[str, dict[str, Task]] = {
        kind: {
            f"{kind}, {name}": lambda turn, plain=name == PLAIN, kind=kind: made_by(
                model, given[turn], plain, kind
            )
            for name in (OURS, PLAIN)
        }
        for kind in ("JPEG", "bit depth")
    }
    with torch.no_grad():
        if options.only:
            alone({name: task for one in sides.values() for name, task in one.items()}, options)
            return
        model(given[0])  # warms up
        headline(record, f"{options.images} images of {options.size}, {options.classifier}")
        record["measured"], record["agreement"] = {}, {}
        for kind, tasks in sides.items():
            made, seconds = take_turns(tasks, len(given), options.device)
            rows = times(seconds, f"{kind}, {OURS}", options.batch)
            use(rows, record, options.batch, tasks)
            show(rows)
            record["measured"] |= rows
            levels, labels = zip(*(zip(*made[name], strict=True) for name in tasks), strict=True)
            record["agreement"][kind] = {
                "pixels_that_differ": sum(
                    int((one != other).sum()) for one, other in zip(*levels, strict=True)
                ),
                "predictions_that_differ": sum(
                    int((one != other).sum()) for one, other in zip(*labels, strict=True)
                ),
            }
    record["equal"] = not any(sum(found.values()) for found in record["agreement"].values())
    finish(record, options)
    verdict(record)


if __name__ == "__main__":
    main()
