"""The ledger shows when somebody touched it."""

import json
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from finetooth import ledger
from finetooth.errors import RunError


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A ledger of five openings."""
    path = tmp_path / "new" / "folder" / "ledger.jsonl"
    for number in range(5):
        ledger.append(path, {"purpose": f"évaluate {number}", "test": "a" * 64})
    return path


def test_the_chain_holds_over_appends(kept: Path) -> None:
    entries = ledger.read(kept)
    assert [entry["opening"] for entry in entries] == [1, 2, 3, 4, 5]
    assert [entry["before"] for entry in entries] == [ledger.START, *(entry["digest"] for entry in entries[:-1])]
    assert len({entry["digest"] for entry in entries}) == 5
    assert ledger.append(kept, {}) == ledger.read(kept)[-1]
    assert ledger.read(kept)[:-1] == entries


def test_a_ledger_that_was_never_opened_is_empty(tmp_path: Path) -> None:
    assert ledger.read(tmp_path / "ledger.jsonl") == []
    assert not (tmp_path / "ledger.jsonl").exists()


def test_the_same_openings_give_the_same_head(tmp_path: Path, kept: Path) -> None:
    for entry in ledger.read(kept):
        ledger.append(tmp_path / "b.jsonl", {key: entry[key] for key in ("test", "purpose", "opening")})
    assert ledger.read(tmp_path / "b.jsonl")[-1]["digest"] == ledger.read(kept)[-1]["digest"]


@pytest.mark.parametrize("value", ["\u2028 \x85 \r\n", float("nan"), {"b": [1, None], "a": 0.1}, "\ud800"])
def test_any_json_value_is_kept(kept: Path, value: object) -> None:
    ledger.append(kept, {"value": value})
    assert repr(ledger.read(kept)[5]["value"]) == repr(value)


def edit(line: bytes, **changes: object) -> bytes:
    return json.dumps({**json.loads(line), **changes}).encode()


def refitted(line: bytes, **changes: object) -> bytes:
    """The line edited, and its digest made to fit again."""
    entry = {**json.loads(line), **changes}
    del entry["digest"]
    return edit(json.dumps(entry).encode(), digest=sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest())


# What somebody did to the lines, and the first line at which it shows.
TAMPERED: dict[str, tuple[Callable[[list[bytes]], list[bytes]], int]] = {
    "an edited line": (lambda ls: [*ls[:2], edit(ls[2], purpose="x"), *ls[3:]], 3),
    "an edited last line": (lambda ls: [*ls[:4], edit(ls[4], opening=1)], 5),
    "an added key": (lambda ls: [edit(ls[0], more=1), *ls[1:]], 1),
    "an edited line with a new digest": (lambda ls: [*ls[:2], refitted(ls[2], purpose="x"), *ls[3:]], 4),
    "an edited digest": (lambda ls: [*ls[:3], edit(ls[3], digest="0" * 64), ls[4]], 4),
    "an edited link": (lambda ls: [ls[0], edit(ls[1], before=ledger.START), *ls[2:]], 2),
    "a removed first line": (lambda ls: ls[1:], 1),
    "a removed middle line": (lambda ls: [*ls[:2], *ls[3:]], 3),
    "swapped lines": (lambda ls: [ls[0], ls[2], ls[1], *ls[3:]], 2),
    "a doubled line": (lambda ls: [*ls[:2], ls[1], *ls[2:]], 3),
    "garbage": (lambda ls: [*ls[:4], b"garbage", ls[4]], 5),
    "a line cut short": (lambda ls: [*ls[:4], ls[4][:-9]], 5),
    "an empty line": (lambda ls: [ls[0], b"", *ls[1:]], 2),
    "a number": (lambda ls: [*ls, b"7"], 6),
    "a list": (lambda ls: [*ls, b"[]"], 6),
    "bytes that are no text": (lambda ls: [*ls[:3], b"\xff\xfe", *ls[3:]], 4),
}


@pytest.mark.parametrize(("tamper", "line"), TAMPERED.values(), ids=TAMPERED)
def test_a_ledger_that_was_touched_is_refused_with_the_line(
    kept: Path, tamper: Callable[[list[bytes]], list[bytes]], line: int
) -> None:
    kept.write_bytes(b"".join(entry + b"\n" for entry in tamper(kept.read_bytes().splitlines())))
    before = kept.read_bytes()
    for use in (lambda: ledger.read(kept), lambda: ledger.append(kept, {})):
        with pytest.raises(RunError, match=rf"ledger\.jsonl, line {line}: .*changed"):
            use()
    assert kept.read_bytes() == before


def test_a_lost_last_line_end_does_not_spoil_the_next_entry(kept: Path) -> None:
    kept.write_bytes(kept.read_bytes().removesuffix(b"\n"))
    assert ledger.append(kept, {})["opening"] == 6
    assert len(ledger.read(kept)) == 6


def test_an_opening_counts_on_from_the_higher_of_both_ledgers(kept: Path) -> None:
    assert ledger.append(kept, {"opening": 9})["opening"] == 9
    assert ledger.append(kept, {"opening": 2})["opening"] == 10


def test_two_processes_at_once_leave_a_whole_chain(kept: Path) -> None:
    code = "import sys; from pathlib import Path; from finetooth import ledger\n"
    code += "for i in range(25): ledger.append(Path(sys.argv[1]), {'purpose': sys.argv[2]})"
    writers = [subprocess.Popen([sys.executable, "-c", code, str(kept), name]) for name in "ab"]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    assert [entry["opening"] for entry in ledger.read(kept)] == list(range(1, 56))
