"""300 generated files per format: whatever one holds, it is read or refused in words. `bench/fuzz.py` does 10,000."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.bad_input.generated import ENDINGS, KINDS, ROWS, arbitrary, comes_back, mutated, survives

Test = Callable[..., None]


def some(examples: int) -> Callable[[Test], Any]:
    """So many examples, the same ones each time; how long one takes plays no part."""
    return settings(
        max_examples=examples, deadline=None, derandomize=True, database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@some(100)
def test_any_bytes_are_read_or_refused_in_words(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    survives(tmp_path, kind, data.draw(arbitrary(kind)))


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@some(100)
def test_a_changed_file_is_read_or_refused_in_words(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    survives(tmp_path, kind, data.draw(mutated(kind)))


@pytest.mark.parametrize("kind", KINDS)
@given(rows=ROWS, ending=ENDINGS)
@some(100)
def test_a_valid_file_gives_its_cells_back(tmp_path: Path, kind: str, rows: list[tuple[str, str]], ending: str) -> None:
    assume(("text", "label") not in rows)  # the header again, which is dropped and told
    comes_back(tmp_path, kind, rows, ending)
