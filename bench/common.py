"""What every measurement shares: on which commit, machine and versions it was made, and where its JSON goes."""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from finetooth import machine

RESULTS = Path(__file__).parent / "results"


def write(name: str, content: Mapping[str, Any]) -> Path:
    """results/NAME.json: the content with commit, date, machine and versions before it."""
    made = {
        "commit": commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": _processor(),
        "machine": machine.facts(),
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({**made, **content}, indent=1) + "\n", encoding="utf-8")
    return path


def commit() -> str:
    """The commit that is measured."""
    git = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True, cwd=RESULTS)
    changed = subprocess.run(["git", "status", "--porcelain", "../../src"], capture_output=True, text=True, cwd=RESULTS)
    return git.stdout.strip() + (" with uncommitted changes in src" if changed.stdout.strip() else "")


def key(side: str, seed: int, rows: int | None) -> str:
    """Under which a run of a side is kept; on fewer rows apart."""
    return f"{side} | {seed}" + (f" | {rows} rows" if rows else "")


def spread(values: Sequence[float]) -> dict[str, float]:
    """Mean, standard deviation between runs, and worst (lowest) of some scores."""
    return {
        "mean": statistics.mean(values),
        "sd": statistics.stdev(values) if len(values) > 1 else 0.0,
        "lowest": min(values),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
