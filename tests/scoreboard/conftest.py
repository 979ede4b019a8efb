"""Runs on disk, made of nothing: records as ``evaluate.run`` and ``dro.replicates`` write them."""

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from humimp import paper, runs

OURS = {f"Ours (a = {a})": float(a) for a in paper.CONFIDENCES}
PAPERS = {"classifier": "resnet50_he2016", "images": "imagenet1000", "size": 299}
LAPTOPS = {"classifier": "mobilenet_v2", "images": "photographs", "size": 224}
SMALL = {"humimp.costs.PieAPP": {"weights": "small"}}
# What survives a defence, in percent, so that the paper's claims hold.
SURVIVAL = {"PerC_AL": 20, "PGD (L2)": 10, "NPTM (PPGD)": 70, "NPTM (LPA)": 60} | {
    name: 20 + 16 * a for name, a in OURS.items()
}


def options(name, **more):
    if name == "PerC_AL":
        return {"steps": 1000, **more}
    if name.startswith("NPTM"):
        return more
    common = {"steps": 100, "step_size": 0.1, "validate": "truncate"}
    if name in OURS:
        common |= {"cost": SMALL, "lam": 1.0, "confidence": OURS[name]}
    return common | more


def write_run(
    folder: Path, name, columns, about, chosen=None, success=None, ids=None, correct=True
):
    """Write a complete run of one attack; ``columns`` are arrays, one value per image."""
    n = len(next(iter(columns.values())))
    won = np.ones(n, bool) if success is None else success
    records = pd.DataFrame(
        {
            "id": ids or [f"image{k:04d}" for k in range(n)], "label": 1,
            "attack": name, "clean": 1,
            "correct": correct, "predicted": np.where(won, 2, 1), "success": won, "margin": 1.0,
            **columns, "forwards": 2.0, "backwards": 1.0,
        }
    )  # fmt: skip
    under = [column for column in records if column.startswith("under_")]
    records = records[[c for c in records if c not in under] + under]
    data = runs.to_parquet(records)
    folder.mkdir(parents=True)
    (folder / "records.parquet").write_bytes(data)
    diary = {
        "format": 1,
        "state": "complete",
        "settings": {
            "name": name,
            "options": options(name) if chosen is None else chosen,
            "about": about,
            "batch_size": 10,
        },
        "inputs": {"images": n, "model_sha256": "start"},
        "records_sha256": hashlib.sha256(data).hexdigest(),
        "sessions": [],
    }
    (folder / "provenance.json").write_text(json.dumps(diary))


def spread(mean, n, relative, seed):
    """Values with this mean exactly, scattered around it."""
    drawn = np.random.default_rng(seed).normal(size=n)
    drawn = (drawn - drawn.mean()) / drawn.std() if n > 1 else drawn * 0
    return mean * (1 + relative * drawn)


def write_table1(page: Path, about, n=1000, relative=0.1, factors=None, names=tuple(paper.TABLE1)):
    """Write runs with the means of the paper's Table 1, each times a factor of (name, column)."""
    for seed, name in enumerate(names):
        printed, columns = paper.TABLE1[name], {}
        for column in ("l1", "l2", "linf", "lpips", "dists"):
            scale = (factors or {}).get((name, column), 1.0)
            scale /= paper.SCALE if column in ("lpips", "dists") else 1
            columns[column] = spread(scale * printed[column], n, relative, seed)
        for number, defense in enumerate(("jpeg_90", "jpeg_50", "bits_5", "bits_3")):
            stands = np.random.default_rng([seed, number]).random(n) * 100 < SURVIVAL[name]
            columns[f"under_{defense}"] = np.where(stands, 2, 1)
        success = np.arange(n) < round(n * printed["success_rate"] / 100)
        write_run(page / str(seed), name, columns, about, success=success)


def write_models(page: Path, right, ids, seconds=(7.0, 1.0), seed=0, **parameters):
    """Write a run of page 4.3: for each training, (models, images) of right answers."""
    for name, answers in right.items():
        folder = page / f"models-{name.lower()}"
        (folder / "parts").mkdir(parents=True)
        for number, correct in enumerate(answers):
            part = pd.DataFrame(
                {
                    "replicate": number, "id": ids, "label": 1,
                    "predicted": np.where(correct, 1, 2), "correct": correct.astype(bool),
                    "diverged": False,
                }
            )  # fmt: skip
            data = io.BytesIO()
            part.to_parquet(data, index=False)
            (folder / "parts" / f"{number:05d}.parquet").write_bytes(data.getvalue())
        for kind, took in (("models", seconds[1]), ("robust", seconds[0])):
            own = page / f"{kind}-{name.lower()}"
            own.mkdir(exist_ok=True)
            diary = {
                "format": 1, "state": "complete", "settings": {}, "records_sha256": None,
                "inputs": {"model_sha256": "start"}, "sessions": [{"wall_seconds": took}],
            }  # fmt: skip
            (own / "provenance.json").write_text(json.dumps(diary))
    values = {
        "images": "digits", "n_images": len(ids), "n_train": 300, "strength": 8, "gradient": 1.0,
        "seed": seed, "cost": "SSIM", "rounds": 3, "passes": 3, "n_models": len(answers),
    }  # fmt: skip
    write_page(page, **values | parameters)


def write_page(page: Path, **parameters):
    page.mkdir(parents=True, exist_ok=True)
    (page / "provenance.json").write_text(
        json.dumps({"parameters": parameters, "state": "complete"})
    )


@pytest.fixture
def root(tmp_path):
    (tmp_path / "results").mkdir()
    return tmp_path
