"""Every format gives the same Table, every cell stays the text it is, and every mistake gets one sentence."""

import csv
import gzip
import io
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub
import pyarrow as pa
import pytest
from pyarrow import parquet

from finetooth import read
from finetooth.errors import DataError
from finetooth.table import Table

PLAIN = [".csv", ".tsv", ".jsonl", ".json", ".parquet"]
ENDINGS = [*PLAIN, *(f"{ending}.gz" for ending in PLAIN), *(f"{ending}.zst" for ending in PLAIN)]
HEADER = ["text", "label"]
ROWS = [
    ("007", "NA"),
    ("1e5", "null"),
    ("True", "1.0"),
    ("-0", "nan"),
    ('say "hi", friend', "N/A"),
    ("two\nlines", "#N/A"),
    ("a\ttab", "None"),
    ("ünï ☃ 𝄞", "ß"),
    (" spaced ", "01"),
    ("# 2020-01-01", "false"),
    ("", "empty"),
    ("a\u2028b", "'"),
]


def content(ending: str, rows: Sequence[Sequence[Any]] = ROWS, header: Sequence[str] = HEADER) -> bytes:
    """The bytes of a file with these rows."""
    if ending.endswith(".gz"):
        return gzip.compress(content(ending.removesuffix(".gz"), rows, header))
    if ending.endswith(".zst"):
        return bytes(pa.compress(content(ending.removesuffix(".zst"), rows, header), "zstd", asbytes=True))
    if ending == ".parquet":
        sink = io.BytesIO()
        columns = [pa.array([row[i] for row in rows], None if rows else pa.string()) for i in range(len(header))]
        parquet.write_table(pa.table(columns, names=list(header)), sink)
        return sink.getvalue()
    if ending == ".jsonl":
        return "".join(json.dumps(dict(zip(header, row, strict=True))) + "\n" for row in rows).encode()
    if ending == ".json":
        return json.dumps([dict(zip(header, row, strict=True)) for row in rows], indent=1).encode()
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t" if ending == ".tsv" else ",", lineterminator="\n")
    writer.writerows([header, *rows])
    return text.getvalue().encode()


def put(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def cells(path: Path, **options: Any) -> list[tuple[str | None, ...]]:
    t = read(path, **options)
    return list(zip(*(t.column(name) for name in t.data.column_names), strict=True))


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_format_gives_the_same_table_with_each_cell_as_text(tmp_path: Path, ending: str) -> None:
    t, plain = read(put(tmp_path / f"a{ending}", content(ending))), read(put(tmp_path / "b.csv", content(".csv")))
    assert list(zip(t.column("text"), t.column("label"), strict=True)) == ROWS
    assert (t.ids, t.fingerprint, t.columns, t.data) == (plain.ids, plain.fingerprint, plain.columns, plain.data)
    assert list(t.places) == [(f"a{ending}", row) for row in range(1, len(ROWS) + 1)]
    assert list(t.parts) == [None] * len(ROWS)
    assert t.found == ()


@pytest.mark.parametrize("ending", [".CSV", ".Jsonl", ".csv.GZ", ".JSONL.GZ", ".Parquet.Gz", ".v1.2.tsv"])
def test_the_ending_counts_whatever_its_case_and_what_stands_before(tmp_path: Path, ending: str) -> None:
    kind = re.sub(r"\.v1\.2", "", ending.lower())
    assert cells(put(tmp_path / f"a{ending}", content(kind))) == ROWS


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".csv.gz", ".jsonl.gz"])
def test_a_byte_order_mark_and_windows_line_ends_change_nothing(tmp_path: Path, ending: str) -> None:
    rows = [("a", "b"), ("c", "d")]
    kind = ending.removesuffix(".gz")
    data = b"\xef\xbb\xbf" + content(kind, rows).replace(b"\n", b"\r\n")
    assert cells(put(tmp_path / f"a{ending}", gzip.compress(data) if kind != ending else data)) == rows


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl"])
def test_the_last_line_may_lack_its_end(tmp_path: Path, ending: str) -> None:
    rows = [("a", "b"), ("c", "d")]
    assert cells(put(tmp_path / f"a{ending}", content(ending, rows).removesuffix(b"\n"))) == rows


