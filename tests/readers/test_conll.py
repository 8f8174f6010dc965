"""A word and its tag in each line: read, counted, refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import finetooth as ft
from finetooth.errors import DataError
from finetooth.labels import kind_of


def read(path: Path, text: str, **how: object) -> ft.Table:
    path.write_text(text, encoding="utf-8")
    return ft.read(path, **how)  # type: ignore[arg-type]


@pytest.mark.parametrize("ending", ["conll", "iob", "bio"])
def test_sentences_stand_apart_by_blank_lines(ending: str, tmp_path: Path) -> None:
    table = read(tmp_path / f"rows.{ending}", "\n\nEU B-ORG\nrejects O\n\n\nGerman B-MISC\n")
    assert table.words == [["EU", "rejects"], ["German"]] and table.tags == [["B-ORG", "O"], ["B-MISC"]]
    assert table.columns.input == ("tokens",) and table.columns.label == "tags" and kind_of(table) == "tags"


def test_the_first_cell_is_the_word_the_last_the_tag_and_documents_are_numbered(tmp_path: Path) -> None:
    text = "-DOCSTART- -X- O O\n\nEU NNP I-NP B-ORG\n\n-DOCSTART- -X- O O\n\nPeter NNP I-NP B-PER\n"
    table = read(tmp_path / "rows.conll", text, group="document")
    assert table.tags == [["B-ORG"], ["B-PER"]] and table.groups == ["1", "2"]
    assert any("the last as its tag" in finding.says for finding in table.found)


def test_apart_by_tabs_a_blank_is_a_word_and_lines_may_be_of_several_widths(tmp_path: Path) -> None:
    table = read(tmp_path / "rows.conll", "New York\tx\tB-LOC\n\u3000\tI-LOC\r\n日本\tO\n")
    assert table.words == [["New York", "\u3000", "日本"]]


def test_words_alone_are_rows_to_predict(tmp_path: Path) -> None:
    table = read(tmp_path / "rows.conll", "EU\nrejects\n\nGerman\n", labelled=False)
    assert table.words == [["EU", "rejects"], ["German"]] and table.columns.label is None


def test_a_word_without_its_tag_is_refused_by_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"rows.conll, line 3: found 'German', expected a word first and its tag last"):
        read(tmp_path / "rows.conll", "EU B-ORG\n\nGerman\n")
    with pytest.raises(DataError, match=r"line 2: found 'German O', expected one word a line"):
        read(tmp_path / "rows.conll", "EU\nGerman O\n")


def test_parts_are_files_of_their_own(tmp_path: Path) -> None:
    for part in ("train", "valid", "test"):
        (tmp_path / f"{part}.conll").write_text(f"{part} O\n", encoding="utf-8")
    assert [*ft.read(tmp_path).parts] == ["train", "validation", "test"]


def test_the_usual_names_of_columns_are_known(tmp_path: Path) -> None:
    row = {"id": "0", "tokens": ["EU"], "pos_tags": ["NNP"], "ner_tags": ["B-ORG"]}
    table = read(tmp_path / "rows.jsonl", json.dumps(row) + "\n")
    assert (table.columns.input, table.columns.label) == (("tokens",), "ner_tags")
    with pytest.raises(DataError, match="both ner_tags and tags could be the label"):
        read(tmp_path / "rows.jsonl", json.dumps({**row, "tags": ["O"]}) + "\n")
    plain = read(tmp_path / "rows.csv", "text,words,label\na text,2,good\n")
    assert plain.columns.input == ("text",)


def test_numbers_of_classes_in_lists_are_their_names(tmp_path: Path) -> None:
    from datasets import ClassLabel, Dataset, Features, Sequence, Value

    names = ClassLabel(names=["O", "B-PER", "I-PER"])
    features = Features({"tokens": Sequence(Value("string")), "ner_tags": Sequence(names)})
    rows = {"tokens": [["Ada", "Lovelace"], [], ["wrote"]], "ner_tags": [[1, 2], [], [0]]}
    Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "saved")
    assert ft.read(tmp_path / "saved").tags == [["B-PER", "I-PER"], [], ["O"]]


def test_a_tag_too_few_is_refused_by_row(tmp_path: Path) -> None:
    table = read(tmp_path / "rows.jsonl", '{"tokens": ["a"], "tags": ["O"]}\n{"tokens": ["a", "b"], "tags": ["O"]}\n')
    with pytest.raises(DataError, match=r"row 2: found 2 words in the column 'tokens' and 1 tags in the column 'tags'"):
        _ = table.tags
