"""Measure PieAPP-small on photographs and distortion types that it was not trained on.

Reads the scored crops of the photographs held out and the run of ``train_pieapp_small``; writes
``humimp/data/pieapp_small.safetensors`` and the records under ``results/pieapp_small``, which the
book's appendix reads.
"""

import argparse
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import safetensors.torch
import torch
from scipy import stats
from torch import Tensor

from humimp import classifiers, pieapp, runs
from training import committee, distortions
from training import train_pieapp_small as training

LEVELS = np.linspace(0, 1, 6)  # of each type, for the errors by level
PARTS = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)  # of a distortion, for the errors near zero
STRIDE = 27  # of the patches, as in use
PHOTOGRAPHS = 10  # of those held out, for these two


def to_tensor(crops: np.ndarray) -> Tensor:
    """Turn uint8 crops, (N, height, width, 3), into images in [0, 1], (N, 3, height, width)."""
    return torch.from_numpy(crops).permute(0, 3, 1, 2).float().contiguous() / 255


@torch.no_grad()
def error(net: pieapp.Network, reference: Tensor, distorted: Tensor) -> np.ndarray:
    """Errors of distortions (N, 3, H, W) of one reference (3, H, W), computed once."""

    def features(crops: Tensor) -> pieapp.Features:
        cut = pieapp.cut(crops, STRIDE).contiguous(memory_format=torch.channels_last)
        return pieapp.Features(
            *(one.view(len(crops), -1, one.shape[1]) for one in net.features(cut))
        )

    x, y = features(reference[None]), features(distorted)
    each, weight = net.judge(net.fc1_score(x.score - y.score), net.fc1_weight(x.weight - y.weight))
    return ((each * weight).sum(1) / weight.sum(1)).numpy()


def agreement(net: pieapp.Network, work: Path, scale: committee.Scale) -> pd.DataFrame:
    """Errors and all metrics of every crop of the photographs held out, one row a crop."""
    rows = []
    for path in sorted(work.glob("test_*.npz")):
        photo = committee.load(path)
        y = to_tensor(photo.distorted)
        x = to_tensor(photo.reference[None])[0]
        names = (*committee.MEMBERS, *committee.OUTSIDERS)
        values = photo.values  # noqa: PD011
        quantiles = scale(values[:, : len(committee.MEMBERS)])
        frame = pd.DataFrame(values, columns=list(names))
        frame.insert(0, "photograph", path.stem.removeprefix("test_"))
        frame.insert(1, "distortion", photo.names)
        frame.insert(2, "level", photo.levels)
        frame.insert(3, "held_out", [name in distortions.HELD_OUT for name in photo.names])
        frame.insert(4, "small", error(net, x, y))
        frame.insert(5, "committee", quantiles @ committee.weights())
        frame["MSE"] = (y - x).square().mean((1, 2, 3)).numpy()
        rows.append(frame)
    return pd.concat(rows, ignore_index=True)