def test_quoted_line_breaks_of_all_kinds_are_kept(tmp_path: Path) -> None:
    assert cells(put(tmp_path / "a.csv", 'text,label\n"a\nb","c"\n"d\r\n\r\ne",f\n')) == [
        ("a\nb", "c"),
        ("d\r\n\r\ne", "f"),
    ]


def test_a_long_cell_is_read_wherever_it_stands(tmp_path: Path) -> None:
    long = "word " * 500_000
    rows = [*(("short", "a") for _ in range(150_000)), (long, "b")]
    assert cells(put(tmp_path / "a.csv", content(".csv", rows)))[-1] == (long, "b")


def test_json_numbers_stay_as_they_are_written(tmp_path: Path) -> None:
    lines = '{"text": 1.50, "label": 1e5}\n{"label": true, "text": 12345678901234567890}\n\n{"text": null}\n'
    assert cells(put(tmp_path / "a.jsonl", lines)) == [("1.50", "1e5"), ("12345678901234567890", "true"), (None, None)]


@pytest.mark.parametrize("ending", [".jsonl", ".json", ".parquet"])
def test_a_nested_cell_becomes_the_same_json_in_every_format(tmp_path: Path, ending: str) -> None:
    path = put(tmp_path / f"a{ending}", content(ending, [({"é": [1.5, None]}, "x")]))
    assert cells(path) == [('{"é": [1.5, null]}', "x")]


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (pa.array([1, None]), ["1", None]),
        (pa.array([True, False]), ["true", "false"]),
        (pa.array([0.5, 2.0]), ["0.5", "2"]),
        (pa.array(["x", "y"]).dictionary_encode(), ["x", "y"]),
        (pa.array(["x", "y"], pa.large_string()), ["x", "y"]),
        (pa.array([None, None]), [None, None]),
    ],
    ids=["int", "bool", "float", "dictionary", "large string", "null"],
)
def test_parquet_columns_of_any_type_become_text(tmp_path: Path, column: pa.Array, texts: list[str | None]) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"text": ["a", "b"], "label": column}), path)
    assert read(path).column("label") == texts


# Roles of columns


@pytest.mark.parametrize(
    ("header", "options", "roles"),
    [
        ("text,label", {}, (("text",), "label")),
        ("Sentence,Target", {}, (("Sentence",), "Target")),
        ("text,sentence,label", {"input": "sentence"}, (("sentence",), "label")),
        ("a,b,c", {"input": "c,a", "label": "b"}, (("c", "a"), "b")),
        ("text,stars,label", {"label": "stars"}, (("text",), "stars")),
    ],
)
def test_columns_are_found_by_flag_or_by_convention(
    tmp_path: Path, header: str, options: dict[str, Any], roles: tuple[tuple[str, ...], str]
) -> None:
    t = read(put(tmp_path / "a.csv", f"{header}\n{','.join('xyz'[: len(header.split(','))])}\n"), **options)
    assert (t.columns.input, t.columns.label) == roles


