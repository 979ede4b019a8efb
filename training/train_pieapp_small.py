"""Train PieAPP-small: the PieAPP network, slim, on the committee's preferences.

For two distortions A and B of one photograph, with the network's errors s_A and s_B, the network
says P(A preferred to B) = σ(s_B − s_A), as PieAPP does (Prashnani et al. 2018, Eq. 1). It is fitted
to the committee's P by cross-entropy. Three things are added.

- The same cross-entropy on σ(4 log s_B − 4 log s_A), so that near-invisible distortions, whose
  errors differ by little, are put in order as well as gross ones.
- A distortion at part of its strength, x + t (y − x), is to have a smaller error than at its whole.
- The biases of the error's two layers are 0, and the last weights of both branches at least 0. So
  the error is a non-negative function of the difference of features that is 0 at the reference,
  whatever the image; patches' weights are positive.

The run is deterministic on one thread of a CPU. It may be stopped and started again: it goes on
from its last checkpoint, and every batch depends on the seed and the step alone.
"""

import argparse
import io
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor

from humimp import files, pieapp
from training import committee

WIDTH, HIDDEN = 12, 64
SLOPE = 4.0  # of the logarithm in the second loss
FLOOR = 1e-3  # added to errors before the logarithm
PHOTOGRAPHS, DISTORTED = 4, 12  # in a batch; distortions of each photograph
LEARNING_RATE, WARM_UP, COOLING, DECAY = 1.5e-3, 100, 300, 0.02
PIXEL = 64.0  # while it is trained, the network sees pixels in [0, 255] divided by this
VALIDATION = 16  # photographs of the training set that are only watched


class Data(NamedTuple):
    """Crops and what the committee says.

    Attributes
    ----------
    references
        Shape (P, 96, 96, 3), uint8.
    distorted
        One array (N, 96, 96, 3), uint8, per photograph.
    quantiles
        One array (N, members) per photograph.
    """

    references: list[np.ndarray]
    distorted: list[np.ndarray]
    quantiles: list[np.ndarray]


