"""Attack the twenty photographs by Algorithm 1, with PieAPP-small as its cost and several λ.

Writes ``results/pieapp_small/attacks.parquet``, one row per photograph and setting. λ = 0 is no
cost at all. None of the photographs was trained on.
"""

import argparse
import hashlib
from pathlib import Path

import pandas as pd
import torch

from humimp import attacks, classifiers, costs, datasets, distances

LAMBDAS = (0.0, 0.1, 0.3, 1.0, 3.0)
#: Readings of line 9 and confidences: the paper's, twice as sure, and without truncation.
SETTINGS = (("truncate", 0.0), ("truncate", 1.0), ("none", 0.0))


def main() -> None:
    """Attack, measure, and put what is found where it belongs; settings that are there stay."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--n", type=int, default=20, help="photographs")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--out", type=Path, help="file to write")
    options = parser.parse_args()
    torch.set_num_threads(1)
    root = Path(__file__).resolve().parents[1]
    out = options.out or root / "results" / "pieapp_small" / "attacks.parquet"
    network = hashlib.sha256((root / "humimp/data/pieapp_small.safetensors").read_bytes())

    model = classifiers.load("mobilenet_v2")
    x, y, ids = datasets.photographs(options.n)
    right = model(x).argmax(1) == y
    x, y, ids = x[right], y[right], [name for name, one in zip(ids, right, strict=True) if one]
    small = costs.PieAPP(weights="small")
    measures = {"lpips": distances.LPIPS("vgg"), "dists": distances.DISTS(), "small": small}
    done = pd.read_parquet(out) if out.exists() else pd.DataFrame({"weights": []})
    done = done[done["weights"] == network.hexdigest()]
    for validate, confidence in SETTINGS:
        for lam in LAMBDAS:
            settings = {"validate": validate, "confidence": confidence, "lam": lam}
            if len(done) and (done[list(settings)] == pd.Series(settings)).all(axis=1).any():
                continue
            adversarial = torch.cat(
                [
                    attacks.imperceptible(
                        model, x[i : i + 1], y[i : i + 1],
                        cost=small, steps=options.steps, **settings,
                    )
                    for i in range(len(x))
                ]
            )  # fmt: skip
            with torch.no_grad():
                predicted = model(adversarial).argmax(1)
                found = {name: measure(x, adversarial) for name, measure in measures.items()}
                for name in ("l1", "l2", "linf"):
                    found[name] = getattr(distances, name)(x, adversarial)
            rows = pd.DataFrame({name: value.numpy() for name, value in found.items()})
            rows = rows.assign(
                id=ids, success=(predicted != y).numpy(), weights=network.hexdigest(), **settings
            )
            done = pd.concat([done, rows], ignore_index=True) if len(done) else rows
            done.to_parquet(out, index=False)
            means = rows[["success", "l1", "l2", "lpips", "dists", "small"]].mean()
            print(settings, means.round(4).to_dict(), flush=True)


if __name__ == "__main__":
    main()
