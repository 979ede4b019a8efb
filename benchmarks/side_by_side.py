"""What the benchmarks share: their options, taking turns, arithmetic, peak memory, the record.

A benchmark compares *sides*: names, each with a task that takes a turn's number and computes. The
sides take turns on equal inputs in one process. Peak memory and arithmetic are those of one side's
first turn: on a CPU in a fresh process that does nothing else; on a GPU, which counts what is
allocated, in this one, less what was there before.
"""

import argparse
import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from machine import machine
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from humimp import classifiers, datasets, runs
from humimp.images import from_uint8, to_uint8
from humimp.rounding import rounding

ROOT = Path(__file__).resolve().parents[1]
Task = Callable[[int], Any]


def parser(
    doc: str | None, name: str, folder: str = "benchmarks", threads: int = 0, gpu: bool = True
) -> argparse.ArgumentParser:
    """Make a parser with the options that every benchmark has; ``gpu``: a choice of device.

    The record is written to results/``folder``/``name``.json, a GPU's to ``name``_gpu.json.
    """
    made = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = made.add_argument
    said = threads or "PyTorch's choice"
    add("--threads", type=int, default=threads, help=f"CPU threads (default: {said})")
    if gpu:
        add("--device", default="cpu", help="cpu (default) or cuda")
    made.set_defaults(device="cpu", record=f"{folder}/{name}")
    add("--out", type=Path, help=f"default: results/{folder}/{name}.json, of a GPU {name}_gpu.json")
    add("--only", help=argparse.SUPPRESS)  # the one side that a fresh process does
    return made


def begin(options: argparse.Namespace, **more: Any) -> dict[str, Any]:
    """Begin a record: the source, the machine, its load and its rate, and what was asked for."""
    if options.threads:
        torch.set_num_threads(options.threads)
    measured = () if options.only else precisions(options.device)  # memory for nothing else then
    rates = {one: rate(options.device, one) for one in measured}
    return runs.provenance(
        machine=machine(options.device),
        threads=torch.get_num_threads(),
        load_before=os.getloadavg(),
        matmul_per_second=next(iter(rates.values()), None),
        matmul_per_second_in=rates,
        options={
            name: value
            for name, value in vars(options).items()
            if name not in ("out", "only", "checkout", "record")
        },
        **more,
    )


def finish(
    record: dict[str, Any], options: argparse.Namespace, rows: pd.DataFrame | None = None
) -> None:
    """End a record and write it, and beside it the figures of each image, if there are any."""
    record["load_after"] = os.getloadavg()
    where = options.record if options.device == "cpu" else f"{options.record}_gpu"
    out = options.out or ROOT / "results" / f"{where}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    runs.write_json(out, record)
    if rows is not None:
        rows.to_parquet(out.with_suffix(".parquet"), index=False)
    print(f"written to {out}\n", flush=True)


def wait(device: str) -> None:
    """Wait until a GPU has done what it was told."""
    if device != "cpu":
        torch.cuda.synchronize()


def clock(task: Callable[[], Any], device: str = "cpu") -> tuple[Any, float]:
    """Do something; give what it made, and the seconds."""
    wait(device)
    start = time.perf_counter()
    made = task()
    wait(device)
    return made, time.perf_counter() - start


def take_turns(
    sides: dict[str, Task], turns: int, device: str = "cpu"
) -> tuple[dict[str, list[Any]], dict[str, list[float]]]:
    """Let the sides take turns; give what each made and its seconds, turn by turn.

    The order is turned round after each turn. Nothing is warmed up here.
    """
    made: dict[str, list[Any]] = {name: [] for name in sides}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(turns):
        for name in list(sides)[:: -1 if turn % 2 else 1]:
            got, taken = clock(lambda name=name, turn=turn: sides[name](turn), device)
            made[name].append(got)
            seconds[name].append(taken)
    return made, seconds


def times(seconds: dict[str, list[float]], ours: str, items: int) -> dict[str, dict[str, Any]]:
    """Summarise the turns: seconds an item, and how many times ours each side takes."""
    return {
        name: {
            "seconds_median": statistics.median(taken) / items,
            "seconds": [one / items for one in taken],
            "ratio_median_of_turns": statistics.median(
                one / own for one, own in zip(taken, seconds[ours], strict=True)
            ),
            "ratio_of_totals": sum(taken) / sum(seconds[ours]),
        }
        for name, taken in seconds.items()
    }


class Arithmetic(TorchDispatchMode):
    """Count the floating-point operations of convolutions and matrix products, 2 per product."""

    operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.operations += formula(*args, **(kwargs or {}), out_val=made)
        return made


def precisions(device: str) -> tuple[str, ...]:
    """Name the precisions whose rates are measured; the first is that of convolutions by default.

    PyTorch lets a GPU round the factors of convolutions, though not of products, to TF32.
    """
    return ("float32", "float64") if device == "cpu" else ("tf32", "float32", "bfloat16")


