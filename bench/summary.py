"""Every measurement beside a peer as one table and two pictures. Run: python bench/summary.py

Reads bench/results/*.json and writes README.md, speed.png and growth.png there. Nothing is measured here.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import matplotlib

import common

matplotlib.use("Agg")
MEASURED, EXTRAPOLATED = "measured", "extrapolated"
GROWTH = (
    "Rows: ours whole, the Trainer's steps alone. Length and depth: training rows a second in the steps; ours in "
    "batches of 32 with the store there already (building it is told in the file), where length is varied with the "
    "lowest block frozen on both sides; the Trainer in batches of 16 with the model's dropout, which ours sets to 0 "
    "([growth.json](growth.json))."
)
# Of tasks.json: a part, what it is, on how many rows, whom of ours beside whom, where a run keeps which score.
FAULTS, QUESTIONS = "fabric faults, efficientnet-lite0", "questions, SmolLM2-135M with LoRA"
TASKS: list[tuple[str, str, int | None, str, str, tuple[str, str, str]]] = [
    ("images", FAULTS, None, "finetooth", "trainer guide", ("accuracy", "test", "test accuracy")),
    ("images", FAULTS, None, "finetooth", "trainer tuned", ("accuracy", "test", "test accuracy")),
    ("images", FAULTS, None, "finetooth", "trainer tuned, as large", ("accuracy", "test", "test accuracy")),
    ("lora", QUESTIONS, 100, "finetooth", "trl", ("scores", "exact_match", "exact match")),
    ("lora", QUESTIONS, 100, "finetooth, every block", "trl tuned", ("scores", "exact_match", "exact match")),
]
SEEDS = range(3)


@dataclass(frozen=True)
class Line:
    """One comparison: what takes how many seconds (or gives how many rows a second), and how many times as fast."""

    what: str
    peer: str
    ours: str
    theirs: str
    times: float
    low: float | None
    high: float | None
    quality: str
    how: str
    file: str


def read(name: str) -> dict[str, Any]:
    """One result, or nothing where it was not measured yet."""
    path = common.RESULTS / f"{name}.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def lines() -> Iterator[Line]:
    """Every comparison that there is."""
    yield from one_run()
    yield from folds()
    yield from searches()
    yield from larger()
    yield from answers()
    yield from tasks()


def one_run() -> Iterator[Line]:
    """train.json."""
    found = read("train").get("summary")
    if found:
        for peer in ("trainer fp32", "trainer bf16"):
            times, test = found[f"against {peer}"]["times_as_fast"], found[f"against {peer}"]["test"]
            yield Line(
                "one run, movie reviews, MiniLM",
                peer,
                f"{found['finetooth']['seconds']:.0f} s",
                f"{found[peer]['seconds']:.0f} s",
                times["median"],
                times["low"],
                times["high"],
                f"test accuracy {test['difference']:+.3f} ({test['low']:+.3f} to {test['high']:+.3f})",
                MEASURED,
                "train",
            )


def folds() -> Iterator[Line]:
    """validate.json."""
    found = read("validate").get("summary")
    if found:
        what, gap, fast = "5-fold cross-validation, 2,000 rows", found["difference"], found["times as fast as bf16"]
        seconds, whole = found["seconds"], found["full size"]
        few = f" ± {gap['sd']:.3f} over {len(found['seeds'])} seeds" if len(found["seeds"]) > 1 else ", one seed"
        quality = f"mean accuracy {gap['mean']:+.3f}{few}"
        own = f"{seconds['ours']:.0f} s"
        numbers = (fast["median"], fast["low"], fast["high"])
        yield Line(what, "trainer bf16", own, f"{seconds['peer bf16']:.0f} s", *numbers, quality, MEASURED, "validate")
        slower, theirs = found["times as fast as fp32"], f"{seconds['peer fp32']:.0f} s"
        numbers = (slower["median"], slower["low"], slower["high"])
        yield Line(what, "trainer fp32", own, theirs, *numbers, "the peer's one seed", MEASURED, "validate")
        for precision in ("bf16", "fp32"):
            times = whole[f"times as fast as {precision}, extrapolated"]
            yield Line(
                "5-fold cross-validation, 9,511 rows",
                f"trainer {precision}",
                f"{whole['ours, seconds']:.0f} s",
                f"{whole['ours, seconds'] * times:.0f} s",
                times,
                None,
                None,
                f"accuracy of the first fold {whole['accuracy, ours, folds'][0]:.3f}, the peer's first "
                f"{whole['accuracy, peer, one fold']:.3f} (folds dealt otherwise)",
                EXTRAPOLATED,
                "validate",
            )


def searches() -> Iterator[Line]:
    """search.json."""
    found = read("search")
    if "summary" in found:
        told, runs = found["summary"], found["runs"]
        own = statistics.median(run["seconds"] for name, run in runs.items() if name.startswith("ours 1000"))
        full = runs["peer 1000 20 fp32"]["seconds"]
        times, best = told["times as fast"], told["best, ours"]
        theirs = f"{told['best, peer']:.3f} (its best look {told['best look, peer']:.3f})"
        quality = f"best accuracy {best['mean']:.3f} ± {best['sd']:.3f}, the peer's {theirs}"
        yield Line(
            "search of 20 trials, 2,000 rows",
            "trainer fp32, Optuna",
            f"{own:.0f} s",
            f"{full:.0f} s",
            times["median"],
            times["low"],
            times["high"],
            quality,
            MEASURED,
            "search",
        )
        share, whole = told["peer in bf16, share of its time"], told["times as fast at full size, extrapolated"]
        yield Line(
            "search of 20 trials, 2,000 rows",
            "trainer bf16, Optuna",
            f"{own:.0f} s",
            f"{full * share:.0f} s",
            times["median"] * share,
            None,
            None,
            "",
            EXTRAPOLATED,
            "search",
        )
        spent = runs["ours 0 0 bf16"]["seconds"]
        yield Line(
            "search of 20 trials, 9,511 rows",
            "trainer fp32, Optuna",
            f"{spent:.0f} s",
            f"{spent * whole:.0f} s",
            whole,
            None,
            None,
            f"best accuracy {runs['ours 0 0 bf16']['best']['score']:.3f}",
            EXTRAPOLATED,
            "search",
        )


def larger() -> Iterator[Line]:
    """mpnet.json."""
    found = read("mpnet")
    for precision in ("fp32", "bf16") if found else ():
        yield Line(
            "one run, movie reviews, MPNet-base",
            f"trainer {precision}",
            f"{found['ours']['seconds']:.0f} s",
            f"{found[f'peer {precision}']['seconds, extrapolated']:.0f} s",
            found[f"times as fast as {precision}"],
            None,
            None,
            f"validation accuracy {found['ours']['validation accuracy']:.3f}",
            EXTRAPOLATED,
            "mpnet",
        )


def answers() -> Iterator[Line]:
    """predict.json."""
    for model, found in read("predict").get("models", {}).items():
        pace, parity = found["rows per second"], found["parity"]["finetooth bf16"]
        for precision in ("fp32", "bf16"):
            yield Line(
                f"answers, {model}, bf16",
                f"pipeline {precision}",
                f"{pace['finetooth bf16']:.0f} rows/s",
                f"{pace[f'pipeline {precision}']:.0f} rows/s",
                found[f"times the pipeline {precision}"]["finetooth bf16"],
                None,
                None,
                f"99 % of probabilities to {parity['99 % below']:.3f}, labels turned {parity['labels flipped']:.2%}",
                MEASURED,
                "predict",
            )


def tasks() -> Iterator[Line]:
    """tasks.json: two sides over the seeds that both have."""
    parts = read("tasks").get("parts", {})
    for part, what, rows, ours, peer, (group, score, name) in TASKS:
        runs = parts.get(part, {}).get("runs", {})
        keys = [[common.key(side, seed, rows) for side in (ours, peer)] for seed in SEEDS]
        pairs = [(runs[one], runs[other]) for one, other in keys if one in runs and other in runs]
        if not pairs:
            continue
        times = [other["seconds"] / one["seconds"] for one, other in pairs]
        sides = [*zip(*pairs, strict=True)]
        own, theirs = (statistics.median(run["seconds"] for run in side) for side in sides)
        scores = [common.spread([run[group][score] for run in side]) for side in sides]
        said = " against ".join(f"{each['mean']:.3f} ± {each['sd']:.3f}" for each in scores)
        yield Line(
            what + ours.removeprefix("finetooth"),
            peer,
            f"{own:.0f} s",
            f"{theirs:.0f} s",
            statistics.median(times),
            min(times),
            max(times),
            f"{name} {said}, {len(pairs)} seeds" if len(pairs) > 1 else f"{name} {said}, one seed",
            MEASURED,
            "tasks",
        )


def table(found: list[Line]) -> str:
    """Markdown."""
    said = ["| what | beside | ours | theirs | times as fast | quality | how | file, commit |", "|---" * 8 + "|"]
    for line in found:
        span = f" ({line.low:.3g} to {line.high:.3g})" if line.low is not None and line.high is not None else ""
        kept = f"[{line.file}.json]({line.file}.json), {commits(read(line.file))}"
        cells = [line.what, line.peer, line.ours, line.theirs, f"**{line.times:.3g}**{span}", line.quality, line.how]
        said.append(f"| {' | '.join([*cells, kept])} |")
    return "\n".join(said)


def commits(found: dict[str, Any]) -> str:
    """Of which commits the runs of a result are; its own where it does not keep them run by run."""
    kept = [
        found.get("runs", {}),
        found.get("models", {}),
        *(part["runs"] for part in found.get("parts", {}).values() if "runs" in part),
    ]
    each = {run["commit"] for runs in kept for run in runs.values() if "commit" in run} or {found["commit"]}
    return ", ".join(sorted(commit[:7] + (" and changes" if " " in commit else "") for commit in each))


def limits() -> str:
    """limit.json in a sentence or two."""
    found = read("limit")
    if not found:
        return ""
    own, peer = found["ours"], found["trainer bf16, extrapolated"]
    return (
        f"The matrix products of the quick run are {own['operations'] / 1e12:.1f} TFLOP, {own['limit, seconds']:.1f} s "
        f"at the rate that products of their shapes reach here alone "
        f"({found['rate']['of these products'] / 1e9:,.0f} GFLOP/s in bf16); the run takes {own['seconds']:.1f} s "
        f"from the file to the last look, so {own['share']:.0%} of it is arithmetic. The Trainer's three epochs are "
        f"{peer['operations'] / 1e12:.1f} TFLOP; {peer['share']:.0%} of its steps in bf16 is arithmetic "
        f"([limit.json](limit.json))."
    )


def draw_speed(found: list[Line]) -> None:
    """A bar for each comparison; hatched where the peer was extrapolated."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 0.42 * len(found) + 1.2), layout="constrained")
    for place, line in enumerate(found):
        hatch = "//" if line.how == EXTRAPOLATED else ""
        axes.barh(place, line.times, color="#3a6ea5", alpha=0.85, hatch=hatch, edgecolor="white")
        if line.low is not None and line.high is not None:
            axes.plot([line.low, line.high], [place, place], color="black", linewidth=1.5)
        axes.text(line.high or line.times, place, f"  {line.times:.3g}", va="center")
    axes.set_yticks(range(len(found)), [f"{line.what} | {line.peer}" for line in found], fontsize=8)
    axes.invert_yaxis()
    figure.supxlabel("times as fast (hatched: the peer extrapolated; line: lowest to highest)", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(common.RESULTS / "speed.png", dpi=120)
    pyplot.close(figure)


def draw_growth(found: dict[str, Any]) -> None:
    """Seconds by rows; rows a second by length and by frozen depth; both sides."""
    from matplotlib import pyplot

    figure, (rows, length, depth) = pyplot.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    runs = found["rows"].values()
    many = [run["ours"]["rows"] for run in runs]
    rows.plot(many, [run["ours"]["seconds"] for run in runs], "o-", label="finetooth, the whole run")
    rows.plot(many, [run["peer, extrapolated"] for run in runs], "s--", label="Trainer bf16, steps, extrapolated")
    rows.set(xscale="log", yscale="log", xlabel="training rows", ylabel="seconds")
    rows.set_xticks(many, [f"{count:,}" for count in many])
    rows.minorticks_off()
    for axes, key, name in ((length, "tokens", "tokens a row"), (depth, "frozen blocks", "frozen blocks")):
        at = [int(each) for each in found[key]]
        for side, style, label in (("ours", "o-", "finetooth"), ("peer", "s--", "Trainer bf16")):
            axes.plot(at, [pair[side]["rows per second"] for pair in found[key].values()], style, label=label)
        axes.set(xlabel=name, ylabel="training rows a second", yscale="log")
    length.set_xscale("log", base=2)
    for axes in (rows, length, depth):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(common.RESULTS / "growth.png", dpi=120)
    pyplot.close(figure)


def main() -> None:
    found, growth = [*lines()], read("growth")
    draw_speed(found)
    parts = [
        "# Measured beside others",
        "Rendered by `python bench/summary.py` from the files beside it; each names the command, the commit and the "
        "machine that it was made with. Extrapolated: the peer's time, from a measured part of its run.",
        table(found),
        "![times as fast](speed.png)",
        limits(),
    ]
    if growth:
        draw_growth(growth)
        parts += ["![growth over rows, length and frozen depth](growth.png)", GROWTH]
    path = common.RESULTS / "README.md"
    path.write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()
