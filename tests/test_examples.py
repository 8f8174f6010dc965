"""Every example runs."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_the_example_runs(
    name: str, reviews: Path, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [name, str(reviews), str(tiny_bert), str(tmp_path / "run")])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    assert (tmp_path / "run" / "report.html").exists()
