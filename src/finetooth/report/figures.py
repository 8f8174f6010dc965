"""Figures as inline SVG that takes its colours and its type from the page it stands in."""

from collections.abc import Iterable, Mapping, Sequence
from math import floor, isnan, nan
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.ticker import MaxNLocator

from finetooth.report import words
from finetooth.report.drawing import DASHES, INK, LINE, SERIES, STYLE, canvas, svg

CURVES_TOLD = 6  # more lines than this cannot be told apart
ANNOTATED = 20  # classes; beyond this the counts in a confusion matrix are too small to read
NAMED = 60  # classes; beyond this even their names are
SHADES = 8  # of a heat map, one path each
SEEN = ("confidence", "right")  # what a reliability diagram shows of a bin
FAINT = 0.01  # a share of a row below this is left blank in a heat map


def losses(report: Mapping[str, Any]) -> str:
    """Train and validation loss by epoch, the chosen epoch marked."""
    with matplotlib.rc_context(STYLE):
        figure, axes = canvas(4.6, 3.3)
        epochs = report["epochs"]
        at = [e["epoch"] for e in epochs]
        axes.plot(at, _column(epochs, "loss"), color=SERIES[1], ls=DASHES[1], marker="s", label="train loss")
        axes.plot(at, _column(epochs, "eval_loss"), color=SERIES[0], marker="o", label="validation loss")
        _epochs(figure, axes, report)
        last = epochs[-1]
        return svg(
            figure,
            "loss",
            f"Line chart of loss by epoch. At epoch {last['epoch']:g} train loss is "
            f"{words.score(last['loss'])} and validation loss {words.score(last['eval_loss'])}. "
            f"{_chosen(report)}",
        )


def metric(report: Mapping[str, Any]) -> str:
    """The primary metric by epoch, against the strongest baseline."""
    with matplotlib.rc_context(STYLE):
        figure, axes = canvas(4.6, 3.3)
        epochs, name, strongest = report["epochs"], report["goal"]["metric"], report["strongest"]
        level = report["baselines"][strongest]["validation"].get(name)
        word, against = words.metric(name), words.baseline(strongest)
        at = [e["epoch"] for e in epochs]
        axes.plot(at, _column(epochs, f"eval_{name}"), color=SERIES[0], marker="o", label=f"validation {word}")
        if level is not None:
            axes.axhline(level, color=SERIES[1], ls=DASHES[2], label=against)
        _epochs(figure, axes, report)
        return svg(
            figure,
            "metric",
            f"Line chart of validation {word} by epoch, ending at {words.score(epochs[-1].get(f'eval_{name}'))}; the "
            f"strongest baseline, {against}, scores {words.score(level)}. {_chosen(report)}",
        )


def _epochs(figure: Figure, axes: Axes, report: Mapping[str, Any]) -> None:
    best, end = report["best"]["epoch"], report["epochs"][-1]["epoch"]
    axes.axvline(best, color=INK, lw=1, ls=DASHES[2], label=f"chosen: epoch {best:g}")
    _up_to(end, figure, axes)


def _up_to(end: float, figure: Figure, axes: Axes) -> None:
    """From the start to the last epoch."""
    axes.set_xlim(0, end * 1.04)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=end >= 2))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.set_xlabel("epoch")
    axes.grid(visible=False, axis="x")
    _legend(figure)


def _chosen(report: Mapping[str, Any]) -> str:
    return f"The evaluation at epoch {report['best']['epoch']:g} was chosen."


def _column(epochs: Sequence[Mapping[str, Any]], key: str) -> list[float]:
    return [float("nan") if e.get(key) is None else e[key] for e in epochs]


def roc(detail: Mapping[str, Any]) -> str:
    """Sensitivity against false alarms, one line per class."""
    with matplotlib.rc_context(STYLE):
        figure, axes = canvas(4.6, 4.6)
        axes.plot([0, 1], [0, 1], color=LINE, lw=1.2)
        told = _class_curves(axes, detail, "roc")
        _unit_square(figure, axes, "false positive rate", "true positive rate")
        return svg(figure, "roc", f"ROC curve for {told}; the diagonal is guessing.")


