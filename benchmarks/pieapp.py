"""PieAPP inside an attack: value and gradient by humimp.pieapp.Distance and by piq.PieAPP.

Both get the same weights and the same images in the same process, taking turns; each time is the
median of the repeats. The reference is computed before the clock starts for Distance, which
remembers it, as an attack does; piq computes it in every call. Peak memory is that of a fresh
process that only does the one thing. Prints a table and writes a JSON record.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import piq
import torch
import torch.nn.functional as F
from machine import machine
from piq.pieapp import PieAPPModel
from torch import Tensor, nn

from humimp import attacks, classifiers, datasets, pieapp, runs, weights

ROOT = Path(__file__).resolve().parents[1]
PIQ = "piq.PieAPP"
Measure = Callable[[Tensor], Tensor]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "--weights",
        default="random",
        help="'random' (default), 'official', 'small', or a file with a state dict",
    )
    add("--width", type=int, default=64, help="width of random weights (default 64, as published)")
    add("--size", type=int, default=299, help="side of the images in pixels (default 299)")
    add("--batch", type=int, default=1, help="number of images (default 1)")
    add("--stride", type=int, default=27, help="pixels between patches (default 27)")
    add("--patches", type=int, default=192, help="patches in memory at once (default 192)")
    add("--repeats", type=int, default=7, help="turns, of which the median counts (default 7)")
    add("--threads", type=int, default=0, help="CPU threads (default: PyTorch's choice)")
    add("--device", default="cpu", help="cpu (default) or cuda")
    add(
        "--reduced",
        nargs="*",
        default=[],
        choices=["tf32", "bfloat16"],
        help="reduced precisions to measure as well",
    )
    add(
        "--attacked",
        type=int,
        default=0,
        help="photographs to attack at each precision (default 0; needs foolbox's photographs)",
    )
    add("--out", type=Path, default=ROOT / "results" / "benchmarks" / "pieapp.json")
    add("--only", help=argparse.SUPPRESS)  # what a fresh process does, to measure its memory
    return parser.parse_args()


def network(kind: str, width: int = 64) -> pieapp.Network:
    """Make the network: random weights of a width, or those of a name or a file."""
    if kind == "random":
        torch.manual_seed(0)
        made = pieapp.Network(width)
        for layer in made.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight)
        for head in (made.fc2_score, made.fc2_weight):  # a mean with weights, never near 0/0
            nn.init.uniform_(head.weight, 0, 2 / made.hidden)
        nn.init.ones_(made.fc2_weight.bias)
        made.centre()
        return made.eval().requires_grad_(False)
    names = {"official": "pieapp", "small": "pieapp_small"}
    return pieapp.from_state(weights.load(names[kind]) if kind in names else weights.read(kind))


def by_piq(net: pieapp.Network, stride: int) -> nn.Module:
    """Give piq's PieAPP these weights, whatever their width, instead of its download."""
    with torch.device("meta"):
        model = type("Model", (PieAPPModel,), {"FEATURES": net.width})()
        for name in ("fc1_score", "fc2_score", "fc1_weight", "fc2_weight"):
            layer = net.get_submodule(name)
            setattr(model, name, nn.Linear(layer.in_features, layer.out_features))
    model.FEATURES = pieapp.PATCH
    model.to_empty(device="cpu").load_state_dict(net.state_dict())
    metric = piq.PieAPP.__new__(piq.PieAPP)
    nn.Module.__init__(metric)
    metric.model = model.requires_grad_(False)
    metric.data_range, metric.stride = 1.0, stride
    metric.reduction, metric.enable_grad = "none", True
    return metric


def pair(options: argparse.Namespace) -> tuple[Tensor, Tensor]:
    """Make smooth random images with some texture, and the same with noise, both 8 bit."""
    torch.manual_seed(1)
    shape = options.batch, 3, options.size, options.size
    smooth = F.interpolate(torch.rand(options.batch, 3, 9, 9), shape[2:], mode="bicubic")
    reference = (smooth + 0.05 * torch.randn(shape)).clamp(0, 1)
    images = (reference + 0.02 * torch.randn(shape)).clamp(0, 1)
    reference, images = ((255 * values).round() / 255 for values in (reference, images))
    return reference.to(options.device), images.to(options.device)


def measures(options: argparse.Namespace, reference: Tensor) -> dict[str, Measure]:
    """Give what is compared, by name; with --only, that one alone."""
    net = network(options.weights, options.width)
    found: dict[str, Measure] = {}
    for precision in ("float32", *options.reduced):
        name = f"Distance, {precision}"
        if options.only in (None, name):
            distance = pieapp.Distance(
                net, stride=options.stride, patches=options.patches, precision=precision
            )
            found[name] = distance.at(reference)
    if options.only in (None, PIQ):
        metric = by_piq(net, options.stride)
        found[PIQ] = lambda images: metric(images, reference)
    return found


