"""How figures are drawn: inline SVG that takes its colours and its type from the page it stands in."""

from __future__ import annotations

import io
import re
import warnings
from typing import Any
from xml.etree import ElementTree

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# Stand-ins: matplotlib wants real colours, the page wants ones that follow light and dark.
INK, LINE = "#000001", "#000002"
SERIES = ["#000011", "#000012", "#000013", "#000014", "#000015", "#000016"]
ON_PAGE = {INK: "currentColor", LINE: "var(--line)"} | {c: f"var(--series-{n})" for n, c in enumerate(SERIES, 1)}
DASHES: list[Any] = [
    "-",
    (0, (5, 2)),
    (0, (1, 1.4)),
    (0, (7, 2, 1, 2)),
    (0, (3, 1.2)),
    (0, (9, 2, 1, 2, 1, 2)),
]

STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": LINE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "font.size": 10.5,
    "legend.frameon": False,
    "legend.fontsize": 10.5,
    "legend.handlelength": 2.4,
    "lines.linewidth": 2,
    "lines.markersize": 5,
}


def canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of this size in inches, and its axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def svg(figure: Figure, prefix: str, seen: str) -> str:
    """The figure as an <svg> whose ids start with `prefix` and that says what is `seen` in it."""
    drawn = io.BytesIO()
    with warnings.catch_warnings(), matplotlib.rc_context({"svg.hashsalt": prefix}):
        # The reader's browser sets the type, so it matters little that matplotlib's own font lacks a letter.
        warnings.filterwarnings("ignore", message="(Glyph|Matplotlib currently does not support)")
        if (layout := figure.get_layout_engine()) is not None:
            layout.execute(figure)
            figure.set_layout_engine("none")
        # Not by savefig, which draws all of it once before, for places that are known now.
        FigureCanvasSVG(figure).print_svg(drawn)
    drawing = ElementTree.fromstring(re.sub(rb' xmlns="[^"]*"', b"", drawn.getvalue(), count=1))

    drawing.remove(drawing.find("metadata"))  # type: ignore[arg-type]
    drawing.remove(drawing.find("defs"))  # type: ignore[arg-type]
    for element in drawing.iter():
        link = element.attrib.pop("{http://www.w3.org/1999/xlink}href", None)
        if link:
            element.set("href", f"#{prefix}-{link[1:]}")
        if "clip-path" in element.attrib:
            element.set("clip-path", element.attrib["clip-path"].replace("#", f"#{prefix}-"))
        if "id" in element.attrib:
            element.set("id", f"{prefix}-{element.attrib['id']}")
        if "d" in element.attrib:
            element.set("d", re.sub(r"(\.\d\d)\d+", r"\1", " ".join(element.attrib["d"].split())))
        if "style" in element.attrib:
            style = re.sub(r"font-family:[^;]*;? ?", "", element.attrib["style"])
            element.set("style", re.sub(r"#0000\d\d", lambda color: ON_PAGE[color[0]], style))

    width = drawing.attrib.pop("width").removesuffix("pt")
    drawing.attrib.pop("height")
    drawing.attrib.pop("version")
    drawing.attrib |= {"class": "drawn", "role": "img", "aria-label": seen, "style": f"--width: {width}px"}
    return ElementTree.tostring(drawing, encoding="unicode")
