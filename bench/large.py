"""200,000 rows trained where a process may hold 2 GiB, with a store larger than that.

Run, as root: python bench/large.py

Texts of the generator of check_scale.py; MiniLM, the head alone learns, two epochs. The limit is the system's own
(a memory control group, so Linux and root): a process that needs more is killed.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import check_scale
import common

ROWS, LIMIT = 200_000, 2 << 30
GROUPS = (("memory/finetooth", "memory.limit_in_bytes", "tasks"), ("finetooth", "memory.max", "cgroup.procs"))


def limited() -> Path:
    """The file that takes the process ids of those who may hold LIMIT bytes together."""
    for name, limit, members in GROUPS:
        group = Path("/sys/fs/cgroup") / name
        try:
            group.mkdir(exist_ok=True)
            (group / limit).write_text(str(LIMIT))
            return group / members
        except OSError:
            continue
    raise SystemExit("no memory control group can be made here; run this as root on Linux.")


def main() -> None:
    members = limited()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        with open(path, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("text", "label"), *check_scale.texts(ROWS)])
        settings = ["freeze=all", "epochs=2", "max_length=128"]
        command = [
            sys.executable,
            "-c",
            "from finetooth.cli import main; main()",
            "train",
            str(path),
            "--model",
            "minilm",
        ]
        command += ["--out", str(Path(folder) / "run"), *(word for each in settings for word in ("--set", each))]
        began = perf_counter()
        subprocess.run(command, check=True, preexec_fn=lambda: members.write_text(str(os.getpid())))
        seconds = perf_counter() - began
        stores = Path(os.environ.get("FINETOOTH_CACHE") or Path.home() / ".cache" / "finetooth") / "prefix"
        newest = max(stores.glob("*/states"), key=lambda file: file.stat().st_mtime)
        machine = json.loads((Path(folder) / "run" / "machine.json").read_text())
        found = {
            "rows": ROWS,
            "limit_bytes": LIMIT,
            "store_bytes": newest.stat().st_size,
            "peak_memory_bytes": machine["peak_memory_bytes"],
            "seconds": {**machine["seconds"], "whole": seconds},
        }
    print(found, common.write("large", found))


if __name__ == "__main__":
    main()
