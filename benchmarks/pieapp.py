"""PieAPP inside an attack: value and gradient by humimp.pieapp.Distance and by piq.PieAPP.

Both get the same weights and the same images in the same process, taking turns. The reference is
computed before the clock starts for Distance, which remembers it, as an attack does; piq computes
it in every call.

Checked in the same run: values in float32 agree. Gradients do where ReLU and max-pooling have no
ties; where they have, rounding decides which way a gradient goes.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import piq
import torch
import torch.nn.functional as F
from piq.pieapp import PieAPPModel
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
from torch import Tensor, nn

from humimp import attacks, classifiers, datasets, pieapp, weights

OURS, PIQ = "humimp", "piq.PieAPP"
TOLERANCE = 1e-4  # of a value, in float32
Measure = Callable[[Tensor], Tensor]


def arguments() -> argparse.Namespace:
    made = parser(__doc__, "pieapp")
    add = made.add_argument
    add(
        "--weights",
        default="random",
        help="'random' (default), 'official', 'small', or a file with a state dict",
    )
    add("--width", type=int, default=64, help="width of random weights (default 64, as published)")
    add("--size", type=int, default=299, help="side of the images in pixels (default 299)")
    add("--batch", type=int, default=1, help="number of images (default 1)")
    add("--stride", type=int, default=27, help="pixels between patches (default 27)")
    add("--patches", type=int, help="patches in memory at once (default: the package's)")
    add("--repeats", type=int, default=7, help="turns, of which the median counts (default 7)")
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
    return parsed(made)


def parsed(made: argparse.ArgumentParser) -> argparse.Namespace:
    """Parse the options; weights of PieAPP that are not random are part of the record's name."""
    options = made.parse_args()
    if options.weights != "random":
        options.record += f"_{Path(options.weights).stem}"
    return options


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
        name = OURS if precision == "float32" else f"{OURS}, {precision}"
        if options.only in (None, name):
            found[name] = distance(options, net, precision).at(reference)
    if options.only in (None, PIQ):
        metric = by_piq(net, options.stride).to(options.device)
        found[PIQ] = lambda images: metric(images, reference)
    return found


def distance(options: argparse.Namespace, net: pieapp.Network, precision: str) -> pieapp.Distance:
    """Make our distance."""
    return pieapp.Distance(net, stride=options.stride, patches=options.patches, precision=precision)


def step(measure: Measure, images: Tensor) -> tuple[Tensor, Tensor]:
    """Compute value and gradient."""
    images = images.detach().requires_grad_()
    values = measure(images)
    (gradient,) = torch.autograd.grad(values.sum(), images)
    return values.detach(), gradient


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
    cost = distance(options, network(options.weights, options.width), precision)
    attacked = attacks.imperceptible(model, images, labels, cost=cost)
    with torch.no_grad():
        wrong = model(attacked).argmax(1) != labels
    length = (attacked - images).flatten(1).norm(dim=1)
    return {"l2": float(length.mean()), "success": 100 * float(wrong.float().mean())}


def main() -> None:
    options = arguments()
    record = begin(options, tolerance=TOLERANCE)
    reference, images = pair(options)
    compared = measures(options, reference)
    sides: dict[str, Task] = {
        name: lambda turn, measure=measure: step(measure, images)
        for name, measure in compared.items()
    }
    if options.only:
        sides[options.only](0)  # what is remembered of the reference, the turns have, too
        alone(sides, options)
        return
    results = {name: task(0) for name, task in sides.items()}  # warms up
    headline(
        record,
        f"PieAPP and its gradient, {options.batch} × {options.size} × {options.size}, "
        f"weights: {options.weights}",
    )
    record["measured"] = times(
        take_turns(sides, options.repeats, options.device)[1], OURS, options.batch
    )
    use(record["measured"], record, options.batch, sides)
    show(record["measured"])
    record["agreement"] = {
        name: agreement(found, results[PIQ]) for name, found in results.items() if name != PIQ
    }
    record["equal"] = record["agreement"][OURS]["value_relative"] <= TOLERANCE
    if options.attacked:
        record["attack"] = {
            precision: attack(options, precision) for precision in ("float32", *options.reduced)
        }
        print("attacked with each precision:", json.dumps(record["attack"]))
    finish(record, options)
    verdict(record)


if __name__ == "__main__":
    main()
