"""Which column is the input, which the label: by flag, else by convention, else refused with the list."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from finetooth.errors import DataError, nearest
from finetooth.table import Columns

INPUTS = ("text", "sentence")
LABELS = ("label", "target")


def choose(
    path: Path,
    names: Sequence[str],
    *,
    input: str | None,
    label: str | None,
    group: str | None,
    id: str | None,
    time: str | None,
    labelled: bool,
) -> Columns:
    """The roles of the columns `names`; raises DataError when a flag names none of them or the guess is not certain."""

    def named(flag: str, value: str) -> str:
        if value not in names:
            raise DataError(f"{path}: there is no column '{value}' for --{flag}; {nearest(value, names)}")
        return value

    def guessed(flag: str, known: Sequence[str], required: bool) -> str | None:
        found = [name for name in names if name.lower() in known]
        if len(found) == 1:
            return found[0]
        if len(found) != 1 and not required:
            return None
        why = (
            f"both {' and '.join(found)} could be" if found else f"no column is named {' or '.join(known)}, so none is"
        )
        raise DataError(
            f"{path}: {why} the {flag}. Say which with --{flag} COLUMN; the columns are {', '.join(names)}."
        )

    inputs = [named("input", part.strip()) for part in input.split(",")] if input else [guessed("input", INPUTS, True)]
    chosen = named("label", label) if label else guessed("label", LABELS, labelled)
    if len(set(inputs)) < len(inputs):
        doubled = next(name for i, name in enumerate(inputs) if name in inputs[:i])
        raise DataError(f"{path}: --input names the column '{doubled}' twice.")
    if chosen in inputs:
        raise DataError(f"{path}: the column '{chosen}' cannot be both the input and the label.")
    return Columns(
        input=tuple(name for name in inputs if name),
        label=chosen,
        group=named("group", group) if group else None,
        id=named("id", id) if id else None,
        time=named("time", time) if time else None,
    )