def precision_recall(detail: Mapping[str, Any]) -> str:
    """Precision against recall, one line per class."""
    with matplotlib.rc_context(STYLE):
        figure, axes = canvas(4.6, 4.6)
        told = _class_curves(axes, detail, "precision_recall")
        _unit_square(figure, axes, "recall", "precision")
        return svg(figure, "precision-recall", f"Precision-recall curve for {told}.")


def reliability(calibration: Mapping[str, Any]) -> str:
    """Share of right answers against confidence, before and after the temperature."""
    with matplotlib.rc_context(STYLE):
        figure, axes = canvas(4.6, 4.6)
        axes.plot([0, 1], [0, 1], color=LINE, lw=1.2)
        for state, n, marker in (("before", 1, "s"), ("after", 0, "o")):
            bins = calibration[state]["bins"]
            points = [b["confidence"] for b in bins], [b["right"] for b in bins]
            axes.plot(*points, color=SERIES[n], ls=DASHES[n], lw=1.5, marker=marker, ms=4, label=f"{state} temperature")
        _unit_square(figure, axes, "confidence", "share of right answers")
        told = [b[key] for state in ("before", "after") for b in calibration[state]["bins"] for key in SEEN]
        least = floor(10 * min(told)) / 10  # with two classes no confidence is below a half
        axes.set(xlim=(least - 0.01, 1.01), ylim=(least - 0.01, 1.01))
        return svg(
            figure,
            "reliability",
            f"Reliability diagram, share of right answers against confidence. Expected calibration error before the "
            f"temperature {words.interval(calibration['before']['ece'])}, after it "
            f"{words.interval(calibration['after']['ece'])}; on the diagonal confidence is right.",
        )


def abstention(curve: Sequence[Sequence[float]]) -> str:
    """Accuracy of the surest answers against the share of rows that they are."""
    with matplotlib.rc_context(STYLE):
        figure, axes = canvas(4.6, 4.6)
        coverage, accuracy = zip(*curve, strict=True)
        axes.plot(coverage, accuracy, color=SERIES[0])
        axes.set(xlim=(0, 1.01), xlabel="share of rows answered, the surest first", ylabel="accuracy of those answers")
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        whole = max(curve, key=lambda told: told[0])
        return svg(
            figure,
            "abstention",
            f"Line chart of accuracy by the share of rows answered, the surest first; answering {whole[0]:.0%} of "
            f"them, {words.score(whole[1])} are right.",
        )


def _class_curves(axes: Axes, detail: Mapping[str, Any], kind: str) -> str:
    rows = {row["label"]: row["rows"] for row in detail["classes"]}
    largest = sorted(detail[kind], key=lambda label: -rows.get(label, 0))[:CURVES_TOLD]
    for label, color, dash in zip(largest, SERIES, DASHES, strict=False):
        axes.plot(*zip(*detail[kind][label], strict=True), color=color, ls=dash, label=words.clip(label, 22))
    return ", ".join(words.clip(label, 40) for label in largest)


def _unit_square(figure: Figure, axes: Axes, x: str, y: str) -> None:
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel=x, ylabel=y, aspect="equal")
    axes.spines[:].set_visible(False)
    _legend(figure)