def run(measure: Measure, images: Tensor) -> tuple[float, Tensor, Tensor]:
    """Compute value and gradient; give the seconds too."""
    images = images.detach().requires_grad_()
    wait(images)
    start = time.perf_counter()
    values = measure(images)
    (gradient,) = torch.autograd.grad(values.sum(), images)
    wait(images)
    return time.perf_counter() - start, values.detach(), gradient


def wait(images: Tensor) -> None:
    if images.is_cuda:
        torch.cuda.synchronize()


def peak(options: argparse.Namespace, name: str) -> int:
    """Measure the peak memory of a fresh process, in bytes."""
    command = [sys.executable, __file__, *sys.argv[1:], "--only", name]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def own_peak(device: str) -> int:
    if device != "cpu":
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    if status.exists():  # Linux: getrusage would count the process that started this one, too
        line = next(one for one in status.read_text().splitlines() if one.startswith("VmHWM"))
        return 1024 * int(line.split()[1])
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else 1024 * used


def agreement(found: tuple[Tensor, Tensor], wanted: tuple[Tensor, Tensor]) -> dict[str, float]:
    """Compare values and gradients with piq's; the worst image counts."""
    (value, gradient), (piq_value, piq_gradient) = found, wanted
    one, other = gradient.flatten(1), piq_gradient.flatten(1)
    return {
        "value_relative": float(((value - piq_value) / piq_value).abs().max()),
        "gradient_relative": float(((one - other).norm(dim=1) / other.norm(dim=1)).max()),
        "gradient_cosine": float(F.cosine_similarity(one, other).min()),
    }


def attack(options: argparse.Namespace, precision: str) -> dict[str, float]:
    """Attack photographs with this precision: mean L2 of the perturbation, and success in %."""
    model = classifiers.load("mobilenet_v2", device=options.device)
    images, labels, _ = datasets.photographs(options.attacked, 224)
    images, labels = images.to(options.device), labels.to(options.device)
    cost = pieapp.Distance(
        network(options.weights, options.width), patches=options.patches, precision=precision
    )
    attacked = attacks.imperceptible(model, images, labels, cost=cost)
    with torch.no_grad():
        wrong = model(attacked).argmax(1) != labels
    length = (attacked - images).flatten(1).norm(dim=1)
    return {"l2": float(length.mean()), "success": 100 * float(wrong.float().mean())}


def main() -> None:
    options = arguments()
    if options.threads:
        torch.set_num_threads(options.threads)
    reference, images = pair(options)
    compared = measures(options, reference)
    if options.only:
        run(compared[options.only], images)
        print(own_peak(options.device))
        return

    record = runs.provenance(
        machine=machine(options.device),
        threads=torch.get_num_threads(),
        load_before=os.getloadavg(),
        options={
            name: value for name, value in vars(options).items() if name not in ("out", "only")
        },
    )
    results = {name: run(measure, images)[1:] for name, measure in compared.items()}  # warms up
    seconds: dict[str, list[float]] = {name: [] for name in compared}
    for _ in range(options.repeats):
        for name, measure in compared.items():
            seconds[name].append(run(measure, images)[0])
    record["load_after"] = os.getloadavg()
    del compared

    medians = {name: statistics.median(times) for name, times in seconds.items()}
    ratios = {
        name: statistics.median(p / t for p, t in zip(seconds[PIQ], times, strict=True))
        for name, times in seconds.items()
    }
    print(f"{record['machine']}, {record['threads']} threads, load {record['load_after'][0]:.1f}")
    print(f"{options.batch} × {options.size} × {options.size}, {options.weights} weights\n")
    print(
        f"{'':20} {'seconds':>8} {'ratio':>6} {'peak GB':>8} "
        f"{'value':>8} {'gradient':>9} {'cosine':>7}"
    )
    record["measured"] = {}
    for name in medians:
        row = {
            "seconds_median": medians[name],
            "seconds": seconds[name],
            "ratio_to_piq_median_of_turns": ratios[name],
            "peak_bytes": peak(options, name),
            **agreement(results[name], results[PIQ]),
        }
        precision = name.removeprefix("Distance, ")
        if options.attacked and name != PIQ:
            row["attack"] = attack(options, precision)
        record["measured"][name] = row
        print(
            f"{name:20} {row['seconds_median']:8.3f} {row['ratio_to_piq_median_of_turns']:6.2f} "
            f"{row['peak_bytes'] / 1e9:8.2f} {row['value_relative']:8.0e} "
            f"{row['gradient_relative']:9.0e} {row['gradient_cosine']:7.4f} "
            + (json.dumps(row["attack"]) if "attack" in row else "")
        )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    runs.write_json(options.out, record)
    print(f"\nwritten to {options.out}")


if __name__ == "__main__":
    main()