def rate(device: str = "cpu", precision: str = "float32", size: int = 2048) -> float:
    """Measure the floating-point operations a second of a matrix product; the best of seven."""
    size = size if device == "cpu" else 4 * size
    dtype = torch.float32 if precision == "tf32" else getattr(torch, precision)
    one, other = (torch.rand(size, size, device=device).to(dtype) for _ in range(2))
    with rounding(products="tf32" if precision == "tf32" else "ieee"):
        taken = [clock(lambda: one @ other, device)[1] for _ in range(8)][1:]
    return 2 * size**3 / min(taken)


def alone(sides: dict[str, Task], options: argparse.Namespace) -> None:
    """Do the first turn of ``options.only`` and print its peak memory and its arithmetic."""
    print(json.dumps(used(sides[options.only], options.device)))


def used(task: Task, device: str) -> dict[str, Any]:
    """Do a task's first turn; give peak memory, of a GPU what is allocated anew, and arithmetic."""
    forget_peak(device)
    before = 0 if device == "cpu" else own_peak(device)
    with Arithmetic() as counted:
        task(0)
    return {"peak_bytes": own_peak(device) - before, "operations": counted.operations}


def fresh(name: str, **environment: str) -> dict[str, Any]:
    """Start this benchmark anew for one side alone, with more environment; give what it prints."""
    command = [sys.executable, *sys.argv, "--only", name]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | environment
    )
    return json.loads(done.stdout.splitlines()[-1])


def use(
    rows: dict[str, dict[str, Any]],
    record: dict[str, Any],
    items: int,
    sides: dict[str, Task],
    *names: str,
    alike: bool = True,
    precision: str | None = None,
) -> None:
    """Add peak memory and arithmetic of the first turn to the named sides, or to all.

    Their share of the machine's rate is that of the rate in this precision, or the one that ends
    their name, over the median of the turns, or, if these are not ``alike``, over the first.
    """
    device, rates = record["options"]["device"], record["matmul_per_second_in"]
    for name in names or rows:
        found = fresh(name) if device == "cpu" else used(sides[name], device)
        row = rows[name]
        row["peak_bytes"] = found["peak_bytes"]
        row["operations"] = found["operations"] / items
        rate = rates.get(precision or name.rpartition(", ")[2], record["matmul_per_second"])
        taken = row["seconds_median"] if alike else row["seconds"][0]
        row["share_of_matmul"] = row["operations"] / taken / rate


def own_peak(device: str) -> int:
    """Give this process's peak memory in bytes, a GPU's if that is the device."""
    if device != "cpu":
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    if status.exists():  # Linux: getrusage would count the process that started this one, too
        line = next(one for one in status.read_text().splitlines() if one.startswith("VmHWM"))
        return 1024 * int(line.split()[1])
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else 1024 * used


def forget_peak(device: str) -> None:
    """Begin the peak anew at what is held now; where a system cannot, the peak so far remains."""
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        return
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def headline(record: dict[str, Any], what: str) -> None:
    """Print what is compared, and where."""
    rate = record["matmul_per_second"] / 1e9
    print(
        f"{what}\n{record['machine']}, {record['threads']} threads, {rate:.0f} GFLOP/s in a matrix "
        f"product, load {os.getloadavg()[0]:.1f}\n"
        f"{'':44} {'s an image':>10} {'times ours':>10} {'peak MB':>8} {'of matmul':>9}"
    )


def show(rows: dict[str, dict[str, Any]]) -> None:
    """Print a line for each side."""
    for name, row in rows.items():
        peak = f"{row['peak_bytes'] / 1e6:8.0f}" if "peak_bytes" in row else f"{'':8}"
        share = f"{row['share_of_matmul']:9.0%}" if "share_of_matmul" in row else ""
        print(
            f"{name:44} {row['seconds_median']:10.4f} {row['ratio_median_of_turns']:10.2f} "
            f"{peak} {share}",
            flush=True,
        )


def verdict(record: dict[str, Any]) -> None:
    """Say whether the results are equal, and end with an error if not: such times do not count."""
    print("results:", json.dumps(record["agreement"], ensure_ascii=False))
    if not record["equal"]:
        sys.exit("the results differ by more than the tolerance: these times do not count")


@contextlib.contextmanager
def default(dtype: torch.dtype) -> Iterator[None]:
    """Make this PyTorch's default precision for a while, as some peers' code needs."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def one_by_one(model: nn.Module, images: Tensor, dtype: torch.dtype) -> list[tuple[Tensor, Tensor]]:
    """Give each image alone, 8 bit, in this precision, with the label that the model gives it."""
    exact = from_uint8(to_uint8(images), dtype)
    return list(zip(exact.split(1), classifiers.predict(model, exact).split(1), strict=True))


def crops(n: int, size: int) -> tuple[Tensor, list[str]]:
    """Cut up to a hundred images (n, 3, size, size) out of the twenty photographs, and name them.

    Each photograph gives its four corners and its centre, an eighth of its side apart.
    """
    whole, _, ids = datasets.photographs(20, size + size // 8)
    far = size // 8
    corners = [(far // 2, far // 2), (0, 0), (0, far), (far, 0), (far, far)]
    images = torch.cat([whole[:, :, y : y + size, x : x + size] for y, x in corners])
    names = [f"{one}_{y}_{x}" for y, x in corners for one in ids]
    if n > len(images):
        sys.exit(f"--images: there are {len(images)}, not {n}")
    return images[:n].contiguous(), names[:n]