def test_labels_may_be_absent_where_nobody_needs_them(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", "text\nx\n")
    assert read(path, labelled=False).columns.label is None


# Folders


def test_a_folder_gives_its_files_as_parts(tmp_path: Path) -> None:
    put(tmp_path / "d" / "train.csv", "text,label\na,1\nb,2\n")
    put(tmp_path / "d" / "validation.jsonl", '{"label": "1", "text": "c"}\n')
    put(tmp_path / "d" / "test.tsv.gz", gzip.compress(b"label\ttext\n2\td\n"))
    put(tmp_path / "d" / "README.md", "about")
    t = read(tmp_path / "d")
    assert t.inputs == [("a",), ("b",), ("c",), ("d",)]
    assert t.labels == ["1", "2", "1", "2"]
    assert list(t.parts) == ["train", "train", "validation", "test"]
    assert t.parts[-1] == "test" and t.parts[1:3] == ["train", "validation"]
    assert t.places[1:] == [("train.csv", 2), ("validation.jsonl", 1), ("test.tsv.gz", 1)]
    assert t.place(3) == "test.tsv.gz, row 1"


# Mistakes


def refusal(capfd: pytest.CaptureFixture[str], path: Path | str, **options: Any) -> str:
    """The one sentence with which a file is refused; nothing else may be printed."""
    with pytest.raises(DataError) as caught:
        read(path, **options)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    assert capfd.readouterr() == ("", "")
    return message


NO_ROWS = content(".parquet", [], HEADER)
TWICE = content(".parquet", [("a", "b", "c")], ["text", "text", "label"])
GOOD = content(".parquet", [("a", "b")] * 50)
DEFLATED = {e: bytearray(gzip.compress(content(e, [(f"text {i}", "b") for i in range(500)]))) for e in PLAIN}
for data in DEFLATED.values():
    data[12:30] = b"\xff" * 18

MISTAKES: dict[str, tuple[str, bytes | str, dict[str, Any], str]] = {
    "unknown ending": ("a.xlsx", "x", {}, r"'\.xlsx' .*\.conll, \.csv, \.iob, \.json, \.jsonl, \.parquet, \.tsv"),
    "mistyped ending": ("a.jsnl", "x", {}, r"'\.jsnl' .*did you mean '\.jsonl'"),
    "no ending": ("a", "x", {}, r"ending.*\.csv"),
    "ending of gz alone": ("a.gz", gzip.compress(b"x"), {}, r"'\.gz' .*\.csv"),
    **{f"empty {e}": (f"a{e}", b"", {}, "empty") for e in PLAIN},
    **{f"empty inside {e}.gz": (f"a{e}.gz", gzip.compress(b""), {}, "(?i)empty|no rows|0 bytes") for e in PLAIN},
    "header only csv": ("a.csv", "text,label\n", {}, "no rows"),
    "header only tsv": ("a.tsv", "text\tlabel\r\n", {}, "no rows"),
    "header without line end": ("a.csv", "text,label", {}, "no rows"),
    "header only parquet": ("a.parquet", NO_ROWS, {}, "no rows"),
    "blank lines only csv": ("a.csv", "\n\n", {}, "no rows|empty|no header"),
    "blank lines only jsonl": ("a.jsonl", "\n\n", {}, "no rows|empty"),
    "one cell too many": ("a.csv", "text,label\na,b\nc,d,e\nf,g\n", {}, 'line 3: .*3 .*2 .*"double quotes"'),
    "ragged first line": ("a.csv", "text,label\na,b,c\n", {}, "line 2: .*3 .*2 "),
    "ragged far below": ("a.csv", "text,label\n" + "a,b\n" * 300_000 + "c,d,e\n", {}, "line 300002: .*3 .*2 "),
    "ragged in gz": ("a.csv.gz", gzip.compress(b"text,label\na,b\nc,d,e\n"), {}, "line 3: .*3 .*2 "),
    "ragged below a quoted line break": ("a.csv", 'text,label\n"a\nb",c\nd,e,f\n', {}, "line 4: .*3 .*2 "),
    "ragged below a blank line": ("a.csv", "text,label\n\na,b\n\nc,d,e\n", {}, "line 5: .*3 .*2 "),
    "quote never closed": ("a.csv", 'text,label\na,b\n"c,d\ne,f\n', {}, "line 3: .*quote"),
    "mistyped label": ("a.csv", "text,stars\na,b\n", {"label": "star"}, "'star' for --label; did you mean 'stars'"),
    "mistyped input": ("a.csv", "text,label\na,b\n", {"input": "txt"}, "'txt' for --input; did you mean 'text'"),
    "one of two inputs": ("a.csv", "text,label\na,b\n", {"input": "text,body"}, "'body' for --input; .*text"),
    "wrong group": ("a.csv", "text,label\na,b\n", {"group": "zzz"}, "'zzz' for --group; .*label, text"),
    "wrong id": ("a.csv", "text,label\na,b\n", {"id": "labl"}, "'labl' for --id; did you mean 'label'"),
    "two inputs possible": ("a.csv", "text,sentence,label\na,b,c\n", {}, "text and sentence.*--input.*are text, "),
    "two labels possible": ("a.csv", "text,target,label\na,b,c\n", {}, "target and label.*--label"),
    "no input": ("a.csv", "body,label\na,b\n", {}, "text.*--input.*columns are body, label"),
    "no label": ("a.csv", "text,stars\na,b\n", {}, "label.*--label.*columns are text, stars"),
    "input is label": ("a.csv", "text,label\na,b\n", {"input": "label"}, "'label' cannot be both"),
    "an input named twice": ("a.csv", "text,label\na,b\n", {"input": "text,text"}, "'text'.*twice"),
    "header twice csv": ("a.csv", "text,text,label\na,b,c\n", {}, "'text' stands twice"),
    "header twice tsv": ("a.tsv", "text\tlabel\tlabel\na\tb\tc\n", {}, "'label' stands twice"),
    "header twice parquet": ("a.parquet", TWICE, {}, "'text' stands twice"),
    "bad json": ("a.jsonl", '{"text": "a", "label": "b"}\n{"text": }\n', {}, "line 2: not valid JSON.*character 10"),
    "cut json": ("a.jsonl", '{"text": "a", "label": "b"}\n\n{"text": "c"', {}, "line 3: .*cut off.*not valid JSON"),
    "json number": ("a.jsonl", '{"text": "a", "label": "b"}\n7\n', {}, "line 2: found 7, expected an object"),
    "truncated parquet": ("a.parquet", GOOD[:-20], {}, "Parquet"),
    "cut short parquet": ("a.parquet", GOOD[:5], {}, "Parquet"),
    **{f"truncated {e}.gz": (f"a{e}.gz", gzip.compress(content(e))[:-9], {}, "cannot be read") for e in PLAIN},
    **{f"damaged {e}.gz": (f"a{e}.gz", bytes(DEFLATED[e]), {}, "cannot be read") for e in PLAIN},
}  # fmt: skip


@pytest.mark.parametrize(("name", "data", "options", "says"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_a_file_is_refused_in_one_sentence(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    name: str,
    data: bytes | str,
    options: dict[str, Any],
    says: str,
) -> None:
    assert re.search(says, refusal(capfd, put(tmp_path / name, data), **options).replace(str(tmp_path), "")), says


FOLDERS: dict[str, tuple[dict[str, str], str, str]] = {
    "no train": ({"test.csv": "text,label\na,b\n"}, "", r"named train.*found test\.csv"),
    "nothing": ({}, "", "named train.*found nothing"),
    "two for one part": ({"train.csv": "", "train.tsv": ""}, "", r"train\.csv and train\.tsv both claim.*train part"),
    "unknown ending": ({"train.txt": "a"}, "/train.txt", r"'\.txt'"),
    "other columns": (
        {"train.csv": "text,label\na,b\n", "test.csv": "text,class\na,b\n"},
        "/test.csv",
        r"text, class, but train\.csv has text, label",
    ),
    "empty part": ({"train.csv": "text,label\na,b\n", "test.csv": ""}, "/test.csv", "empty"),
    "header-only part": ({"train.csv": "text,label\na,b\n", "test.csv": "text,label\n"}, "/test.csv", "no rows"),
}


@pytest.mark.parametrize(("files", "place", "says"), FOLDERS.values(), ids=FOLDERS)
def test_a_mistake_in_a_folder_is_refused_in_one_sentence(
    tmp_path: Path, files: dict[str, str], place: str, says: str
) -> None:
    (tmp_path / "d").mkdir()
    for name, data in files.items():
        put(tmp_path / "d" / name, data)
    with pytest.raises(DataError, match=says) as caught:
        read(tmp_path / "d")
    assert str(caught.value).startswith(f"{tmp_path / 'd'}{place}:")


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("reviews.cvs", "did you mean 'reviews.csv'"),
        ("qqqqqq.parquet", "no such file or folder"),
        ("nowhere/reviews.csv", "there is no folder .*nowhere"),
    ],
)
def test_a_missing_file_is_refused_with_the_nearest_name(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], source: str, says: str
) -> None:
    put(tmp_path / "reviews.csv", content(".csv"))
    assert re.search(says, refusal(capfd, tmp_path / source))


