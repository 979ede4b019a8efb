"""Attack the twenty photographs by Algorithm 1, with PieAPP-small as its cost and several λ.

Writes ``results/pieapp_small/attacks.parquet``: the records of `humimp.evaluate.run`, one row per
photograph and setting, with the setting's columns ``validate``, ``confidence``, ``lam``. λ = 0 is
no cost at all. None of the photographs was trained on. Success is that of the saved 8-bit image.
"""

import argparse
from pathlib import Path

import pandas as pd
import torch

from humimp import attacks, classifiers, costs, datasets, distances, evaluate

LAMBDAS = (0.0, 0.3, 1.0, 3.0)
#: Readings of line 9 and confidences: the paper's two ends, and the far end without truncation.
SETTINGS = (("truncate", 0.0), ("truncate", 5.0), ("none", 5.0))


def main() -> None:
    """Attack and measure; settings that are there stay."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder for the attacked images")
    parser.add_argument("--n", type=int, default=20, help="photographs")
    parser.add_argument("--steps", type=int, default=100)
    options = parser.parse_args()
    torch.set_num_threads(1)
    out = Path(__file__).resolve().parents[1] / "results" / "pieapp_small" / "attacks.parquet"

    model = classifiers.load("mobilenet_v2")
    data = datasets.photographs(options.n)
    small = costs.PieAPP(weights="small")
    measures = {
        "l1": distances.l1, "l2": distances.l2, "linf": distances.linf,
        "lpips": distances.LPIPS("vgg"), "dists": distances.DISTS(), "small": small,
    }  # fmt: skip
    found = []
    for validate, confidence in SETTINGS:
        for lam in LAMBDAS:
            settings = {"validate": validate, "confidence": confidence, "lam": lam}
            records = evaluate.run(
                attacks.imperceptible,
                model,
                data,
                out=options.work / f"{validate}-a{confidence:g}-lam{lam:g}",
                options={"cost": small, "steps": options.steps, **settings},
                batch_size=5,  # as page 3.2 has it: passes are counted by the batch
                measures=measures,
                name=f"λ = {lam:g}",
            )
            found.append(records.assign(**settings))
            means = evaluate.table(records).iloc[0]
            print(settings, means.round(4).to_dict(), flush=True)
    pd.concat(found, ignore_index=True).to_parquet(out, index=False)


if __name__ == "__main__":
    main()