def network(seed: int) -> pieapp.Network:
    """Build the network at its start, for pixels in [0, 255] divided by ``PIXEL``."""
    torch.manual_seed(seed)
    net = pieapp.Network(WIDTH, HIDDEN)
    for name, layer in net.named_children():
        if name.startswith("conv"):
            torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            torch.nn.init.zeros_(layer.bias)
    with torch.no_grad():
        first = net.conv1.weight
        first[WIDTH // 4 :] -= first[WIDTH // 4 :].mean((1, 2, 3), keepdim=True)
        for layer in (net.fc1_score, net.fc1_weight):
            layer.weight.normal_(0, layer.in_features**-0.5)
            layer.bias.zero_()
        for layer in (net.fc2_score, net.fc2_weight):
            layer.weight.uniform_(0, 2 / HIDDEN)
        net.fc2_weight.bias.fill_(1)
        net.fc2_score.bias.zero_()
        net.ref_score_subtract.weight.fill_(1000)
        net.ref_score_subtract.bias.zero_()
    for fixed in (net.fc1_score.bias, net.fc2_score.bias, *net.ref_score_subtract.parameters()):
        fixed.requires_grad_(False)
    return net.to(memory_format=torch.channels_last)


@torch.no_grad()
def constrain(net: pieapp.Network) -> None:
    """Put the weights back into the set in which the error is never negative."""
    net.fc2_score.weight.clamp_(min=0)
    net.fc2_weight.weight.clamp_(min=0)
    net.fc2_weight.bias.clamp_(min=0.1)


def patches(crops: Tensor, corners: Sequence[tuple[int, int]]) -> Tensor:
    """Cut patches, shape (N, 3, 96, 96) -> (N · corners, 3, 64, 64), those of a crop together."""
    side = pieapp.PATCH
    cut = [crops[:, :, row : row + side, column : column + side] for row, column in corners]
    result = torch.stack(cut, dim=1).flatten(0, 1)
    return result.contiguous(memory_format=torch.channels_last)


def errors(
    net: pieapp.Network,
    reference: Tensor,
    distorted: Tensor,
    corners: Sequence[tuple[int, int]],
) -> Tensor:
    """Errors of distortions of some photographs.

    Parameters
    ----------
    net
        The network.
    reference
        Shape (P, 3, 96, 96), pixels in [0, 255] divided by ``PIXEL``.
    distorted
        Shape (P, K, 3, 96, 96), likewise.
    corners
        Where the patches begin.

    Returns
    -------
    Tensor
        Shape (P, K).
    """
    p, k = distorted.shape[:2]
    n = len(corners)
    features = net.features(patches(torch.cat([reference, distorted.flatten(0, 1)]), corners))

    def change(values: Tensor) -> Tensor:
        return values[: n * p].view(p, 1, n, -1) - values[n * p :].view(p, k, n, -1)

    error, weight = net.judge(
        net.fc1_score(change(features.score)), net.fc1_weight(change(features.weight))
    )
    return (error * weight).sum(2) / weight.sum(2)


def losses(error: Tensor, blend: Tensor, whole: Tensor, wanted: Tensor) -> dict[str, Tensor]:
    """Return the three terms of the loss, and the pairwise accuracy.

    Parameters
    ----------
    error
        Errors, shape (P, K).
    blend, whole
        Errors of a distortion at part of its strength and at all of it, shape (P,).
    wanted
        The committee's P(i preferred to j), shape (P, K, K).
    """
    k = error.shape[1]
    i, j = torch.triu_indices(k, k, 1)
    target = wanted[:, i, j]
    log = SLOPE * (error + FLOOR).log()
    difference = error[:, j] - error[:, i]
    return {
        "paper": F.binary_cross_entropy_with_logits(difference, target),
        "log": F.binary_cross_entropy_with_logits(log[:, j] - log[:, i], target),
        "part": F.softplus(SLOPE * ((blend + FLOOR).log() - (whole + FLOOR).log())).mean(),
        "accuracy": ((difference > 0) == (target > 0.5)).double().mean(),
    }


def batch(data: Data, which: np.ndarray, rng: np.random.Generator) -> tuple[Tensor, ...]:
    """Make a batch: references, distorted with the blend last, and preferences.

    Each photograph's crops are turned and mirrored together, as are their patches.
    """
    references, distorted, wanted = [], [], []
    for p in which:
        count = len(data.distorted[p])
        chosen = rng.choice(count, DISTORTED, replace=count < DISTORTED)
        reference = data.references[p].astype(np.float32)
        crops = data.distorted[p][chosen].astype(np.float32)
        part = rng.uniform(0.1, 0.8)
        crops = np.concatenate([crops, reference + part * (crops[:1] - reference)])
        turns, mirrored = rng.integers(4), rng.random() < 0.5
        both = np.rot90(np.concatenate([reference[None], crops]), turns, axes=(1, 2))
        both = np.ascontiguousarray(both[:, :, ::-1] if mirrored else both)
        references.append(both[0])
        distorted.append(both[1:])
        q = data.quantiles[p][chosen]
        wanted.append(committee.preference(q[:, None], q[None]))
    return (
        torch.from_numpy(np.stack(references)).permute(0, 3, 1, 2),
        torch.from_numpy(np.stack(distorted)).permute(0, 1, 4, 2, 3),
        torch.from_numpy(np.stack(wanted)).float(),
    )


def finished(net: pieapp.Network, scale: float) -> dict[str, Tensor]:
    """State dict for pixels in [0, 255], in half precision, with the error times ``scale``."""
    state = {name: value.detach().float() for name, value in net.state_dict().items()}
    state["conv1.weight"] = state["conv1.weight"] / PIXEL
    state["ref_score_subtract.weight"] = state["ref_score_subtract.weight"] * scale
    return {name: value.half().contiguous() for name, value in state.items()}


def read(work: Path, names: list[str], scale: committee.Scale) -> Data:
    """Read the scored crops of some photographs."""
    found = [committee.load(work / f"train_{name}.npz") for name in names]
    return Data(
        [photo.reference for photo in found],
        [photo.distorted for photo in found],
        [scale(photo.values) for photo in found],
    )


def step_loss(net: pieapp.Network, data: Data, which: np.ndarray, rng: np.random.Generator) -> dict:
    """Compute the losses on a random batch of some photographs."""
    reference, distorted, wanted = batch(data, which, rng)
    near, far = rng.integers(0, 6, 2), rng.integers(27, 33, 2)  # two patches at opposite corners
    corners = [(int(near[0]), int(near[1])), (int(far[0]), int(far[1]))]
    error = errors(net, reference / PIXEL, distorted / PIXEL, corners)
    return losses(error[:, :-1], error[:, -1], error[:, 0], wanted)


@torch.no_grad()
def watch(net: pieapp.Network, data: Data, seed: int) -> dict[str, float]:
    """Mean losses on the photographs that are only watched, always the same batches."""
    rng = committee.generator(seed, "watch")
    found = [
        step_loss(net, data, np.arange(p, p + 4), rng) for p in range(0, len(data.references), 4)
    ]
    return {name: float(np.mean([float(one[name]) for one in found])) for name in found[0]}


def rate(step: int, steps: int) -> float:
    """Learning rate: rises for ``WARM_UP`` steps, stays, and falls to 0 over the last ``COOLING``.

    So a run may be given another number of steps until it has begun to cool down.
    """
    return LEARNING_RATE * min(1, (step + 1) / WARM_UP, (steps - step) / COOLING)


def main() -> None:
    """Train, or go on training."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder of the scored crops")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoint and log")
    parser.add_argument("--steps", type=int, default=3200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    options.out.mkdir(parents=True, exist_ok=True)
    names = sorted(path.stem.removeprefix("train_") for path in options.work.glob("train_*.npz"))
    names = [name for name in names if name not in committee.EXCLUDED]
    listed = options.out / "photographs.json"
    if listed.exists():  # what a run was begun with stays
        names = json.loads(listed.read_text())["training"]
    else:
        held_out = sorted(path.stem.removeprefix("test_") for path in options.work.glob("test_*"))
        text = json.dumps({"training": names, "held_out": held_out}, indent=0)
        files.write(listed, text.encode())
    values = [committee.load(options.work / f"train_{name}.npz").values for name in names]
    scale = committee.Scale.fit(np.concatenate(values))
    np.savez_compressed(options.out / "scale.npz", knots=scale.knots)
    seen = read(options.work, names[VALIDATION:], scale)
    watched = read(options.work, names[:VALIDATION], scale)

    net = network(options.seed)
    constrain(net)
    heavy = [net.fc1_score.weight, net.fc1_weight.weight]
    others = [p for p in net.parameters() if p.requires_grad and not any(p is one for one in heavy)]
    optimizer = torch.optim.AdamW(
        [{"params": heavy, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}]
    )
    state, start, spent = options.out / "checkpoint.pt", 0, 0.0
    if state.exists():
        found = torch.load(state, weights_only=True)
        net.load_state_dict(found["network"])
        optimizer.load_state_dict(found["optimizer"])
        start, spent = found["step"], found["seconds"]
    begun = time.process_time()
    recent: list[dict[str, float]] = []
    for step in range(start, options.steps):
        rng = committee.generator(options.seed, "step", str(step))
        which = rng.choice(len(seen.references), PHOTOGRAPHS, replace=False)
        for group in optimizer.param_groups:
            group["lr"] = rate(step, options.steps)
        terms = step_loss(net, seen, which, rng)
        loss = terms["paper"] + terms["log"] + 0.2 * terms["part"]
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()
        constrain(net)
        recent.append({name: float(value.detach()) for name, value in terms.items()})
        if (step + 1) % 50 == 0 or step + 1 == options.steps:
            means = {name: float(np.mean([one[name] for one in recent])) for name in recent[0]}
            recent = []
            seconds = spent + time.process_time() - begun
            line = {"step": step + 1, "training": means, "cpu_seconds": round(seconds)}
            if (step + 1) % 200 == 0 or step + 1 == options.steps:
                line["watched"] = watch(net, watched, options.seed)
            with (options.out / "log.jsonl").open("a") as file:
                file.write(json.dumps(line) + "\n")
            print(line, flush=True)
            data = io.BytesIO()
            torch.save(
                {
                    "network": net.state_dict(), "optimizer": optimizer.state_dict(),
                    "step": step + 1, "seconds": seconds,
                },
                data,
            )  # fmt: skip
            files.write(state, data.getvalue())
    final = finished(net, scale=1.0)
    safetensors.torch.save_file(final, options.out / "pieapp_small.safetensors")


if __name__ == "__main__":
    main()
