"""Every example runs."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

from tests import tiny

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_the_example_runs(
    name: str, reviews: Path, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, model = reviews, tiny_bert
    if name == "images.py":
        data = tiny.write_images(tmp_path / "shapes", 60)
        model = tiny.save_image_model(tmp_path / "vit", "vit")
    monkeypatch.setattr(sys, "argv", [name, str(data), str(model), str(tmp_path / "run")])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    assert (tmp_path / "run" / "report.html").exists()
