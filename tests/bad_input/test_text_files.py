"""The bad-input matrix for text: each case is either cleaned and told with a count, or refused in one message."""

import gzip
import io
import json
import os
import re
import tarfile
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from finetooth import read
from finetooth.errors import DataError
from finetooth.readers.delimited import LONGEST
from finetooth.table import Table

Rows = Sequence[tuple[str | None, ...]]

CHINESE = "房间很干净，服务员也很热情，下次还会再来这里住。早餐品种不多，但味道不错。"
RUSSIAN = "Фильм был очень хороший, мне понравилась игра актёров и музыка тоже."
JAPANESE = "この映画はとても面白かったです。もう一度見たいと思います。"
KOREAN = "이 영화는 정말 재미있었습니다. 배우들의 연기도 좋았어요."
FRENCH = "L’été – déjà vu : « naïf » cœur à 5 €"
LONG = "word " * 2_000_000  # 10 MB


def csv(*rows: tuple[str, ...], header: str = "text,label") -> str:
    return "".join(line + "\n" for line in (header, *(",".join(row) for row in rows)))


def packed(columns: dict[str, Any]) -> bytes:
    """A Parquet file."""
    sink = io.BytesIO()
    parquet.write_table(pa.table(columns), sink)
    return sink.getvalue()


def zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, "zstd", asbytes=True))


def broken(texts: list[bytes]) -> pa.Array:
    """A column of "text" that is not UTF-8, as some writers leave it."""
    return pa.array(texts, pa.binary()).view(pa.string())