def confusion(detail: Mapping[str, Any]) -> str:
    """Rows are true labels, columns answers; shade is the share of the row."""
    counts, names = detail["confusion"], [row["label"] for row in detail["classes"]]
    classes = len(names)
    shares = [[n / max(1, sum(row)) for n in row] for row in counts]
    with matplotlib.rc_context(STYLE | {"axes.grid": False, "font.size": 10.5 if classes <= 30 else 7.5}):
        if classes <= ANNOTATED:
            side = 4.2 if classes <= 3 else 1.8 + 0.52 * classes
            figure, axes = canvas(side, side)
            _annotate(axes, counts, shares)
        else:
            figure, axes = canvas(8.4, 8.4)
            _shade(axes, shares)
            keys = [Patch(facecolor=SERIES[0], alpha=a, label=f"{a:.0%} of the row") for a in (0.25, 0.5, 0.75, 1)]
            figure.legend(handles=keys, loc="outside upper left", ncols=4, handlelength=1)
        axes.set(
            xlim=(0, classes),
            ylim=(classes, 0),
            aspect="equal",
            xlabel="the model's answer",
            ylabel="true label",
        )
        axes.spines[["top", "right"]].set_visible(True)
        ticks = [n + 0.5 for n in range(classes)] if classes <= NAMED else []
        ticklabels = [words.clip(name, 16) for name in names] if classes <= NAMED else []
        upright = classes <= 3
        axes.set_xticks(ticks, ticklabels, rotation=0 if upright else 45, ha="center" if upright else "right")
        axes.set_yticks(ticks, ticklabels)
        if not upright:
            for tick in axes.get_xticklabels():
                tick.set_rotation_mode("anchor")
        right = sum(counts[n][n] for n in range(classes))
        total = sum(map(sum, counts))
        return svg(
            figure,
            "confusion",
            f"Confusion matrix of {words.count(classes, 'class')}: {right} of {total} rows lie on the "
            "diagonal, answered correctly. The table of classes gives the numbers.",
        )


def scatter(detail: Mapping[str, Any]) -> str:
    """Values against the truth, a dot for each row, and the line on which they would be right."""
    with matplotlib.rc_context(STYLE):
        figure, axes = canvas(4.6, 4.6)
        truth, values = zip(*detail["points"], strict=True)
        least, most = min(*truth, *values), max(*truth, *values)
        room = (most - least) / 20 or 0.5
        ends = least - room, most + room
        axes.plot(ends, ends, color=LINE, lw=1.2, label="right")
        axes.plot(truth, values, ls="", marker="o", ms=3, alpha=0.35, color=SERIES[0], label="a row")
        axes.set(xlim=ends, ylim=ends, xlabel="truth", ylabel="value", aspect="equal")
        _legend(figure)
        thirds = "; ".join(
            f"from {words.number(third['low'])} to {words.number(third['high'])} it is off by "
            f"{words.number(third['mae'])} on average"
            for third in detail["thirds"]
        )
        return svg(figure, "scatter", f"Scatter plot of values against the truth. By thirds of the truth, {thirds}.")


def _annotate(axes: Axes, counts: list[list[int]], shares: list[list[float]]) -> None:
    small = len(counts) > 10
    for i, row in enumerate(counts):
        for j, n in enumerate(row):
            # Never more than half opaque, so that the ink of the page reads on every shade.
            axes.add_patch(Rectangle((j, i), 1, 1, facecolor=SERIES[0], alpha=0.5 * shares[i][j], lw=0))
            if n or not small:
                centre: dict[str, Any] = {"ha": "center", "va": "center"}
                axes.text(j + 0.5, i + 0.42, f"{n}", size=10 if small else 12, weight="bold", **centre)
                axes.text(j + 0.5, i + 0.72, f"{shares[i][j]:.0%}", size=8 if small else 9.5, **centre)
    for edge in range(1, len(counts)):
        axes.axhline(edge, color=LINE, lw=0.6)
        axes.axvline(edge, color=LINE, lw=0.6)


def _shade(axes: Axes, shares: list[list[float]]) -> None:
    levels: dict[int, list[Path]] = {}
    for i, row in enumerate(shares):
        for j, share in enumerate(row):
            if share >= FAINT:
                square = Path([(j, i), (j + 1, i), (j + 1, i + 1), (j, i + 1), (j, i)], closed=True)
                levels.setdefault(max(1, round(share * SHADES)), []).append(square)
    for level, squares in levels.items():
        path = Path.make_compound_path(*squares)
        axes.add_patch(PathPatch(path, facecolor=SERIES[0], alpha=level / SHADES, lw=0))


