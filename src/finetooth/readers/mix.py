"""Several files as one table: a list in YAML of files, how much each counts, and whether its rows are made up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from finetooth.errors import DataError, nearest
from finetooth.readers.hub import HUB
from finetooth.table import Table

MIXES = (".yaml", ".yml")
KEYS = ("file", "weight", "synthetic")
EXPECTED = "expected a list such as [{file: real.csv}, {file: made.csv, weight: 0.5, synthetic: true}]"


@dataclass(frozen=True)
class Ingredient:
    """One source of a mix: its rows, how much each counts in training, and whether they are made up."""

    table: Table
    weight: float = 1.0
    synthetic: bool = False


def read_mix(path: Path, read: Callable[[str | Path], Table]) -> Table:
    """The files that a YAML list names, relative to it. Raises DataError for what is not such a list."""
    try:
        items = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError, OSError) as error:
        raise DataError(f"{path}: cannot be read as YAML: {error}") from None
    if not isinstance(items, list) or not items:
        raise DataError(f"{path}: found no list of files; {EXPECTED}.")
    return combine([_ingredient(path, n, item, read) for n, item in enumerate(items, start=1)], str(path))


def _ingredient(path: Path, n: int, item: Any, read: Callable[[str | Path], Table]) -> Ingredient:
    if not isinstance(item, dict) or "file" not in item:
        raise DataError(f"{path}, entry {n}: found {item!r}, which names no file; {EXPECTED}.")
    for key in item:
        if key not in KEYS:
            raise DataError(f"{path}, entry {n}: the key '{key}' is not known; {nearest(str(key), KEYS)}")
    weight, synthetic = item.get("weight", 1.0), item.get("synthetic", False)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not (isfinite(weight) and weight >= 0):
        raise DataError(f"{path}, entry {n}: weight: found {weight!r}, expected a number, 0 or more.")
    if not isinstance(synthetic, bool):
        raise DataError(f"{path}, entry {n}: synthetic: found {synthetic!r}, expected true or false.")
    file = str(item["file"])
    if file.lower().endswith(MIXES):
        raise DataError(f"{path}, entry {n}: {file} is a mix itself; name its files here, each with its own weight.")
    return Ingredient(read(file if file.startswith(HUB) else path.parent / file), float(weight), synthetic)


def combine(ingredients: Sequence[Ingredient], source: str = "mix") -> Table:
    """One table of all the rows; where each came from stays known by `places`, its weight and its nature too.

    The columns in a role need the same name in every source; others may be missing from some. Raises DataError.
    """
    first = ingredients[0].table
    for ingredient in ingredients[1:]:
        if ingredient.table.columns != first.columns:
            raise DataError(
                f"{source}: {ingredient.table.source} has the columns {_roles(ingredient.table)}, but {first.source} "
                f"{_roles(first)}; the sources of a mix need the same names."
            )
    sources = [ingredient.table for ingredient in ingredients]
    folders = [table.source for table in sources if table.folder is not None]
    if folders and len(sources) > 1:
        raise DataError(f"{source}: {folders[0]} is a folder of images; mixes of these are not in this version.")
    return replace(
        first,
        data=pa.concat_tables([table.data for table in sources], promote_options="default"),
        source=source,
        places=[(_place(table, file), row) for table in sources for file, row in table.places],
        parts=[part for table in sources for part in table.parts],
        found=tuple(finding for table in sources for finding in table.found),
        synthetic=[ingredient.synthetic for ingredient in ingredients for _ in ingredient.table.places],
        shares=[ingredient.weight for ingredient in ingredients for _ in ingredient.table.places],
    )


def _place(table: Table, file: str) -> str:
    """How a row's file is called beside those of other sources, of which another may have the same name."""
    return f"{table.source}/{file}" if any(table.parts) else table.source


def _roles(table: Table) -> str:
    named = {role: name for role, name in table.columns.roles().items() if name}
    return ", ".join(f"{role} {', '.join(name) if isinstance(name, list) else name}" for role, name in named.items())