def compare(records: pd.DataFrame, scale: committee.Scale) -> pd.DataFrame:
    """Agreement of every measure with the committee, and of PieAPP-small with every measure.

    Returns
    -------
    DataFrame
        One row per set of crops ("held-out types", "trained types") and measure. ``accuracy``,
        ``spearman``: with the committee; for a member, with the committee that it sits in.
        ``small_accuracy``, ``small_spearman``: of PieAPP-small with this measure. Pairs are of two
        distortions of one photograph; Spearman is the mean over photographs. ``clear_accuracy``:
        with the committee, over the pairs in which it prefers one with a probability over 0.75.
    """
    measures = ["small", "committee", *committee.MEMBERS, *committee.OUTSIDERS, "MSE"]
    rows = []
    for kind, part in records.groupby("held_out"):
        found: dict[str, list[tuple[float, ...]]] = {measure: [] for measure in measures}
        weight = []
        for _, photo in part.groupby("photograph"):
            quantiles = scale(photo[list(committee.MEMBERS)].to_numpy())
            i, j = np.triu_indices(len(photo), 1)
            wanted = committee.preference(quantiles[i], quantiles[j])
            clear = np.abs(wanted - 0.5) > 0.25
            weight.append((len(i), clear.sum()))
            value = {measure: photo[measure].to_numpy() for measure in measures}
            small = value["small"][j] > value["small"][i]
            for measure in measures:
                says = value[measure][j] > value[measure][i]
                right = says == (wanted > 0.5)
                found[measure].append(
                    (
                        right.mean(),
                        right[clear].mean(),
                        stats.spearmanr(value[measure], value["committee"]).statistic,
                        (small == (wanted > 0.5 if measure == "committee" else says)).mean(),
                        stats.spearmanr(value["small"], value[measure]).statistic,
                    )
                )
        pairs = np.array(weight, dtype=float)
        for measure in measures:
            value_ = np.array(found[measure])
            rows.append(
                {
                    "set": "held-out types" if kind else "trained types",
                    "measure": measure,
                    "accuracy": np.average(value_[:, 0], weights=pairs[:, 0]),
                    "clear_accuracy": np.average(value_[:, 1], weights=pairs[:, 1]),
                    "spearman": value_[:, 2].mean(),
                    "small_accuracy": np.average(value_[:, 3], weights=pairs[:, 0]),
                    "small_spearman": value_[:, 4].mean(),
                    "pairs": int(pairs[:, 0].sum()),
                    "crops": len(part),
                }
            )
    return pd.DataFrame(rows)


def by_level(net: pieapp.Network, data: Path, work: Path, seed: int) -> pd.DataFrame:
    """Errors of every type at every level, for some photographs held out.

    The levels of one type share their random numbers.
    """
    rows, model = [], classifiers.load("mobilenet_v2")
    for path in sorted(work.glob("test_*.npz"))[:PHOTOGRAPHS]:
        name = path.stem.removeprefix("test_")
        photograph = next((data / "images").glob(f"{name}.*"))
        crop, given = committee.cut(photograph, committee.generator(seed, name), model)
        x = torch.from_numpy(crop).permute(2, 0, 1).contiguous()
        for kind in (*distortions.TRAINING, *distortions.HELD_OUT):
            distorted = [
                distortions.distort(
                    crop, kind, float(level), committee.generator(seed, name, kind), given
                )
                for level in LEVELS
            ]
            y = torch.from_numpy(np.stack(distorted)).permute(0, 3, 1, 2).contiguous()
            rows.append(
                pd.DataFrame(
                    {
                        "photograph": name,
                        "distortion": kind,
                        "held_out": kind in distortions.HELD_OUT,
                        "level": LEVELS,
                        "small": error(net, x, y),
                    }
                )
            )
    return pd.concat(rows, ignore_index=True)


def near_zero(net: pieapp.Network, work: Path) -> pd.DataFrame:
    """Errors of parts of distortions, x + t (y − x), without rounding to 8 bit."""
    rows = []
    for path in sorted(work.glob("test_*.npz"))[:PHOTOGRAPHS]:
        photo = committee.load(path)
        y, x = to_tensor(photo.distorted), to_tensor(photo.reference[None])[0]
        for part in PARTS:
            rows.append(
                pd.DataFrame(
                    {
                        "photograph": path.stem.removeprefix("test_"),
                        "distortion": photo.names,
                        "level": photo.levels,
                        "part": part,
                        "small": error(net, x, x + part * (y - x)),
                    }
                )
            )
    return pd.concat(rows, ignore_index=True)


def gradient_at_reference(net: pieapp.Network, work: Path) -> float:
    """Largest norm of the error's gradient at the reference, over some photographs held out."""
    norms = []
    for path in sorted(work.glob("test_*.npz"))[:PHOTOGRAPHS]:
        x = to_tensor(committee.load(path).reference[None])
        y = x.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(net(x, y, STRIDE).sum(), y)
        norms.append(float(gradient.norm()))
    return max(norms)


