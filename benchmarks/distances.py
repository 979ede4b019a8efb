"""LPIPS and DISTS of a batch by humimp.distances, by their authors' packages and by piq.

All get the same weights and the same pairs: photographs and the same with noise of a few levels.
piq's DISTS resizes to 256 first, so it is compared at that size or below only. "one image at a
time" is the loop of who calls the package for each pair. Values are compared in the same run.

"known reference" is what could be had if the features of the originals were kept and several
attacks on the same images measured: the network runs over the attacked images alone.
"""

import argparse
from collections.abc import Callable
from functools import cache, partial
from types import SimpleNamespace
from unittest.mock import patch

import piq
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
)
from torch import Tensor, nn

from humimp import distances, weights
from humimp.images import validate
from humimp.rounding import rounding

TOLERANCE = 1e-5  # of a value, which is of the order of 0.01 to 0.1
OURS = "humimp"
Measure = Callable[[Tensor, Tensor], Tensor]


def arguments() -> argparse.Namespace:
    made = parser(__doc__, "distances")
    add = made.add_argument
    add("--images", type=int, default=4, help="pairs of images (default 4)")
    add("--size", type=int, default=224, help="side of the images in pixels (default 224)")
    add("--repeats", type=int, default=3, help="turns (default 3)")
    return made.parse_args()


def theirs(name: str) -> nn.Module:
    """Build an authors' network, while torchvision hands out checkpoints from this machine."""

    def backbone(network: str) -> SimpleNamespace:
        with torch.device("meta"):
            features = torchvision.models.get_model(network, weights=None).features
        state = weights.load(f"{network}_features")
        state = {key.removeprefix("features."): value for key, value in state.items()}
        features.load_state_dict(state, assign=True)
        return SimpleNamespace(features=features)

    models = SimpleNamespace(
        vgg16=lambda pretrained: backbone("vgg16"), alexnet=lambda pretrained: backbone("alexnet")
    )
    import lpips  # type: ignore[import-not-found]
    from DISTS_pytorch import DISTS_pt  # type: ignore[import-not-found]

    if name != "dists":
        with patch.object(lpips.pretrained_networks, "tv", models):
            made: nn.Module = lpips.LPIPS(net=name, verbose=False)
        return made
    with patch.object(DISTS_pt, "models", models):
        dists: nn.Module = DISTS_pt.DISTS(load_weights=False)
    dists.load_state_dict(torch.load(weights.path("dists"), weights_only=True), strict=False)
    return dists


def by_piq(name: str) -> nn.Module:
    """Build a class of piq's with these weights instead of its downloads."""
    if name == "vgg":
        linear = weights.load("lpips_vgg")
        made = piq.LPIPS.__new__(piq.LPIPS)
        own = {
            "weights": [linear[f"lin{number}.weight"] for number in range(5)],
            "normalize_features": True,
        }
    else:
        state = weights.load("dists")
        total = state["alpha"].sum() + state["beta"].sum()
        parts = (state[key] / total for key in ("alpha", "beta"))
        made = piq.DISTS.__new__(piq.DISTS)
        own = {
            "weights": [piece for part in parts for piece in part.split(distances._CHANNELS, 1)],
            "replace_pooling": True,
            "allow_layers_weights_mismatch": True,
        }
    layers = distances._LAYERS["vgg"]
    piq.ContentLoss.__init__(
        made, distances._features("vgg"), layers=layers, reduction="none", **own
    )
    return made


def pairs(options: argparse.Namespace) -> tuple[Tensor, Tensor]:
    """Give photographs, and the same with noise of three levels, both 8 bit."""
    original = validate(crops(options.images, options.size)[0], "round")
    noise = torch.randn(original.shape, generator=torch.Generator().manual_seed(0))
    other = validate(original + 3 / 255 * noise, "round")
    return original.to(options.device), other.to(options.device)


def known_reference(original: Tensor) -> Measure:
    """LPIPS with the features of the originals at hand, a few images at a time."""
    network = distances.LPIPSNetwork("vgg")
    count = max(1, distances._PIXELS["vgg"] // (original.shape[2] * original.shape[3]))
    kept = [network.features(part) for part in original.split(count)]

    def measure(original: Tensor, images: Tensor) -> Tensor:
        parts = zip(kept, images.split(count), strict=True)
        return torch.cat([network.between(one, network.features(part)) for one, part in parts])

    return measure


def compared(
    options: argparse.Namespace, original: Tensor
) -> dict[str, dict[str, Callable[[], Measure]]]:
    """Give what is compared: distance, then name, to what makes (original, images) → (N,)."""

    def placed(network: nn.Module) -> nn.Module:
        return network.to(options.device).requires_grad_(False)

    def one_by_one(measure: Measure) -> Measure:
        def loop(original: Tensor, images: Tensor) -> Tensor:
            both = zip(original.split(1), images.split(1), strict=True)
            return torch.cat([measure(one, other).flatten() for one, other in both])

        return loop

    @cache
    def authors(name: str) -> nn.Module:
        return placed(theirs(name))

    def lpips(net: str) -> Measure:
        return partial(authors(net), normalize=True)

    found: dict[str, dict[str, Callable[[], Measure]]] = {
        "LPIPS-VGG": {
            OURS: lambda: distances.LPIPS("vgg"),
            "lpips": lambda: lpips("vgg"),
            "lpips, one image at a time": lambda: one_by_one(lpips("vgg")),
            "piq": lambda: placed(by_piq("vgg")),
            "humimp, known reference": lambda: known_reference(original),
        },
        "LPIPS-Alex": {OURS: lambda: distances.LPIPS("alex"), "lpips": lambda: lpips("alex")},
        "DISTS": {
            OURS: distances.DISTS,
            "dists-pytorch": lambda: authors("dists"),
            "dists-pytorch, one image at a time": lambda: one_by_one(authors("dists")),
        },
    }
    if options.size <= 256:
        found["DISTS"]["piq"] = lambda: placed(by_piq("dists"))
    return found


def main() -> None:
    options = arguments()
    record = begin(options, tolerance=TOLERANCE)
    original, images = pairs(options)
    with torch.no_grad():
        sides: dict[str, dict[str, Task]] = {}
        for distance, by in compared(options, original).items():
            named = {f"{distance}, {name}": make for name, make in by.items()}
            built = {name: make() for name, make in named.items() if options.only in (None, name)}
            sides[distance] = {
                name: (lambda turn, one=one: one(original, images).flatten())
                for name, one in built.items()
            }
        if options.only:
            alone({name: task for one in sides.values() for name, task in one.items()}, options)
            return
        headline(record, f"{options.images} pairs of {options.size}")
        record["measured"], record["agreement"] = {}, {}
        for tasks in sides.values():
            with rounding():  # a GPU computes all sides in full float32, as humimp asks for
                for task in tasks.values():
                    task(0)  # warms up
                made, seconds = take_turns(tasks, options.repeats, options.device)
            ours, peer = list(tasks)[:2]
            rows = times(seconds, ours, options.images)
            use(rows, record, options.images, tasks, ours, peer)
            show(rows)
            record["measured"] |= rows
            record["agreement"] |= {
                name: float((value / made[ours][0] - 1).abs().max())
                for name, (value, *_) in made.items()
                if name != ours
            }
    record["equal"] = max(record["agreement"].values()) <= TOLERANCE
    finish(record, options)
    verdict(record)


if __name__ == "__main__":
    main()
