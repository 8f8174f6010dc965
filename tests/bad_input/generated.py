"""Files made at random: any bytes, valid files with bytes changed, and valid files whose cells are known."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from hypothesis import strategies as st
from pyarrow import parquet

from finetooth import read
from finetooth.errors import DataError

KINDS = ("csv", "tsv", "jsonl", "json", "parquet")
Rows = list[tuple[str, str]]

# Text that no encoding loses: half a character cannot be written, and a NUL is taken out on purpose.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
ROWS: st.SearchStrategy[Rows] = st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=8)
ENDINGS = st.sampled_from(["", ".gz", ".zst"])
BITS = [
    b"",
    b"\0",
    b'"',
    b",",
    b"\n",
    b"\r",
    b"{",
    b"[",
    b"]",
    b"\\u",
    b"\xff",
    b"\xc3",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"PAR1",
]


def written(kind: str, rows: Sequence[tuple[str, str]], ending: str = "") -> bytes:
    """A valid file with these texts and labels."""
    if kind == "parquet":
        sink = io.BytesIO()
        parquet.write_table(pa.table({"text": [t for t, _ in rows], "label": [label for _, label in rows]}), sink)
        data = sink.getvalue()
    elif kind in ("jsonl", "json"):
        objects = [json.dumps({"text": text, "label": label}, ensure_ascii=len(text) % 2 == 0) for text, label in rows]
        data = ("\n".join(objects) if kind == "jsonl" else f"[{', '.join(objects)}]").encode()
    else:
        sheet = io.StringIO()
        lines = csv.writer(sheet, delimiter="\t" if kind == "tsv" else ",", quoting=csv.QUOTE_ALL)
        lines.writerows([("text", "label"), *rows])
        data = sheet.getvalue().encode()
    if ending == ".gz":
        return gzip.compress(data, 1)
    return bytes(pa.compress(data, "zstd", asbytes=True)) if ending == ".zst" else data


@st.composite
def mutated(draw: st.DrawFn, kind: str) -> bytes:
    """A valid file of which some bytes were changed, put in, taken out, or cut off."""
    data = written(kind, draw(ROWS), draw(ENDINGS))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        gone = draw(st.sampled_from([0, 1, 1, 2, 8, len(data)]))
        put = draw(st.one_of(st.sampled_from(BITS), st.binary(max_size=4)))
        data = data[:at] + put + data[at + gone :]
    return data


def arbitrary(kind: str) -> st.SearchStrategy[bytes]:
    """Any bytes, or any text in some encoding, begun as the format begins."""
    start = {"csv": b"text,label\n", "tsv": b"text\tlabel\n", "jsonl": b'{"text": ', "json": b"[{", "parquet": b"PAR1"}[
        kind
    ]
    encoded = st.builds(
        lambda text, codec: text.encode(codec, "replace"),
        st.text(max_size=80),
        st.sampled_from(["utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "gbk", "shift_jis"]),
    )
    return st.builds(
        lambda s, data: s + data, st.sampled_from([b"", start]), st.one_of(st.binary(max_size=120), encoded)
    )


def survives(folder: Path, kind: str, data: bytes) -> bool:
    """Whether the file was read; it may be refused, but only by a DataError of one line that begins with its name."""
    path = folder / f"a.{kind}"
    path.write_bytes(data)
    try:
        t = read(path, labelled=False)
    except DataError as error:
        message = str(error)
        assert message.startswith(str(path)) and len(message.splitlines()) == 1, message
        message.encode()
        return False
    assert len(t) == len(t.ids) == len(t.labels) == len(list(t.places)) == len(list(t.parts)) > 0
    assert all(pa.types.is_string(field.type) for field in t.data.schema)
    t.data.validate(full=True)
    assert all(f.count > 0 and f.says.startswith(path.name) and len(f.says.splitlines()) == 1 for f in t.found), t.found
    return True


def comes_back(folder: Path, kind: str, rows: Rows, ending: str) -> None:
    """A valid file gives its cells back byte for byte, and nothing is told of it."""
    path = folder / f"a.{kind}{ending}"
    path.write_bytes(written(kind, rows, ending))
    t = read(path)
    assert list(zip(t.column("text"), t.column("label"), strict=True)) == rows
    assert t.found == ()