# Data sets of the Hub, and as the library `datasets` saves them


def dataset(rows: Sequence[tuple[str, int]]) -> datasets.Dataset:
    kinds = datasets.Features(
        {
            "text": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["bad", "good"]),
            "n": datasets.Value("int8"),
        }
    )
    columns = {"text": [t for t, _ in rows], "label": [label for _, label in rows], "n": list(range(len(rows)))}
    return datasets.Dataset.from_dict(columns, features=kinds)


SETS = datasets.DatasetDict(
    {
        "train": dataset([("a", 1), ("b", 0)]).select([1, 0]),
        "validation": dataset([("c", 1)]),
        "test": dataset([("d", -1)]),
        "unsupervised": dataset([("e", -1)]),
    }
)


def as_read(t: Table) -> None:
    """The rows of SETS."""
    assert t.inputs == [("b",), ("a",), ("c",), ("d",)]
    assert t.labels == ["bad", "good", "good", None]
    assert t.column("n") == ["1", "0", "0", "0"]
    assert list(t.parts) == ["train", "train", "validation", "test"]
    assert t.place(3) == "test, row 1"
    assert [(f.check, f.count) for f in t.found] == [("files not read", 1)] and "unsupervised" in t.found[0].says


def test_a_saved_data_set_is_read_with_the_names_of_its_classes(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    SETS.save_to_disk(str(tmp_path / "d"))
    capfd.readouterr()
    as_read(read(tmp_path / "d"))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("splits", [False, True])
def test_a_saved_data_set_of_one_piece_has_no_parts(tmp_path: Path, splits: bool) -> None:
    one = SETS["validation"]
    (datasets.DatasetDict({"all": one}) if splits else one).save_to_disk(str(tmp_path / "d"))
    t = read(tmp_path / "d")
    assert (t.labels, list(t.parts), t.found) == (["good"], [None], ())
    assert t.place(0) == ("all, row 1" if splits else "d, row 1")


def test_a_data_set_of_the_hub_is_read_like_a_saved_one(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(datasets, "load_dataset", lambda *given, **options: asked.append((given, options)) or SETS)
    t = read("hub:owner/name")
    as_read(t)
    assert t.source == "hub:owner/name" and asked == [(("owner/name",), {})]


def test_a_hub_that_cannot_be_reached_is_one_sentence(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert re.search(r"cannot be read: .*name is right.*reached.*\.parquet", refusal(capfd, "hub:owner/name"))


@pytest.mark.parametrize("name", ["", "../data", "/etc", "a/b/c"])
def test_a_path_is_no_name_of_the_hub(capfd: pytest.CaptureFixture[str], name: str) -> None:
    assert "expected hub:owner/name" in refusal(capfd, f"hub:{name}")


def test_a_missing_library_is_named(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert "pip install 'finetooth[hub]'" in refusal(capfd, "hub:owner/name")


@pytest.mark.parametrize(
    ("sets", "says"),
    [
        (
            {"train": datasets.Dataset.from_dict({"text": ["a"], "label": [{"x": 1}]})},
            "split train, row 1.*column 'label'",
        ),
        ({"a": SETS["test"], "b": SETS["test"]}, "none of its splits a, b is named train"),
    ],
)
def test_a_mistake_in_a_saved_data_set_is_refused_in_one_sentence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], sets: dict[str, datasets.Dataset], says: str
) -> None:
    datasets.DatasetDict(sets).save_to_disk(str(tmp_path / "d"))
    capfd.readouterr()
    assert re.search(says, refusal(capfd, tmp_path / "d"))


def test_an_empty_data_set_is_refused(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = datasets.DatasetDict({"train": dataset([])})
    monkeypatch.setattr(datasets, "load_dataset", lambda name: nothing)
    assert "split train: there are no rows" in refusal(capfd, "hub:owner/name")


def test_a_damaged_saved_data_set_is_refused_in_one_sentence(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    put(tmp_path / "d" / "dataset_dict.json", "{")
    assert "Save it again" in refusal(capfd, tmp_path / "d")
