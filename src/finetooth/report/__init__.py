"""What a run came to: its numbers, told by a page, a summary, a model card and a diagnosis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finetooth.report.card import card
from finetooth.report.diagnosis import diagnose
from finetooth.report.numbers import detail, opened, trained, with_intervals
from finetooth.report.page import html
from finetooth.report.terminal import show, show_scores
from finetooth.run import Run

__all__ = [
    "card",
    "detail",
    "diagnose",
    "html",
    "opened",
    "show",
    "show_scores",
    "trained",
    "with_intervals",
    "write_report",
]


def write_report(run: Run, report: Mapping[str, Any]) -> None:
    """report.html, model/README.md and, last, since it marks a run as ended, report.json."""
    run.write("report.html", html(report))
    (run.model / "README.md").write_text(card(report), encoding="utf-8")
    run.write("report.json", report)