def monotone(levels: pd.DataFrame) -> pd.DataFrame:
    """Per type: share of steps between levels at which the error rises, and Spearman with level."""
    rows = []
    for (kind, held_out), part in levels.groupby(["distortion", "held_out"], sort=False):
        steps = part.pivot_table(index="photograph", columns="level", values="small").to_numpy()
        rows.append(
            {
                "distortion": kind,
                "held_out": held_out,
                "rising": (np.diff(steps, axis=1) > 0).mean(),
                "spearman": np.mean(
                    [stats.spearmanr(LEVELS, one).statistic for one in steps if np.ptp(one) > 0]
                ),
                "lowest": np.median(steps[:, 0]),
                "highest": np.median(steps[:, -1]),
            }
        )
    return pd.DataFrame(rows)


def main() -> None:
    """Evaluate, and put the weights and the records in their places."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder imagenet1000")
    parser.add_argument("--work", type=Path, required=True, help="folder of the scored crops")
    parser.add_argument("--run", type=Path, required=True, help="folder of the training run")
    parser.add_argument("--scale", type=float, default=1.0, help="factor of the error")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    root = Path(__file__).resolve().parents[1]
    out, weights = root / "results" / "pieapp_small", root / "humimp/data/pieapp_small.safetensors"
    out.mkdir(parents=True, exist_ok=True)

    checkpoint = torch.load(options.run / "checkpoint.pt", weights_only=True)
    trained = training.network(0)
    trained.load_state_dict(checkpoint["network"])
    safetensors.torch.save_file(training.finished(trained, options.scale), weights)
    weights.chmod(0o644)
    scale = committee.Scale(np.load(options.run / "scale.npz")["knots"])
    net = pieapp.from_state(
        {name: value.float() for name, value in safetensors.torch.load_file(weights).items()}
    ).to(memory_format=torch.channels_last)

    records = agreement(net, options.work, scale)
    table = compare(records, scale)
    levels = by_level(net, options.data, options.work, options.seed)
    zero = near_zero(net, options.work)
    for name, frame in {
        "agreement": records, "comparison": table, "levels": levels,
        "monotone": monotone(levels), "near_zero": zero,
    }.items():  # fmt: skip
        frame.to_parquet(out / f"{name}.parquet", index=False)
    shutil.copy(options.run / "log.jsonl", out / "log.jsonl")
    chosen = json.loads((options.run / "photographs.json").read_text())
    watched = chosen["training"][: training.VALIDATION]
    chosen = {
        "training": chosen["training"][training.VALIDATION :],
        "watched": watched,
        "held_out": chosen["held_out"],
        "excluded": sorted(committee.EXCLUDED),
    }
    (out / "photographs.json").write_text(json.dumps(chosen, indent=1) + "\n")
    sizes = [len(committee.load(path).names) for path in options.work.glob("train_*.npz")]
    about = runs.provenance(
        steps=checkpoint["step"],
        cpu_seconds=round(checkpoint["seconds"]),
        near_zero={
            "least": float(min(zero.loc[zero["part"] > 0, "small"].min(), records["small"].min())),
            "at_reference": float(zero.loc[zero["part"] == 0, "small"].abs().max()),
            "gradient_at_reference": gradient_at_reference(net, options.work),
        },
        seed=options.seed,
        scale=options.scale,
        width=net.width,
        hidden=net.hidden,
        parameters=sum(value.numel() for value in net.parameters()),
        bytes=weights.stat().st_size,
        sha256=hashlib.sha256(weights.read_bytes()).hexdigest(),
        photographs={name: len(ids) for name, ids in chosen.items()},
        training_crops=int(np.sum(sizes)),
        held_out_types=list(distortions.HELD_OUT),
        training_types=list(distortions.TRAINING),
        weights=dict(zip(committee.MEMBERS, committee.weights().round(4).tolist(), strict=True)),
        published=committee.PUBLISHED,
        temperature=committee.TEMPERATURE,
    )
    (out / "provenance.json").write_text(json.dumps(about, indent=1) + "\n")
    print(table.round(3).to_string())
    print(monotone(levels).round(3).to_string())
    print(zero.groupby("part")["small"].describe().round(5).to_string())


if __name__ == "__main__":
    main()
