"""What a run came to: its numbers, told by a page, a summary, a model card and a diagnosis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finetooth.durable import write_text
from finetooth.report.card import card
from finetooth.report.diagnosis import diagnose
from finetooth.report.folds import page, show_validated
from finetooth.report.numbers import detail, opened, trained, up_to_date, with_intervals
from finetooth.report.page import html
from finetooth.report.terminal import show, show_comparison, show_scores
from finetooth.report.validated import validated
from finetooth.run import Run

__all__ = [
    "card",
    "detail",
    "diagnose",
    "html",
    "opened",
    "show",
    "show_comparison",
    "show_scores",
    "show_validated",
    "trained",
    "up_to_date",
    "validated",
    "with_intervals",
    "write_report",
    "write_validated",
]


def write_report(run: Run, report: Mapping[str, Any]) -> None:
    """report.html, model/README.md and, last, since it marks a run as ended, report.json."""
    run.write("report.html", html(report))
    write_text(run.model / "README.md", card(report))
    run.write("report.json", report)


def write_validated(run: Run, report: Mapping[str, Any]) -> None:
    """The same of a cross-validation, which has no model."""
    run.write("report.html", page(report))
    run.write("report.json", report)
