"""Bad input at length: 10,000 generated files per format must be read or refused in words, and a large one of each
must be read in memory of at most twice its size and 300 MB.

    python bench/fuzz.py [--examples 10000] [--megabytes 300]
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from pyarrow import parquet

import common

sys.path.insert(0, str(Path(__file__).parent.parent))  # the strategies are the tests' own
from tests.bad_input.generated import ENDINGS, KINDS, ROWS, arbitrary, comes_back, mutated, survives

# Run by itself, so that what is measured is the reading alone.
READ = """
import re, sys, time
from finetooth import read
start = time.perf_counter()
rows = len(read(sys.argv[1]))
seconds = time.perf_counter() - start
# Not getrusage: that remembers the memory of the process that started this one.
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) * 1024
print(rows, seconds, peak)
"""
REVIEW = "the film, it must be said, was not what anybody had hoped for, but it had its moments and a good ending; " * 2


def fuzz(kind: str, examples: int, folder: Path) -> dict[str, Any]:
    """A third each of any bytes, changed files and valid files; raises at the first that is not taken well."""
    counts = {"read": 0, "refused": 0, "came back": 0}

    def tried(data: bytes) -> None:
        counts["read" if survives(folder, kind, data) else "refused"] += 1

    def returned(rows: list[tuple[str, str]], ending: str) -> None:
        if ("text", "label") not in rows:  # the header again, which is dropped and told
            comes_back(folder, kind, rows, ending)
            counts["came back"] += 1

    start = time.perf_counter()
    third = settings(max_examples=-(-examples // 3), deadline=None, database=None, derandomize=True)
    third(given(data=arbitrary(kind))(tried))()
    third(given(data=mutated(kind))(tried))()
    third(given(rows=ROWS, ending=ENDINGS)(returned))()
    return {**counts, "seconds": time.perf_counter() - start}


def large(kind: str, size: int, path: Path) -> int:
    """Write a file of about so many bytes of rows; the bytes that the rows take as plain text are given back."""
    rows = size // (len(REVIEW) + 40)
    lines = ((f"{i} {REVIEW}", f"class {i % 7}") for i in range(rows))
    if kind == "parquet":
        table = pa.table(
            {"text": [f"{i} {REVIEW}" for i in range(rows)], "label": [f"class {i % 7}" for i in range(rows)]}
        )
        parquet.write_table(table, path)
        return int(table.nbytes)
    with gzip.open(path, "wb", 1) if path.suffix == ".gz" else path.open("wb") as file:
        written = 0
        mark = "\t" if kind == "tsv" else ","
        if kind in ("csv", "tsv"):
            written += file.write(f"text{mark}label\n".encode())
        elif kind == "json":
            written += file.write(b"[")
        for i, (cell, label) in enumerate(lines):
            if kind in ("csv", "tsv"):
                line = f'"{cell}"{mark}{label}\n'
            else:
                line = json.dumps({"text": cell, "label": label}) + "\n"
                line = f"{',' if i and kind == 'json' else ''}{line}"
            written += file.write(line.encode())
        if kind == "json":
            written += file.write(b"]")
    return written


def memory(kind: str, size: int, folder: Path, ending: str = "") -> dict[str, Any]:
    """The peak of a process of its own that reads a large file, against twice its plain size and 300 MB."""
    path = folder / f"large.{kind}{ending}"
    plain = large(kind, size, path)
    packed = path.stat().st_size
    printed = subprocess.run([sys.executable, "-c", READ, str(path)], check=True, capture_output=True, text=True).stdout
    path.unlink()
    rows, seconds, peak = (float(number) for number in printed.split())
    allowed = 2 * plain + 300e6
    return {
        "rows": int(rows),
        "file_bytes": packed,
        "plain_bytes": plain,
        "peak_bytes": int(peak),
        "allowed_bytes": int(allowed),
        "kept": peak <= allowed,
        "seconds": seconds,
    }


def main() -> None:
    """Measure, print and write results/fuzz.json."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--examples", type=int, default=10_000)
    arguments.add_argument("--megabytes", type=int, default=300)
    chosen = arguments.parse_args()
    files: dict[str, Any] = {}
    peaks: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for kind in KINDS:
            files[kind] = fuzz(kind, chosen.examples, folder)
            print(kind, files[kind], flush=True)
        for kind, ending in [*((kind, "") for kind in KINDS), ("csv", ".gz"), ("jsonl", ".gz")]:
            peaks[kind + ending] = memory(kind, chosen.megabytes * 1_000_000, folder, ending)
            print(kind + ending, peaks[kind + ending], flush=True)
    content = {"examples": chosen.examples, "uncaught": 0, "files": files, "memory": peaks}
    print(common.write("fuzz", content))


if __name__ == "__main__":
    main()
