"""The pictures of a search, as inline SVG: over time, by value, all keys at once, and which of them mattered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import log
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from finetooth.report import words
from finetooth.report.charts import draw
from finetooth.report.drawing import DASHES, INK, LINE, SERIES, STYLE, canvas, svg

BEST = 0.1  # share of the trials that parallel coordinates bring out
NAME = 14  # characters of a choice on an axis
RING: dict[str, Any] = {"marker": "o", "ms": 11, "mew": 1.6, "mfc": "none", "mec": INK, "ls": ""}

Content = Mapping[str, Any]
Line = Mapping[str, Any]


def history(content: Content) -> str:
    """The score of each trial in the order they were tried, and the best so far."""
    with matplotlib.rc_context(STYLE):
        figure, axes = canvas(5.6, 3.3)
        complete, name = _in_state(content, "complete"), words.metric(content["goal"]["metric"])
        _points(axes, content, lambda trial: trial["number"])
        top = (np.maximum if content["goal"]["better"] == "higher" else np.minimum).accumulate
        numbers, so_far = [trial["number"] for trial in complete], top([trial["score"] for trial in complete]).tolist()
        numbers, so_far = [*numbers, content["trials"][-1]["number"]], [*so_far, so_far[-1]]
        axes.step(numbers, so_far, where="post", color=SERIES[0], label="best so far")
        base = content["base"]
        if base is not None and base["state"] == "complete":
            axes.axhline(base["score"], color=INK, lw=1, ls=DASHES[2], label="the plan as it stands")
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.set(xlabel="trial", ylabel=name)
        axes.grid(visible=False, axis="x")
        figure.legend(loc="outside upper left", ncols=2)
        best = content["best"]
        seen = f"Scores of {len(complete)} trials in the order they were tried; the best is trial {best['number']}"
        return svg(figure, "history", f"{seen} with {name} {words.score(best['score'])}.")


def importance(content: Content) -> str:
    """What each key accounts for by itself, of what all of them do by themselves."""
    bars = [[key, share] for key, share in content["importance"].items()]
    return draw({"kind": "bars", "title": "share of the variance that single keys explain", "bars": bars}, "importance")


def slices(content: Content, key: str, prefix: str) -> str:
    """The score of each trial by its value of one key."""
    with matplotlib.rc_context(STYLE):
        figure, axes = canvas(4.6, 3.3)
        dimension, name = content["space"][key], words.metric(content["goal"]["metric"])
        _points(axes, content, lambda trial: _place(dimension, trial["values"][key]))
        best = content["best"]
        axes.plot([_place(dimension, best["values"][key])], [best["score"]], **RING)
        if "choices" in dimension:
            axes.set_xticks(range(len(dimension["choices"])), _choices(dimension))
            axes.set_xlim(-0.5, len(dimension["choices"]) - 0.5)
        elif dimension["log"]:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(lambda at, _: words.value(float(at)))
            axes.minorticks_off()
        axes.set(xlabel=key, ylabel=name)
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        value = words.value(best["values"][key])
        return svg(figure, prefix, f"Score by {key}, a point for each trial; the best, ringed, has {value}.")


def parallel(content: Content) -> str:
    """Each trial as a line through its values and its score; the best tenth stand out."""
    complete = _in_state(content, "complete")
    sign = -1 if content["goal"]["better"] == "higher" else 1
    complete = sorted(complete, key=lambda trial: sign * trial["score"])
    scores = [trial["score"] for trial in complete]
    scale = {"low": min(scores), "high": max(scores), "log": False}
    columns = [*content["space"].items(), (words.metric(content["goal"]["metric"]), scale)]
    few = max(1, round(BEST * len(complete)))
    with matplotlib.rc_context(STYLE | {"axes.grid": False}):
        figure, axes = canvas(max(4.6, 1.7 * len(columns)), 3.6)
        for rank, trial in reversed([*enumerate(complete)]):
            values = [*trial["values"].values(), trial["score"]]
            heights = [_height(dimension, value) for (_, dimension), value in zip(columns, values, strict=True)]
            first = rank < few
            axes.plot(heights, color=SERIES[0] if first else LINE, lw=2.2 if first else 1.1, zorder=2 + first)
        for x, (_, dimension) in enumerate(columns):
            axes.axvline(x, color=INK, lw=0.8, zorder=1)
            for height, text in _marks(dimension):
                axes.annotate(text, (x, height), xytext=(5, 0), textcoords="offset points", va="center", size=9.5)
        axes.set_xticks(range(len(columns)), [name for name, _ in columns])
        axes.set(ylim=(-0.06, 1.06), xlim=(-0.15, len(columns) - 0.4), yticks=[])
        axes.spines[:].set_visible(False)
        told = ", ".join(f"{key} {words.value(value)}" for key, value in content["best"]["values"].items())
        return svg(figure, "parallel", f"Parallel coordinates of {len(complete)} trials; the best has {told}.")


def _points(axes: Axes, content: Content, place: Callable[[Line], float]) -> None:
    """A mark for each trial that has a score, those given up in their own way."""
    looks = (("complete", 0, "o", "came to the end"), ("pruned", 1, "x", "given up, by its best look"))
    for state, n, marker, label in looks:
        trials = [trial for trial in _in_state(content, state) if trial["score"] is not None]
        if trials:
            x, y = [place(trial) for trial in trials], [trial["score"] for trial in trials]
            axes.plot(x, y, color=SERIES[n], marker=marker, ls="", label=label)


def _in_state(content: Content, state: str) -> list[Line]:
    return [trial for trial in content["trials"] if trial["state"] == state]


def _place(dimension: Mapping[str, Any], value: Any) -> float:
    """Where a value stands on its axis: a choice at its number."""
    return float(dimension["choices"].index(value) if "choices" in dimension else value)


def _height(dimension: Mapping[str, Any], value: Any) -> float:
    """Where a value stands between 0 and 1."""
    if "choices" in dimension:
        return _place(dimension, value) / (len(dimension["choices"]) - 1)
    ends = [dimension["low"], dimension["high"], value]
    low, high, at = map(log, ends) if dimension["log"] else map(float, ends)
    return (at - low) / (high - low) if high > low else 0.5


def _marks(dimension: Mapping[str, Any]) -> list[tuple[float, str]]:
    """What is written beside an axis of parallel coordinates."""
    if "choices" in dimension:
        return [
            (_height(dimension, c), name) for c, name in zip(dimension["choices"], _choices(dimension), strict=True)
        ]
    ends = dict.fromkeys((dimension["low"], dimension["high"]))
    return [(_height(dimension, end), words.value(end)) for end in ends]


def _choices(dimension: Mapping[str, Any]) -> list[str]:
    return [words.clip(words.value(choice), NAME) for choice in dimension["choices"]]