def tarred() -> bytes:
    """Two files in one, packed."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w:gz") as archive:
        for name in ("train.csv", "test.csv"):
            member = tarfile.TarInfo(name)
            member.size = 20
            archive.addfile(member, io.BytesIO(b"text,label\na,b\nc,d\ne"))
    return sink.getvalue()


PLAIN = csv(("a", "b"), ("c", "d"))
AB: Rows = [("a", "b"), ("c", "d")]
GOOD = packed({"text": ["a", "c"], "label": ["b", "d"]})
LINES = '{"text": "a", "label": "b"}\n{"text": "c", "label": "d"}\n'
WIDE = csv(("naïve — été", "gut"), ("日本語", "schlecht"))
WIDE_ROWS: Rows = [("naïve — été", "gut"), ("日本語", "schlecht")]
MIXED = csv(("Ærø på dansk, ærlig".replace(",", ""), "gut"), ("smørrebrød", "gut")).encode() + "café,bien\n".encode(
    "cp1252"
)

# name of the file, its bytes, the cells as they are read, and the findings with their counts: nothing else is told
CLEANED: dict[str, tuple[str, bytes | str, Rows, dict[str, int]]] = {
    # Encoding
    "utf-8 with a mark": ("a.csv", PLAIN.encode("utf-8-sig"), AB, {}),
    "utf-16 little-endian with a mark": ("a.csv", b"\xff\xfe" + WIDE.encode("utf-16-le"), WIDE_ROWS, {"encoding": 1}),
    "utf-16 big-endian with a mark": ("a.csv", b"\xfe\xff" + WIDE.encode("utf-16-be"), WIDE_ROWS, {"encoding": 1}),
    "utf-16 little-endian without": ("a.csv", WIDE.encode("utf-16-le"), WIDE_ROWS, {"encoding": 1}),
    "utf-16 big-endian without": ("a.csv", WIDE.encode("utf-16-be"), WIDE_ROWS, {"encoding": 1}),
    "utf-16 chinese without": ("a.csv", csv((CHINESE, "好")).encode("utf-16-le"), [(CHINESE, "好")], {"encoding": 1}),
    "utf-16 lines of json": ("a.jsonl", LINES.encode("utf-16"), AB, {"encoding": 1}),
    "utf-16 cut in a character": (
        "a.csv",
        b"\xff\xfe" + PLAIN.encode("utf-16-le")[:-3],
        [("a", "b"), ("c", "\ufffd")],
        {"encoding": 1, "damaged characters": 1},
    ),
    "utf-32 with a mark": ("a.csv", WIDE.encode("utf-32"), WIDE_ROWS, {"encoding": 1}),
    "cp1252": ("a.csv", csv((FRENCH, "été")).encode("cp1252"), [(FRENCH, "été")], {"encoding": 14}),
    "latin-1": (
        "a.tsv",
        "text\tlabel\nSmörgås för två\tgut\n".encode("latin-1"),
        [("Smörgås för två", "gut")],
        {"encoding": 4},
    ),
    "latin-1 in the header": (
        "a.csv",
        "text,label,größe\na,b,c\n".encode("latin-1"),
        [("a", "b", "c")],
        {"encoding": 2},
    ),
    "latin-1 lines of json": (
        "a.jsonl",
        '{"text": "é", "label": "b"}\n'.encode("latin-1"),
        [("é", "b")],
        {"encoding": 1},
    ),
    "bytes that cp1252 leaves open": (
        "a.csv",
        b"text,label\nnot much\x81 of it\x9d in caf\xe9,b\n",
        [("not much\x81 of it\x9d in café", "b")],
        {"encoding": 3},
    ),
    "gbk": ("a.csv", csv((CHINESE, "好")).encode("gbk"), [(CHINESE, "好")], {"encoding": len(CHINESE) + 1}),
    "gbk with a damaged character": (
        "a.csv",
        csv((CHINESE, "好"), (CHINESE, "坏")).encode("gbk") + b"x\xff,y\n",
        [(CHINESE, "好"), (CHINESE, "坏"), ("x\ufffd", "y")],
        {"encoding": 2 * len(CHINESE) + 3, "damaged characters": 1},
    ),
    "windows-1251": ("a.csv", f'text,label\n"{RUSSIAN}",да\n'.encode("cp1251"), [(RUSSIAN, "да")], {"encoding": 58}),
    "shift jis": ("a.csv", csv((JAPANESE, "良い")).encode("cp932"), [(JAPANESE, "良い")], {"encoding": 31}),
    "euc-kr": ("a.csv", csv((KOREAN, "좋다")).encode("euc_kr"), [(KOREAN, "좋다")], {"encoding": 26}),
    "mixed encodings in one file": (
        "a.csv",
        MIXED,
        [("Ærø på dansk ærlig", "gut"), ("smørrebrød", "gut"), ("café", "bien")],
        {"encoding": 1},
    ),
    "nul bytes": ("a.csv", b"text,label\na\0b\0,c\nd,e\n", [("ab", "c"), ("d", "e")], {"nul bytes": 2}),
    "nul bytes in lines of json": ("a.jsonl", LINES.replace("a", "a\0").encode(), AB, {"nul bytes": 3}),
    "lone surrogates in json": (
        "a.jsonl",
        '{"text": "x\\ud83d", "label": "b"}\n{"text": "\\udc00\\ud83d\\ude00", "label": "\\ud800"}\n',
        [("x\ufffd", "b"), ("\ufffd😀", "\ufffd")],
        {"lone surrogates": 3},
    ),
    "lone surrogates as bytes": (
        "a.csv",
        "text,label\nx\ud83dy,b\n".encode("utf-8", "surrogatepass"),
        [("x\ufffdy", "b")],
        {"lone surrogates": 1},
    ),
    # Delimited text
    "windows line ends": ("a.csv", PLAIN.replace("\n", "\r\n"), AB, {}),
    "old mac line ends": ("a.csv", PLAIN.replace("\n", "\r"), AB, {}),
    "quoted newlines": ("a.csv", 'text,label\n"a\nb\r\n\rc",d\n', [("a\nb\r\n\rc", "d")], {}),
    "rows too short": (
        "a.csv",
        "text,label,note\na,b,c\nd,e\nf\n",
        [("a", "b", "c"), ("d", "e", None), ("f", None, None)],
        {"ragged rows": 2},
    ),
    "rows too long by empty cells": ("a.csv", "text,label\na,b,\nc,d,,\n", AB, {"ragged rows": 2}),
    "semicolons": ("a.csv", PLAIN.replace(",", ";"), AB, {"delimiter": 1}),
    "semicolons and commas in the text": (
        "a.csv",
        "text;label\na, b, c;d\ne, f;g\n",
        [("a, b, c", "d"), ("e, f", "g")],
        {"delimiter": 1},
    ),
    "tabs in a csv": ("a.csv", PLAIN.replace(",", "\t"), AB, {"delimiter": 1}),
    "bars": ("a.csv", PLAIN.replace(",", "|"), AB, {"delimiter": 1}),
    "commas in a tsv": ("a.tsv", PLAIN, AB, {"delimiter": 1}),
    "the header repeated": ("a.csv", PLAIN + PLAIN, [*AB, *AB], {"repeated header": 1}),
    "the header repeated with its mark": (
        "a.csv",
        PLAIN.encode("utf-8-sig") * 3,
        [*AB, *AB, *AB],
        {"repeated header": 2, "joined files": 2},
    ),
    "a column without a name": ("a.csv", ",text,label\n0,a,b\n", [("0", "a", "b")], {"header": 1}),
    "blanks around names": ("a.csv", "text, label\na,b\n", [("a", "b")], {"header": 1}),
    "blank lines between": ("a.csv", "text,label\n\na,b\n\n\nc,d\n\n", AB, {"blank lines": 3}),
    # JSON
    "an array in a jsonl": ("a.jsonl", "[" + LINES.strip().replace("\n", ",") + "]", AB, {"wrong extension": 1}),
    "lines in a json": ("a.json", LINES, AB, {"wrong extension": 1}),
    "objects over several lines": (
        "a.jsonl",
        '{\n "text": "a",\n "label": "b"\n}\n{"text": "c",\n"label": "d"}',
        AB,
        {},
    ),
    "a trailing comma in an array": (
        "a.json",
        "[" + LINES.strip().replace("\n", ",") + ",\n]",
        AB,
        {"trailing commas": 1},
    ),
    "commas after lines": ("a.jsonl", LINES.replace("\n", ",\n"), AB, {"trailing commas": 2}),
    "nan and infinity": (
        "a.jsonl",
        '{"text": NaN, "label": -Infinity}\n{"text": "NaN", "label": Infinity}',
        [(None, "-Infinity"), ("NaN", "Infinity")],
        {},
    ),
    "nan in a column of real numbers": (
        "a.parquet",
        packed({"text": ["a", "b"], "label": [1.0, float("nan")]}),
        [("a", "1"), ("b", None)],
        {},
    ),
    "nul characters in json": ("a.jsonl", '{"text": "a\\u0000", "label": "b"}\n', [("a", "b")], {"nul bytes": 1}),
    "files joined with their marks": (
        "a.csv",
        PLAIN.encode("utf-8-sig") + "e,f\n".encode("utf-8-sig"),
        [*AB, ("e", "f")],
        {"joined files": 1},
    ),
    "mostly windows-1252 with some utf-8": (
        "a.csv",
        csv(*[("café très bon", "oui")] * 30).encode("cp1252") + "café très bon,oui\n".encode() * 10,
        [("café très bon", "oui")] * 40,
        {"encoding": 60},
    ),
    "windows-1252 that looks like utf-8 now and then": (
        "a.csv",
        csv(*[("SÃ£o e são já aí", "a")] * 3, ("Ã£ são", "b")).encode("cp1252"),
        [*[("SÃ£o e são já aí", "a")] * 3, ("Ã£ são", "b")],
        {"encoding": 18},
    ),
    "a nul and colours of a terminal": (
        "a.csv",
        "text,label\n" + "\x1b[31mfailed\x1b[0m again,a\n" * 20 + "the \0 end,b\n",
        [*[("\x1b[31mfailed\x1b[0m again", "a")] * 20, ("the  end", "b")],
        {"nul bytes": 1},
    ),
    "a quote that swallows rows of tabs": (
        "a.tsv",
        'text\tlabel\n"Awful film\tneg\nfine\tpos\nso so\tneg\nloved it"\tpos\nx\tneg\n',
        [("Awful film\tneg\nfine\tpos\nso so\tneg\nloved it", "pos"), ("x", "neg")],
        {"swallowed rows": 1},
    ),
    "nested cells beside": (
        "a.jsonl",
        '{"text": "a", "label": "b", "meta": {"n": 1.50, "é": [null]}}',
        [("a", "b", '{"n": 1.5, "é": [null]}')],
        {},
    ),
    "keys that some rows lack": (
        "a.jsonl",
        '{"text": "a"}\n{"label": "d", "text": "c"}\n{"label": null, "text": "e", "x": 1}',
        [("a", None, None), ("c", "d", None), ("e", None, "1")],
        {"ragged rows": 2},
    ),
    # Parquet
    "columns of every type": (
        "a.parquet",
        packed(
            {
                "text": pa.array(["x", None]).dictionary_encode(),
                "label": pa.array([10**18, None]),
                "price": pa.array([Decimal("1.50"), None]),
                "good": pa.array([True, None]),
                "half": pa.array([0.5, None]),
                "raw": pa.array(["ü".encode(), None]),
                "list": pa.array([["é", 1.5 and "b"], None]),
            }
        ),
        [("x", "1000000000000000000", "1.50", "true", "0.5", "ü", '["é", "b"]'), (None,) * 7],
        {},
    ),
    "parquet text that is not utf-8": (
        "a.parquet",
        packed({"text": broken([b"caf\xe9", b"ok"]), "label": ["b", "d"]}),
        [("café", "b"), ("ok", "d")],
        {"encoding": 1},
    ),
    # Names that do not fit
    "gzip named csv": ("a.csv", gzip.compress(PLAIN.encode()), AB, {"wrong extension": 1}),
    "csv named gz": ("a.csv.gz", PLAIN, AB, {"wrong extension": 1}),
    "zstd named gz": ("a.jsonl.gz", zstd(LINES.encode()), AB, {"wrong extension": 1}),
    "parquet named csv": ("a.csv", GOOD, AB, {"wrong extension": 1}),
    "csv named parquet": ("a.parquet", PLAIN, AB, {"wrong extension": 1}),
    "csv named json": ("a.json", PLAIN, AB, {"wrong extension": 1}),
    "json named csv": ("a.csv", LINES, AB, {"wrong extension": 1}),
    "tabs named txt": ("a.txt", PLAIN.replace(",", "\t"), AB, {"wrong extension": 1}),
    # Texts and labels are the reader's business only in that they stay as they are.
    "text empty or blank": ("a.csv", 'text,label\n"",a\n"  ",b\n', [("", "a"), ("  ", "b")], {}),
    "text of invisible characters only": (
        "a.csv",
        csv(("\u200b\ufeff", "a"), ("\u202e\u200f", "b"), ("\x01\x1b\x7f", "c")),
        [("\u200b\ufeff", "a"), ("\u202e\u200f", "b"), ("\x01\x1b\x7f", "c")],
        {},
    ),
    "text of 10 MB": ("a.csv", csv((LONG, "a")), [(LONG, "a")], {}),
    "text of 10 MB in json": ("a.jsonl", json.dumps({"text": LONG, "label": "a"}), [(LONG, "a")], {}),
    "text with markup": ("a.csv", 'text,label\n"<p class=""x"">&amp;</p>",a\n', [('<p class="x">&amp;</p>', "a")], {}),
    "text that is a number": ("a.jsonl", '{"text": 1.50, "label": true}', [("1.50", "true")], {}),
    "text of emoji only": ("a.csv", csv(("👍🏽👨‍👩‍👧", "a")), [("👍🏽👨‍👩‍👧", "a")], {}),
    "labels missing": (
        "a.jsonl",
        '{"text": "a", "label": null}\n{"text": "b", "label": ""}\n{"text": "c", "label": " "}',
        [("a", None), ("b", ""), ("c", " ")],
        {},
    ),
    "labels that differ in case or blanks": (
        "a.csv",
        csv(("a", "Pos"), ("b", "pos"), ("c", " pos")),
        [("a", "Pos"), ("b", "pos"), ("c", " pos")],
        {},
    ),
    "labels that look like numbers": (
        "a.csv",
        csv(("a", "007"), ("b", "7"), ("c", "7.0")),
        [("a", "007"), ("b", "7"), ("c", "7.0")],
        {},
    ),
    "10,000 classes": (
        "a.csv",
        csv(*((f"t{i}", f"c{i}") for i in range(10_000))),
        [(f"t{i}", f"c{i}") for i in range(10_000)],
        {},
    ),
}


def told(t: Table) -> dict[str, int]:
    assert len({f.check for f in t.found}) == len(t.found)
    return {f.check: f.count for f in t.found}


def put(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


@pytest.mark.parametrize(("name", "data", "cells", "counts"), CLEANED.values(), ids=CLEANED)
def test_cleaned(tmp_path: Path, name: str, data: bytes | str, cells: Rows, counts: dict[str, int]) -> None:
    t = read(put(tmp_path / name, data))
    assert list(zip(*(t.column(c) for c in t.data.column_names), strict=True)) == list(cells)
    assert told(t) == counts
    for finding in t.found:
        assert finding.severity in ("info", "warning") and finding.says.startswith(f"{name}: ") and finding.remedy


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.csv", "text,label\na,b\nc\nd\n", "fewer cells than the header: 2, the first in line 3"),
        ("a.csv", 'text,label\na,b\n"c\nc",d,\n', "beyond the header's: 1, the first in line 3"),
        ("a.csv", PLAIN + PLAIN, "the header once more: 1, the first in line 4"),
        ("a.csv", "text,label\na,b\n\n\nc,d\n", "blank lines between rows: 2, the first in line 3"),
        ("a.jsonl", LINES.strip() + ",\n" + LINES, "JSON has no place: 1, the first in line 2"),
        ("a.csv", MIXED, r"1 bytes \(the first in line 4\) are not UTF-8"),
    ],
)
def test_a_finding_names_the_first_line(tmp_path: Path, name: str, data: bytes | str, says: str) -> None:
    (finding,) = read(put(tmp_path / name, data)).found
    assert re.search(says, finding.says)


def test_western_text_of_odd_bytes_loses_none(tmp_path: Path) -> None:
    """What another program garbled before (an apostrophe as three bytes) makes no English text Chinese."""
    odd = b"".join(
        b"I\x8a\x97\xc8ll be there, said Ren\xe9e%c and it\xe4\xf3\xbbs fine;b\n" % b for b in range(0x80, 0x100)
    )
    t = read(put(tmp_path / "a.csv", b"text;label\n" + odd))
    western = {b: bytes([b]).decode("cp1252", "ignore") or chr(b) for b in range(256)}
    assert t.column("text") == ["".join(western[b] for b in line[:-2]) for line in odd.split(b"\n")[:-1]]
    assert len(set(western.values())) == 256 and told(t)["encoding"] == 128 * 8


def test_an_encoding_is_told_from_a_long_file_with_little_of_it(tmp_path: Path) -> None:
    rows = [("plain English text", "pos")] * 20_000 + [(CHINESE, "好")] * 3_000
    t = read(put(tmp_path / "a.csv", csv(*rows).encode("gbk")))
    assert t.inputs[-1] == (CHINESE,) and told(t) == {"encoding": 3_000 * (len(CHINESE) + 1)}


STAY = ["NA", "None", "null", "007", "1e5", "True", "nan", "-0", "1.0", "N/A", " x ", "#", "1_000", "'", "\\N", "inf"]


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "json", "parquet"])
def test_text_stays_the_text_it_is(tmp_path: Path, kind: str) -> None:
    rows = [{"text": cell, "label": cell} for cell in STAY]
    data: bytes | str = {
        "csv": csv(*((cell, cell) for cell in STAY)),
        "tsv": csv(*((cell, cell) for cell in STAY)).replace(",", "\t"),
        "jsonl": "".join(json.dumps(row) + "\n" for row in rows),
        "json": json.dumps(rows),
        "parquet": packed({"text": STAY, "label": STAY}),
    }[kind]
    t = read(put(tmp_path / f"a.{kind}", data))
    assert t.column("text") == t.column("label") == STAY and told(t) == {}


def test_missing_labels_are_missing_however_they_are_written(tmp_path: Path) -> None:
    t = read(put(tmp_path / "a.csv", 'text,label\na,\nb," "\nc\nd,x\n'))
    assert t.labels == [None, None, None, "x"]


# name of the file, its bytes, options, and what the message says: place, column, found, expected, remedy
REFUSED: dict[str, tuple[str, bytes | str, dict[str, Any], Sequence[str]]] = {
    "an empty file": ("a.csv", "", {}, ["empty", "0 bytes"]),
    "only NULs": ("a.csv", b"\0" * 100, {}, ["no rows"]),
    "a header only": ("a.csv", "text,label\n", {}, ["no rows", "below the header"]),
    "a tar": ("a.tar.gz", tarred(), {}, ["tar archive", "unpack"]),
    "a pointer of git lfs": ("a.csv", "version https://git-lfs.github.com/spec/v1\noid sha256:00\n", {}, ["LFS"]),
    "a web page": ("a.csv", "<!DOCTYPE html>\n<html><body>Sign in</body></html>", {}, ["web page"]),
    "objects as python writes them": ("a.jsonl", "{'text': 'a', 'label': 'b'}\n" * 3, {}, ["line 1", "not valid JSON"]),
    "numbers and dates in one time": (
        "a.csv",
        "text,label,when\na,b,2026\nc,d,2024-05-01\n",
        {"time": "when"},
        ["a number in a.csv, row 1", "a date in a.csv, row 2", "one kind"],
    ),
    "an empty array": ("a.json", "[]", {}, ["no rows"]),
    "empty objects": ("a.jsonl", "{}\n{}\n", {}, ["no rows"]),
    "an unbalanced quote": (
        "a.csv",
        'text,label\na,b\n"c\nc",d\ne,"f\ng,h\n',
        {},
        ["line 5", "quote that opens", '"f g,h', "not closed", "Close it"],
    ),
    "an unbalanced quote in the second cell": (
        "a.csv",
        'text,label\n"a\nb","c\nd,e\n',
        {},
        ["line 3", '"c d,e', "not closed"],
    ),
    "a quote closed too early": ("a.csv", 'text,label\n"a" b,c\n', {}, ["line 2", "expected after", "twice"]),
    "quotes escaped by backslashes": ("a.csv", 'text,label\n"a \\"b\\" c",d\n', {}, ["line 2", "twice"]),
    "a row too long": (
        "a.csv",
        "text,label\na,b\nc,d,e\n",
        {},
        ["line 3", "found 3 cells", "expected 2", '"double quotes"'],
    ),
    "no header": (
        "a.csv",
        "great film,pos\nbad film,neg\nfine,pos\n",
        {},
        ["line 1", "seems to be a row", "great film, pos", "'pos' stands again below", "expected the names", "--input"],
    ),
    "no header, nothing like a name": (
        "a.csv",
        '"I liked it, mostly. Would go again!",5\n"Never again, I tell you.",1\n',
        {},
        ["line 1", "seems to be a row", "none of it looks like a name", "Put a line with names"],
    ),
    "no header, with flags": (
        "a.tsv",
        "1\tgood one\n0\tbad one\n1\tokay\n",
        {"input": "text", "label": "label"},
        ["line 1", "seems to be a row"],
    ),
    "names that nobody expects": (
        "a.csv",
        "review,stars\na,1\nb,2\n",
        {},
        ["no column is named text", "--input COLUMN", "review, stars"],
    ),
    "a name twice in the header": ("a.csv", "text,text ,label\na,b,c\n", {}, ["line 1", "'text'", "twice", "rename"]),
    "a line without an end": ("a.csv", b"text,label\n" + b"x" * LONGEST, {}, ["xxx", "more than", "one row in a line"]),
    "the last line of json cut": (
        "a.jsonl",
        LINES + '{"text": "e", "la',
        {},
        ["line 3", "cut off", "copy or download"],
    ),
    "the last line of json cut in a word": ("a.jsonl", LINES + '{"text": tru', {}, ["line 3", "cut off"]),
    "an array cut between objects": (
        "a.json",
        "[" + LINES.strip().replace("\n", ",\n"),
        {},
        ["line 2", "cut off", r"expected a \]"],
    ),
    "an array cut in an object": ("a.json", '[{"text": "a"},\n{"text": "b', {}, ["line 2", "cut off"]),
    "rubbish after an array": (
        "a.json",
        '[{"text": "a"}]\n[{"text": "b"}]',
        {},
        ["line 2", "found", "after the end", "one array"],
    ),
    "no comma in an array": ("a.json", '[{"text": "a"}\n{"text": "b"}]', {}, ["line 2", "found", "expected a comma"]),
    "a comma within an object": ("a.jsonl", '{"text": "a",}\n', {}, ["line 1", "character 14", "take out the comma"]),
    "no json in the middle": ("a.jsonl", LINES + "oops\n" + LINES, {}, ["line 3", "not valid JSON", "character 1"]),
    "a line that is a list": (
        "a.jsonl",
        LINES + '["a", "b"]\n',
        {},
        ["line 3", r'found \["a", "b"\]', "expected an object"],
    ),
    "rows as lists": ("a.json", '[["a", "b"]]', {}, ["line 1", "expected an object"]),
    "a nested label": (
        "a.jsonl",
        LINES + '{"text": "e", "label": {"name": "x"}}\n',
        {},
        ["line 3", "column 'label'", r'found \{"name": "x"\}', "expected one text", "--label"],
    ),
    "a list as label": (
        "a.json",
        '[{"text": "a", "label": "x"},\n{"text": "b", "label": ["x", "y"]}]',
        {},
        ["line 2", "column 'label'", r'found \["x", "y"\]', "expected one text"],
    ),
    "an object as label in parquet": (
        "a.parquet",
        packed({"text": ["a"], "label": [{"x": "y"}]}),
        {},
        ["row 1", "column 'label'", "found struct<.*string>", "expected one text"],
    ),
    "a key twice": (
        "a.jsonl",
        LINES + '{"text": "a", "text": "b"}\n',
        {},
        ["line 3", "'text'", "twice", "expected each once"],
    ),
    "a key that is half a character": (
        "a.jsonl",
        '{"text": "a", "\\ud800": 1}',
        {},
        ["line 1", "half a character", "rename"],
    ),
    "keys without end": (
        "a.jsonl",
        "".join(json.dumps({f"k{i}-{j}": 1 for j in range(2000)}) + "\n" for i in range(6)),
        {},
        ["line 6", "10,000 different keys", "as a value"],
    ),
    "nested without end": ("a.jsonl", '{"text": ' + "[" * 100_000, {}, ["line 1", "nested too deep"]),
    "a number without end": ("a.jsonl", '{"text": [' + "1" * 5000 + "]}", {}, ["line 1", "cannot be read", "digits"]),
    "parquet without its footer": ("a.parquet", GOOD[:-20], {}, ["cut off", "found b'", "expected b'PAR1'", "again"]),
    "parquet with a damaged footer": (
        "a.parquet",
        GOOD[:-40] + b"\xff" * 32 + GOOD[-8:],
        {},
        ["cannot be read as Parquet", "again"],
    ),
    "an excel file named csv": (
        "a.csv",
        b"PK\x03\x04" + b"\0" * 50,
        {},
        [r"spreadsheet \(\.xlsx\)", r"\.csv, ", "Save"],
    ),
    "bytes that are no text": ("a.csv", bytes(range(256)) * 4, {}, ["neither text nor Parquet", r"\.csv"]),
    "gzip within gzip": ("a.csv.gz", gzip.compress(gzip.compress(b"x")), {}, ["packed a second time"]),
    "gzip cut off": ("a.csv.gz", gzip.compress(PLAIN.encode())[:-4], {}, ["cannot be read", "Truncated", "again"]),
    "zstd cut off": ("a.csv.zst", zstd(PLAIN.encode())[:-4], {}, ["cannot be read", "Truncated", "again"]),
    "duplicate ids": (
        "a.csv",
        "id,text,label\n1,a,b\n2,c,d\n1,e,f\n",
        {"id": "id"},
        ["row 3", "id '1'", "row 1", "Leave --id away"],
    ),
}


@pytest.mark.parametrize(("name", "data", "options", "says"), REFUSED.values(), ids=REFUSED)
def test_refused(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    name: str,
    data: bytes | str,
    options: dict[str, Any],
    says: Sequence[str],
) -> None:
    path = put(tmp_path / name, data)
    with pytest.raises(DataError) as caught:
        t = read(path, **options)
        _ = t.ids, t.times
    message = str(caught.value)
    assert message.startswith((str(path), name)) and "\n" not in message
    for part in says:
        assert re.search(part, message), (part, message)
    assert capfd.readouterr() == ("", "")


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(DataError, match="not a regular file"):
        read(tmp_path / "a.csv")


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path / "a.csv", PLAIN)

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(DataError, match="cannot be read: Permission denied"):
        read(path)


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from finetooth.readers import files

    path = put(tmp_path / "a.csv", PLAIN)

    def slowly(file: files.File) -> files.Content:
        content = files.read_csv(file)
        path.write_text(PLAIN + "e,f\n")
        return content

    monkeypatch.setitem(files.READERS, ".csv", slowly)
    with pytest.raises(DataError, match=r"a\.csv: the file was changed while it was read"):
        read(path)


# Folders


def test_parts_may_be_folders_of_files(tmp_path: Path) -> None:
    put(tmp_path / "d/train/b.csv", csv(("c", "d")))
    put(tmp_path / "d/train/a.jsonl", '{"label": "b", "text": "a"}')
    put(tmp_path / "d/train/_SUCCESS", "")
    put(tmp_path / "d/dev/part.tsv.zst", zstd(b"text\tlabel\nx\ty\n"))
    put(tmp_path / "d/holdout.csv", PLAIN)
    put(tmp_path / "d/README.md", "about")
    t = read(tmp_path / "d")
    assert t.inputs == [("a",), ("c",), ("x",)]
    assert list(t.parts) == ["train", "train", "validation"]
    assert [t.place(i) for i in range(3)] == ["train/a.jsonl, row 1", "train/b.csv, row 1", "dev/part.tsv.zst, row 1"]
    assert told(t) == {"files not read": 1} and "holdout.csv" in t.found[0].says


def test_parts_may_be_cut_into_numbered_pieces(tmp_path: Path) -> None:
    for i, row in enumerate(["a", "b"]):
        put(tmp_path / f"train-0000{i}-of-00002.parquet", packed({"text": [row], "label": ["x"]}))
    put(tmp_path / "test-00000-of-00001.parquet", packed({"text": ["c"], "label": ["x"]}))
    t = read(tmp_path)
    assert (t.inputs, list(t.parts)) == ([("a",), ("b",), ("c",)], ["train", "train", "test"])


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (["train/in/a.csv"], r"train/in: found a folder, expected a file of rows"),
        (["train.csv", "train/a.csv"], r"train and train\.csv both claim to be the train part"),
        (["training.csv"], r"named train.*found training\.csv"),
        (["train-00000-of-00003.csv"], r"one of 3 pieces, and 2 of them are missing \(number 1, 2\)"),
        (["train/x-00001-of-00002.csv", "test.csv"], r"one of 2 pieces, and 1 of them are missing \(number 0\)"),
    ],
)
def test_a_folder_that_does_not_say_what_is_what_is_refused(tmp_path: Path, files: list[str], says: str) -> None:
    for file in files:
        put(tmp_path / file, PLAIN)
    with pytest.raises(DataError, match=says):
        read(tmp_path)


def test_a_script_beside_the_rows_is_no_part(tmp_path: Path) -> None:
    put(tmp_path / "train.csv", PLAIN)
    put(tmp_path / "train.py", "print()")
    put(tmp_path / "test.log", "done")
    t = read(tmp_path)
    assert list(t.parts) == ["train", "train"] and "test.log, train.py belong to no part" in t.found[0].says


def test_a_text_in_place_of_a_path_is_refused() -> None:
    with pytest.raises(DataError, match="cannot be opened"):
        read("This film is great. " * 20)


def test_a_label_only_in_the_test_part_and_a_class_of_one_are_read(tmp_path: Path) -> None:
    put(tmp_path / "train.csv", csv(("a", "x"), ("b", "x"), ("c", "once")))
    put(tmp_path / "test.csv", csv(("d", "new")))
    t = read(tmp_path)
    assert t.labels == ["x", "x", "once", "new"] and told(t) == {}


def test_what_one_part_needed_is_told_with_its_name(tmp_path: Path) -> None:
    put(tmp_path / "train.csv", PLAIN)
    put(tmp_path / "test.csv", "text;label\né;f\n".encode("cp1252"))
    t = read(tmp_path)
    assert told(t) == {"delimiter": 1, "encoding": 1}
    assert all(f.says.startswith("test.csv: ") for f in t.found)
