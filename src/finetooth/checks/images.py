"""The images of a table, each decoded once: which are broken, and what had to be done to the others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from finetooth.checks.base import Sample
from finetooth.findings import Finding
from finetooth.likeness import Seen, see
from finetooth.pictures import Conversion
from finetooth.table import Table

NAMED = 5  # files that a sentence names
FIRST = 20  # rows whose ids a finding keeps

# What each conversion is called, and what may be done about it.
SAYS: dict[Conversion, tuple[str, str]] = {
    "ending": ("Of another format than the ending says; the content decides", "Rename them when you like."),
    "frames": ("Of several frames or pages, the first is taken", "Save another frame as a file of its own."),
    "orientation": ("Turned upright, as the EXIF data say", "Nothing is to be done."),
    "colours": ("CMYK or the like, converted to RGB", "Compare some, if exact colours matter."),
    "depth": (
        "More than 8 bits: grey is scaled from its own darkest to its own brightest pixel (DICOM by its window) and "
        "kept in 16, colours are cut to 8",
        "If absolute values matter, bring all files to 8 bits by one scale.",
    ),
    "transparency": ("Partly transparent, laid on white", "Lay them on another ground if white hides what they show."),
    "metadata": ("Damaged metadata, passed over; the pixels are whole", "Save them anew."),
}


def images(sample: Sample) -> Iterator[Finding]:
    """An error for the images that cannot be decoded, with file names and reasons; infos for what is converted."""
    if sample.table.folder is not None:
        yield from tell(sample.table, sample.seen or see(sample.table))


def tell(table: Table, seen: Seen) -> list[Finding]:
    """The findings about a table whose images were seen."""
    found = []
    if seen.broken:
        reasons = [f"{table.inputs[i][0]} ({reason})" for i, reason in seen.broken.items()]
        says = f"Cannot be decoded: {_counted(len(reasons), table)}: {_first(reasons)}."
        remedy = "Replace these files with whole ones, or take the rows out: --fix does."
        found.append(_finding(table, "broken image", "error", says, remedy, list(seen.broken)))
    for conversion, (what, remedy) in SAYS.items():
        if rows := seen.done.get(conversion):
            says = f"{what}: {_counted(len(rows), table)}: {_first([table.inputs[i][0] for i in rows])}."
            found.append(_finding(table, f"image {conversion}", "info", says, remedy, rows))
    return found


def _finding(
    table: Table, check: str, severity: Literal["info", "error"], says: str, remedy: str, rows: list[int]
) -> Finding:
    return Finding(check, severity, says, remedy, len(rows), [table.ids[i] for i in rows[:FIRST]])


def _counted(count: int, table: Table) -> str:
    return f"{count:,} of {len(table):,} image{'s' if len(table) > 1 else ''}"


def _first(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED:,} more" if len(names) > NAMED else "")
