"""What `check` found: as numbers for programs, as a page to review the rows, as a table in the terminal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from finetooth.check import Checked
from finetooth.report import words
from finetooth.report.page import template

WEIGHT = {"error": 4.0, "warning": 2.0, "info": 1.0}
QUEUE = 300  # rows to review
PLACES = 1000  # rows of a finding that are named by file and number
EXAMPLES = 5  # of what most rows share
TOLD = 600  # characters of an input
COLOURS = {"error": "bold red", "warning": "bold yellow", "info": "bold"}


def numbers(checked: Checked) -> dict[str, Any]:
    """Rows, parts, findings, and the rows to review, the most suspicious first."""
    table, split = checked.sample.table, checked.sample.split
    counts = {severity: sum(f.severity == severity for f in checked.findings) for severity in WEIGHT}
    return {
        "source": table.source,
        "rows": len(table),
        "columns": table.columns.roles(),
        "classes": len(checked.sample.names),
        "parts": None if split is None else {"how": split.how, **split.counts()},
        "counts": counts,
        "findings": [
            {**finding.values(), "places": [table.place(table.position[i]) for i in finding.rows[:PLACES]]}
            for finding in checked.findings
        ],
        "review": _review(checked),
    }


def _review(checked: Checked) -> list[dict[str, Any]]:
    """A row counts as suspicious by the findings that name it: the graver, and the nearer it stands to their top."""
    score: dict[str, float] = defaultdict(float)
    reasons: dict[str, list[dict[str, str]]] = defaultdict(list)
    for finding in checked.findings:
        # What most rows share is no reason to look at any one of them, save for a few as examples.
        common = len(finding.rows) > 0.3 * len(checked.sample.table)
        for rank, row_id in enumerate(finding.rows[: EXAMPLES if common else None]):
            score[row_id] += (
                WEIGHT[finding.severity] * (1.0 - 0.9 * rank / len(finding.rows)) * (0.1 if common else 1.0)
            )
            evidence = finding.evidence[rank] if rank < len(finding.evidence) else ""
            reasons[row_id].append({"check": finding.check, "evidence": evidence})
    table = checked.sample.table
    first = sorted(score, key=lambda row_id: (-score[row_id], table.position[row_id]))[:QUEUE]
    return [
        {
            "id": row_id,
            "place": table.place(table.position[row_id]),
            "inputs": dict(zip(table.columns.input, table.inputs[table.position[row_id]], strict=True)),
            "label": table.labels[table.position[row_id]],
            "reasons": reasons[row_id],
        }
        for row_id in first
    ]


def page(content: Mapping[str, Any]) -> str:
    """A page that needs no network, from what `numbers` gives and nothing else."""
    from finetooth.report.charts import draw  # matplotlib takes a second to import

    charts = [Markup(draw(f["chart"], f"c{n}")) if f["chart"] else None for n, f in enumerate(content["findings"])]
    return template("check.html.j2").render(
        content=content, title=title(content), told=TOLD, found=list(zip(content["findings"], charts, strict=True))
    )


def title(content: Mapping[str, Any]) -> str:
    """What was found, in a line."""
    counts = content["counts"]
    told = [words.count(n, {"info": "remark"}.get(severity, severity)) for severity, n in counts.items() if n]
    return f"{words.count(content['rows'], 'row')}: {', '.join(told) or 'nothing found'}"


def show_checked(content: Mapping[str, Any], console: Console) -> None:
    """The findings as a table, the gravest first."""
    console.print(Text(words.line(title(content)), style="bold"))
    grid = Grid(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("check", "rows"):
        grid.add_column(name, justify="right" if name == "rows" else "left", no_wrap=True)
    grid.add_column("what was found, and what to do", overflow="fold")
    for finding in content["findings"]:
        says = Text(words.line(finding["says"])).append(f" {words.line(finding['remedy'])}", style="dim")
        grid.add_row(Text(finding["check"], style=COLOURS[finding["severity"]]), words.count(finding["count"]), says)
    console.print(grid)
