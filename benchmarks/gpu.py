"""What decides an attack's speed on a GPU: how ResNet-50 rounds, how much PieAPP does at once.

Prints a line for each: milliseconds an image, the arithmetic's rate, and for PieAPP the memory. All
are one forward and one backward pass to the images, the median of three after a first that is not
counted, for kernels are chosen for each new shape then; and a step of training.
"""

import argparse
import statistics
from collections.abc import Callable, Iterator
from typing import Any

import torch
from pieapp import network
from side_by_side import ROOT, Arithmetic, begin, clock, crops, finish, parser
from torch import Tensor

from humimp import classifiers, dro, pieapp

CUDNN = {
    "TF32": {"deterministic": False, "allow_tf32": True},
    "TF32, deterministic": {"deterministic": True, "allow_tf32": True},
    "float32": {"deterministic": False, "allow_tf32": False},
    "float32, deterministic": {"deterministic": True, "allow_tf32": False},
}


def arguments() -> argparse.Namespace:
    made = parser(__doc__, "gpu")
    add = made.add_argument
    add("--classifier", default="resnet50_he2016")
    add("--size", type=int, default=299, help="side of the images in pixels (default 299)")
    add("--batches", type=int, nargs="+", default=[16, 50], help="default 16 50")
    add("--patches", type=int, nargs="+", default=[192, 648, 1944], help="default 192 648 1944")
    add("--width", type=int, default=64, help="of PieAPP (default 64, as published)")
    options = made.parse_args()
    options.out = options.out or ROOT / "results/benchmarks/gpu.json"
    return options


def passes(function: Callable[[Tensor], Tensor], images: Tensor, device: str) -> dict[str, float]:
    """Time value and gradient, and count the arithmetic."""

    def step() -> None:
        x = images.detach().requires_grad_()
        torch.autograd.grad(function(x).sum(), x)

    with Arithmetic() as counted:
        step()
    seconds = statistics.median(clock(step, device)[1] for _ in range(3))
    return {"seconds": seconds / len(images), "rate": counted.operations / seconds}


def measured(options: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    """Measure one thing after the other; give its name and what was found."""
    device = options.device
    images = crops(max(options.batches), options.size)[0].to(device)
    model = classifiers.load(options.classifier, device=device)
    for batch in options.batches:
        x = images[:batch]
        for name, switches in CUDNN.items():
            with torch.backends.cudnn.flags(enabled=True, **switches):
                found = passes(lambda x: model(x).logsumexp(1), x, device)
            yield f"{options.classifier}, {batch} images, {name}", found
        with torch.autocast(torch.device(device).type, torch.bfloat16):
            found = passes(lambda x: model(x).logsumexp(1), x, device)
        yield f"{options.classifier}, {batch} images, bfloat16", found
    x = images[: max(options.batches)]
    net = network("random", options.width)
    for precision in ("float32", "tf32", "bfloat16"):
        for patches in options.patches:
            cost = pieapp.Distance(net, patches=patches, precision=precision).at(x)
            moved = (x + 0.02 * torch.randn_like(x)).clamp(0, 1)
            if device != "cpu":
                torch.cuda.reset_peak_memory_stats()
            found = passes(cost, moved, device)
            if device != "cpu":
                found["peak_bytes"] = torch.cuda.max_memory_allocated()
            yield f"PieAPP, {precision}, {patches} patches at once", found
    trained = classifiers.load(options.classifier, device=device, fold=False)
    pool = dro.clean(x, classifiers.predict(trained, x))
    for mixed in (False, True):

        def train(mixed: bool = mixed) -> None:
            dro.train(
                trained, pool, learning_rate=1e-5, passes=1, batch_size=25, mixed_precision=mixed
            )

        train()
        seconds = clock(train, device)[1] / len(pool.images)
        yield f"a step of training{', mixed precision' if mixed else ''}", {"seconds": seconds}


def main() -> None:
    options = arguments()
    record = begin(options)
    record["measured"] = {}
    rates = ", ".join(
        f"{name} {rate / 1e12:.1f}" for name, rate in record["matmul_per_second_in"].items()
    )
    print(f"{record['machine']}; TFLOP/s in a matrix product: {rates}")
    for name, found in measured(options):
        record["measured"][name] = found
        rate = f"{found['rate'] / 1e12:8.2f} TFLOP/s" if "rate" in found else ""
        peak = f"{found['peak_bytes'] / 1e9:6.1f} GB" if "peak_bytes" in found else ""
        print(f"{name:58} {1e3 * found['seconds']:9.2f} ms an image {rate} {peak}", flush=True)
    finish(record, options)


if __name__ == "__main__":
    main()
