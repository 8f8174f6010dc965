"""The picture of a finding, by the kind that its chart names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import matplotlib
import numpy as np

from finetooth.report import words
from finetooth.report.drawing import DASHES, LINE, SERIES, STYLE, canvas, svg

NAME = 24  # characters of a name on an axis
Chart = Mapping[str, Any]


def draw(chart: Chart, prefix: str) -> str:
    """The chart as inline SVG, its ids beginning with `prefix`."""
    with matplotlib.rc_context(STYLE):
        return KINDS[chart["kind"]](chart, prefix)


def _bars(chart: Chart, prefix: str) -> str:
    names = [words.clip(str(name), NAME) for name, _ in chart["bars"]]
    values = [value for _, value in chart["bars"]]
    figure, axes = canvas(5.6, 0.7 + 0.24 * len(names))
    axes.barh(range(len(names)), values, color=SERIES[0], height=0.7)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(chart["title"])
    told = ", ".join(f"{name} {value:,.4g}" for name, value in chart["bars"][:6])
    return svg(figure, prefix, f"Bar chart, {chart['title']}: {told}{' and so on' if len(names) > 6 else ''}.")


def _pairs(chart: Chart, prefix: str) -> str:
    names = [words.clip(str(name), NAME) for name in chart["names"]]
    figure, axes = canvas(5.6, 0.9 + 0.42 * len(names))
    places = np.arange(len(names))
    for n, (series, values) in enumerate(zip(chart["series"], chart["values"], strict=True)):
        axes.barh(places + 0.36 * (n - 0.5), values, height=0.34, color=SERIES[n], label=series)
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(chart["title"])
    figure.legend(loc="outside upper left", ncols=2)
    most = max(range(len(names)), key=lambda i: abs(chart["values"][0][i] - chart["values"][1][i]))
    first, second = (
        f"{series} {values[most]:.0%}" for series, values in zip(chart["series"], chart["values"], strict=True)
    )
    return svg(figure, prefix, f"Paired bars, {chart['title']}. They differ most in {names[most]}: {first}, {second}.")


def _histogram(chart: Chart, prefix: str) -> str:
    figure, axes = canvas(5.6, 2.8)
    axes.stairs(chart["heights"], chart["edges"], fill=True, color=SERIES[0])
    axes.axvline(chart["line"], color=SERIES[1], ls=DASHES[1], lw=1.6)
    axes.set_xlabel(chart["title"])
    axes.set_ylabel("rows")
    return svg(figure, prefix, f"Histogram of {chart['title']}, with a line at {chart['line']:,}, the limit.")


def _share(chart: Chart, prefix: str) -> str:
    figure, axes = canvas(5.6, 1.1)
    axes.barh([0], [1], color=LINE, height=0.5)
    axes.barh([0], [chart["value"]], color=SERIES[0], height=0.5)
    axes.axvline(chart["guess"], color=SERIES[1], lw=2.4)
    axes.set_xlim(0, 1)
    axes.set_yticks([])
    axes.set_xlabel(f"{chart['title']}; the upright line is guessing")
    return svg(figure, prefix, f"{chart['title']}: {chart['value']:.0%}, guessing {chart['guess']:.0%}.")


def _curve(chart: Chart, prefix: str) -> str:
    figure, axes = canvas(5.6, 2.8)
    axes.plot(chart["x"], chart["y"], color=SERIES[0])
    axes.plot(*[[value] for value in chart["mark"]], marker="o", ls="", color=SERIES[1])
    axes.set_xscale("log")
    axes.set_xticks(chart["x"], [f"{x:,}" for x in chart["x"]])
    axes.minorticks_off()
    axes.set_xlabel(chart["title"])
    return svg(
        figure, prefix, f"Curve of {chart['title']}; these rows: {chart['mark'][1]:.1f} at {chart['mark'][0]:,}."
    )


KINDS: dict[str, Callable[[Chart, str], str]] = {
    "bars": _bars,
    "pairs": _pairs,
    "histogram": _histogram,
    "share": _share,
    "curve": _curve,
}
