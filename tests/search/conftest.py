"""One file of few reviews, one plan of short trials, and a search that runs to its end, for others to compare with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import finetooth as ft
from tests import tiny

PLAN = {"epochs": 2, "batch_size": 16, "precision": "fp32", "learning_rate": 3e-3, "freeze": 0}
PLAN |= {"metric_for_best_model": "loss"}  # no two trials have the same
SPACE = {"learning_rate": "1e-4..1e-2:log", "freeze": [0, "embeddings", 2]}


def lines(out: Path) -> list[dict[str, Any]]:
    """The trials as trials.jsonl has them, without the one thing that may differ between two searches."""
    told = [json.loads(line) for line in (out / "trials.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in told]


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory) -> ft.Table:
    """120 reviews."""
    return ft.read(tiny.write_reviews(tmp_path_factory.mktemp("few") / "reviews.csv", 120))


@pytest.fixture(scope="session")
def seek(few: ft.Table, tiny_bert: Path) -> Callable[..., dict[str, Any]]:
    """Search into a folder, with what is to be different."""

    def go(out: Path, plan: dict[str, Any] | None = None, space: Any = None, **more: Any) -> dict[str, Any]:
        options = {"trials": 6, "model": str(tiny_bert), "out": out, "tuner": "random", **more}
        table = options.pop("table", few)
        return ft.search(table, ft.Plan.of({**PLAN, **(plan or {})}), space or SPACE, **options)

    return go


@pytest.fixture(scope="session")
def whole(seek: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search that nothing stopped."""
    out = tmp_path_factory.mktemp("whole") / "search"
    seek(out)
    return out