def _legend(figure: Figure) -> None:
    figure.legend(loc="outside upper left", ncols=2, borderaxespad=0.2, columnspacing=1.2)


def fold_dots(report: Mapping[str, Any]) -> str:
    """A line per fold: the tuned model at its chosen epoch and at the last, and each baseline, by the goal."""
    with matplotlib.rc_context(STYLE):
        folds, name, mean = report["each"], report["goal"]["metric"], report["scores"][report["goal"]["metric"]]
        figure, axes = canvas(4.8, 1.3 + 0.26 * len(folds))
        lines = range(len(folds))
        dots: dict[str, Any] = {"ls": "", "color": SERIES[0], "marker": "o", "zorder": 3}
        axes.plot(_places(fold["scores"][name] for fold in folds), lines, ms=6, label="chosen epoch", **dots)
        # A ring, since it often is the same.
        axes.plot(_places(fold["last"][name] for fold in folds), lines, ms=9, mfc="none", label="last epoch", **dots)
        for n, baseline in enumerate(report["baselines"], start=1):
            there = _places(fold["baselines"][baseline][name] for fold in folds)
            axes.plot(there, lines, ls="", marker="sD"[n - 1], color=SERIES[n], label=words.baseline(baseline))
        if mean["low"] is not None:
            axes.axvspan(mean["low"], mean["high"], color=SERIES[0], alpha=0.14, lw=0)
        if mean["value"] is not None:
            axes.axvline(mean["value"], color=INK, lw=1, ls=DASHES[2])
        axes.set_yticks(lines, [words.fold(fold, report["repeats"]) for fold in folds])
        axes.set_ylim(len(folds) - 0.4, -0.6)
        axes.set_xlabel(words.metric(name))
        axes.grid(visible=False, axis="y")
        _legend(figure)
        told = ", ".join(
            f"{words.fold(f, report['repeats'])} {words.score(f['scores'][name])}" for f in folds[:CURVES_TOLD]
        )
        return svg(
            figure,
            "folds",
            f"Dot plot of {words.metric(name)} by fold: {told}{' and so on' if len(folds) > CURVES_TOLD else ''}; the "
            f"mean is {words.interval(mean)}.",
        )


def fold_curves(report: Mapping[str, Any], key: str, says: str, prefix: str) -> str:
    """What the evaluations say by epoch: a thin line for each fold, a dot where it was chosen, and their mean."""
    with matplotlib.rc_context(STYLE):
        figure, axes = canvas(4.6, 3.3)
        folds = report["each"]
        for fold in folds:
            at, values = [e["epoch"] for e in fold["epochs"]], _column(fold["epochs"], key)
            axes.plot(at, values, color=SERIES[0], lw=1, alpha=0.5, label="one fold" if fold is folds[0] else None)
            chosen = [e["step"] for e in fold["epochs"]].index(fold["chosen"]["step"])
            label = "chosen epoch" if fold is folds[0] else None
            axes.plot(at[chosen], values[chosen], color=SERIES[0], ls="", marker="o", ms=5, label=label)
        # Where early stopping ended some folds, the rest would be a mean of other folds.
        shared = min(len(fold["epochs"]) for fold in folds)
        mean = [sum(_column(f["epochs"], key)[n] for f in folds) / len(folds) for n in range(shared)]
        at = [sum(f["epochs"][n]["epoch"] for f in folds) / len(folds) for n in range(shared)]
        axes.plot(at, mean, color=INK, lw=2, marker="x" if shared == 1 else None, label="mean")
        axes.set_ylabel(says)
        _up_to(max(fold["epochs"][-1]["epoch"] for fold in folds), figure, axes)
        return svg(
            figure,
            prefix,
            f"Line chart of {says} by epoch in {words.count(len(folds), 'fold')}; their mean ends at "
            f"{words.score(None if isnan(mean[-1]) else mean[-1])}.",
        )


def _places(values: Iterable[float | None]) -> list[float]:
    return [nan if value is None else value for value in values]
