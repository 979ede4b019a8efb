"""What a record says about where it was made: the machine, and a peer's code."""

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch


def machine(device: str = "cpu") -> str:
    """Name the processor, or the GPU if that is the device."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} CPUs"


def commit(checkout: Path) -> str | None:
    """Name the commit of a peer's code, if its folder is a git checkout of its own."""
    if not (checkout / ".git").exists():
        return None
    command = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def peer(repository: str, checkout: Path, files: Iterable[str]) -> dict[str, Any]:
    """Name a peer's code: its address, the commit of a checkout, and the files that were run.

    Without these files, the benchmark ends, saying where they are to be had.
    """
    files = list(files)
    missing = [name for name in files if not (checkout / name).is_file()]
    if missing:
        sys.exit(f"{checkout}: no {' and '.join(missing)} in there; --checkout: {repository}")
    return {
        "repository": repository,
        "commit": commit(checkout),
        "files_sha256": {
            Path(name).name: hashlib.sha256((checkout / name).read_bytes()).hexdigest()
            for name in files
        },
    }
