"""Each check finds what it is for in a file that has it, and says nothing of a file that has not."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import finetooth as ft
from finetooth import duplicates, splits
from finetooth.check import check, examine
from finetooth.checks import CHECKS, Sample
from finetooth.checks.size import half_width
from finetooth.checks.suspects import doubtful, ranked
from finetooth.errors import DataError
from finetooth.findings import Finding
from finetooth.table import content_digest
from tests.pictured import scene

WORDS = {"bad": ("awful", "dull", "tedious", "bland", "stale"), "good": ("lovely", "bright", "fresh", "funny", "warm")}
NOUNS = [
    f"{a}{b}"
    for a in ("star", "moon", "rain", "wood", "lake", "hill", "road", "fire")
    for b in ("light", "man", "dog", "side", "song", "field")
]


def rows(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Sentences that differ from one another, whose label shows in one word."""
    rng = random.Random(seed)
    made = []
    for i in range(count):
        label = ("bad", "good")[i % 2]
        made.append((f"{' '.join(rng.sample(NOUNS, 8))} was {rng.choice(WORDS[label])}", label))
    return made


@pytest.fixture
def found(tmp_path: Path) -> Callable[..., dict[str, Finding]]:
    """Write rows to a file (or parts to a folder), check it, and give the findings by name."""

    def run(
        content: Sequence[Sequence[str]] | dict[str, Sequence[Sequence[str]]],
        header: Sequence[str] = ("text", "label"),
        **options: Any,
    ) -> dict[str, Finding]:
        parts = content if isinstance(content, dict) else {"rows": content}
        folder = tmp_path / f"data {len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        for name, part in parts.items():
            with open(folder / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([header, *part])
        more = {key: options.pop(key) for key in ("against", "lengths", "limit", "states") if key in options}
        table = ft.read(folder if isinstance(content, dict) else folder / "rows.csv", labelled=False, **options)
        if isinstance(more.get("against"), list):
            with open(folder / "target.csv", "w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([["text"], *([text] for text in more["against"])])
            more["against"] = ft.read(folder / "target.csv", labelled=False)
        checked = check(table, **more)
        for finding in checked.findings:
            assert finding.says.endswith(".") and finding.remedy.endswith((".", "...")) and finding.check, finding
            assert set(finding.rows) <= set(table.ids) and (
                not finding.rows or len(finding.evidence) in (0, len(finding.rows))
            ), finding
        return {finding.check: finding for finding in reversed(checked.findings)}

    return run


def test_clean_rows_get_no_finding_but_their_number(found) -> None:
    assert set(found(rows(400))) == {"test size"}


def test_every_check_passes_over_a_table_that_it_does_not_concern(found) -> None:
    for content in ([("only one row", "a")], [("", "")], [("x", "")] * 12, [(f"text {i}", "same") for i in range(30)]):
        assert found(content)
    assert len(CHECKS) == 20


def test_copies_and_light_edits_are_told_apart(found) -> None:
    plain = rows(200)
    said = found([*plain, (plain[0][0].upper(), plain[0][1]), (plain[1][0].replace("was", "wsa"), plain[1][1])])
    assert said["duplicates"].count == 1 and "row 1" in said["duplicates"].evidence[0]
    assert said["near duplicates"].count == 1 and "row 2" in said["near duplicates"].evidence[0]


def test_one_text_under_two_labels_is_a_contradiction(found) -> None:
    plain = rows(100)
    said = found([*plain, (plain[0][0] + "!", "good")])
    assert said["contradictions"].count == 2 and "elsewhere 'good'" in said["contradictions"].evidence[0]
    assert "duplicates" in said


def test_rows_in_two_parts_are_leaks_the_same_and_the_edited(found) -> None:
    plain = rows(300)
    test = [*plain[240:], plain[0], (plain[1][0].replace("was", "wsa"), plain[1][1])]
    said = found({"train": plain[:200], "validation": plain[200:240], "test": test})
    assert said["leak"].severity == "error" and said["leak"].count == 2
    assert "2 test rows have the same input as a train row, 1 of them but for a light edit" in said["leak"].says
    assert "train.csv, row 1" in said["leak"].evidence[0]


def test_parts_that_are_made_here_never_leak(found) -> None:
    plain = rows(200)
    edited = [(text.replace("was", "wsa"), label) for text, label in plain]
    assert "leak" not in found([*plain, *edited])


def test_torn_groups_are_leaks(found) -> None:
    plain = [(text, label, f"g{i % 7}") for i, (text, label) in enumerate(rows(200))]
    parts = {"train": plain[:140], "validation": plain[140:150], "test": plain[150:]}
    said = found(parts, ("text", "label", "patient"), group="patient")
    assert "50 test rows have the same group as a train row (7 groups)" in said["leak"].says


@pytest.mark.parametrize(
    ("column", "cell", "remedy"),
    [
        ("id", "{}_{}", "give --group document"),
        ("patient_id", "p{}", "Give --group patient_id"),
        ("key", "{}-{}", "document"),
    ],
)
def test_documents_that_nobody_named_are_noticed(found, column: str, cell: str, remedy: str) -> None:
    plain = [(text, label, cell.format(i // 8, i)) for i, (text, label) in enumerate(rows(400))]
    said = found(plain, ("text", "label", column))
    assert "50 documents" in said["documents"].says and remedy in said["documents"].remedy


def test_ordinary_ids_and_kinds_are_no_documents(found) -> None:
    plain = rows(200)
    for cells in (
        [f"row_{i}" for i in range(200)],
        [str(i) for i in range(200)],
        [f"{'ab'[i % 2]}_{i}" for i in range(200)],
    ):
        assert "documents" not in found(
            [(*row, cell) for row, cell in zip(plain, cells, strict=True)], ("text", "label", "id")
        )


def test_test_rows_from_before_the_training_rows_are_told(found) -> None:
    plain = [(text, label, f"2026-01-{1 + i % 28:02}") for i, (text, label) in enumerate(rows(200))]
    said = found({"train": plain[:150], "test": plain[150:]}, ("text", "label", "date"), time="date")
    assert said["time"].severity == "error" and said["time"].count > 40
    assert "--time date" in found(plain, ("text", "label", "date"))["time"].remedy
    assert "time" not in found(plain, ("text", "label", "date"), time="date")


def test_labels_that_are_missing_misspelt_or_alone(found) -> None:
    plain = rows(200)
    said = found(
        [
            *plain,
            ("no label here", ""),
            ("nor is there here", " "),
            ("spelt otherwise", "Good"),
            ("and so again", "good "),
        ]
    )
    assert said["missing label"].severity == "error" and said["missing label"].count == 2
    assert "'Good'" in said["label spelling"].says and "'good '" in said["label spelling"].says
    assert found([(f"text number {i}", "same") for i in range(50)])["single class"].severity == "error"
    assert found([(text, f"id {i}") for i, (text, _) in enumerate(plain)])["too many classes"].severity == "error"


def test_classes_that_are_rare_uneven_or_nowhere_to_be_learnt(found) -> None:
    said = found([*rows(200), *[(f"a strange {noun} case", "odd") for noun in NOUNS[:12]]])
    assert "'odd'" in said["few test rows"].says
    assert "100 rows of 'bad', 12 of 'odd' (8 to 1)" in said["imbalance"].says
    plain = rows(200)
    said = found({"train": plain[:150], "test": [*plain[150:], ("never seen", "strange")]})
    assert said["unlearnt class"].severity == "error" and said["unlearnt class"].count == 1


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("12:30 - 14:00 !!", "no words"),
        ("😀 😀", "no words"),
        ("https://example.org/a", "no words"),
        ("a <b>bold</b> word in it", "markup"),
        ("fish &amp; chips for all", "markup"),
        ("the cafÃ© was open", "garbled letters"),
        ("it isnâ€™t what it was", "garbled letters"),
        ("Это совсем другой язык, не так ли", "language"),
        ("これは日本語の文章です", "language"),
    ],
)
def test_odd_texts_are_named(found, text: str, check: str) -> None:
    assert check in found([*rows(120), (text, "good")])


def test_ordinary_texts_are_not_odd(found) -> None:
    ordinary = ["naïve café, déjà vu & more", "5 < 6 and 7 > 2", "R&D at home", "Ängste und Übermut am Morgen, Ärger"]
    said = found([*rows(120), *[(text, "good") for text in ordinary]])
    assert not {"no words", "markup", "garbled letters", "language"} & set(said)


def test_a_stock_phrase_is_quoted(found) -> None:
    plain = [
        (f"{text} please do not answer to this message" if i % 3 else text, label)
        for i, (text, label) in enumerate(rows(200))
    ]
    assert "do not answer to this message”" in found(plain)["stock phrase"].says


def test_texts_unlike_all_others_are_found(found) -> None:
    noise = "xqzj wvkk qqzz jjxw zzqk vvxq kkjz wwqx zjxk qvzw"
    said = found([*rows(300), (noise, "good"), (" ".join(NOUNS * 60), "bad")])
    assert content_digest([noise]) in said["strange texts"].rows
    assert said["length outliers"].count == 1


def test_what_truncation_would_cut_is_counted(found) -> None:
    said = found(rows(100), lengths=np.array([10] * 98 + [40, 60]), limit=32)
    assert said["truncation"].count == 2 and said["truncation"].evidence[0] == "60 tokens"
    assert "3.3% of all tokens" in said["truncation"].says
    assert "truncation" not in found(rows(100), lengths=np.full(100, 32), limit=32)


@pytest.mark.parametrize("planted", ["code", "number", "length", "order"])
def test_what_gives_the_label_away_is_found(found, planted: str) -> None:
    plain = rows(300)
    rng = random.Random(0)
    if planted == "code":
        said = found([(*row, {"bad": "x", "good": "y"}[row[1]]) for row in plain], ("text", "label", "code"))
    elif planted == "number":
        said = found([(*row, str(rng.random() + (row[1] == "good"))) for row in plain], ("text", "label", "score"))
    elif planted == "length":
        said = found([(text + (" and so on and on" if label == "good" else ""), label) for text, label in plain])
    else:
        assert "sorted by label" in found(sorted(plain, key=lambda row: row[1]))
        return
    assert "alone tells the label of" in said["giveaway"].says


def test_a_column_that_says_nothing_is_no_giveaway(found) -> None:
    rng = random.Random(0)
    plain = [(*row, rng.choice("abcdef"), str(rng.random()), f"u{i}") for i, row in enumerate(rows(300))]
    assert "giveaway" not in found(plain, ("text", "label", "city", "weight", "key"))


def test_wrong_labels_come_first_and_the_trial_says_how_far_to_trust(found) -> None:
    plain = rows(400)
    wrong = list(range(0, 400, 40))
    flipped = [
        (text, {"bad": "good", "good": "bad"}[label] if i in wrong else label) for i, (text, label) in enumerate(plain)
    ]
    said = found(flipped)["suspected labels"]
    assert 5 <= said.count <= 20 and said.severity == "info"
    assert all("looks like" in evidence for evidence in said.evidence)
    contents = {content_digest([flipped[i][0]]) for i in wrong}
    assert sum(row in contents for row in said.rows[:5]) >= 4
    assert "5% of the labels mistaken on purpose" in said.says


def test_what_a_network_makes_of_the_rows_finds_labels_that_words_cannot(found) -> None:
    rng = np.random.default_rng(0)
    plain = [
        (f"{NOUNS[rng.integers(40)]} and {NOUNS[rng.integers(40)]} {rng.integers(9_000)}", ("bad", "good")[i % 2])
        for i in range(400)
    ]
    states = rng.normal(size=(400, 8))
    states[np.arange(400), [0 if label == "bad" else 1 for _, label in plain]] += 4
    wrong = {*range(0, 400, 20)}
    flipped = [(text, {"bad": "good", "good": "bad"}[y] if i in wrong else y) for i, (text, y) in enumerate(plain)]
    blind, seeing = found(flipped)["suspected labels"], found(flipped, states=states)["suspected labels"]
    assert blind.count == 0 and "With --model" in blind.remedy
    contents = {content_digest([flipped[i][0]]) for i in wrong}
    assert "a probe of the network" in seeing.says and seeing.count >= 8
    assert sum(row in contents for row in seeing.rows) >= 0.7 * seeing.count  # guessing finds 0.05


def test_suspicion_is_ranked_by_how_likely_the_given_class_is() -> None:
    p = np.array([[0.9, 0.1], [0.4, 0.6], [0.05, 0.95], [0.45, 0.55]])
    targets = np.array([0, 0, 0, 1])
    assert ranked(p, targets, np.arange(4, dtype=np.uint64)).tolist() == [2, 1, 3, 0]
    assert doubtful(p, targets) == 2


def test_of_two_rows_that_are_as_unlikely_the_one_of_the_commoner_class_comes_first() -> None:
    p = np.array([[0.2, 0.8], *[[0.9, 0.1]] * 8, [0.8, 0.2]])
    targets = np.array([0] * 9 + [1])
    assert ranked(p, targets, np.arange(10, dtype=np.uint64)).tolist()[:2] == [0, 9]


def test_parts_that_differ_are_told_by_labels_and_by_texts(found) -> None:
    plain = rows(400)
    bad, good = [r for r in plain if r[1] == "bad"], [r for r in plain if r[1] == "good"]
    said = found({"train": [*bad[:150], *good[:50]], "test": [*bad[150:], *good[50:]]})
    assert "The labels are mixed otherwise in the test part" in said["part shift"].says
    other = [(f"entirely other matters such as taxes {i} {NOUNS[i % 40]}", ("bad", "good")[i % 2]) for i in range(100)]
    assert "can be told from those of the train part" in found({"train": plain, "test": other})["part shift"].says
    assert "part shift" not in found({"train": plain[:300], "test": plain[300:]})


def test_the_interval_that_a_test_part_can_give_is_foretold(found) -> None:
    assert "100 test rows" in found(rows(1000))["test size"].says
    assert half_width(1000) == pytest.approx(0.0221, abs=2e-4)  # Wilson's interval of 0.85 in 1,000
    assert half_width(400) > half_width(1000)


def test_a_target_that_is_met_there_and_missing_here_is_named(found) -> None:
    rng = random.Random(1)
    target = [f"the invoice of {rng.choice(NOUNS)} {rng.choice(NOUNS)} was overdue at customs" for _ in range(120)]
    said = found(rows(300), against=target)["coverage"]
    assert said.severity == "warning" and "invoice" in said.says and "customs" in said.says
    assert 0 < len(said.evidence) <= 50
    same = found(rows(300), against=[text for text, _ in rows(200, seed=5)])["coverage"]
    assert same.severity == "info"


def test_findings_are_a_function_of_the_rows_whatever_their_order(found) -> None:
    wrong = [(text, {"bad": "good", "good": "bad"}[label]) for text, label in rows(220)[200:]]
    plain = [*rows(200), *rows(3), *wrong]
    here, there = found(plain), found(random.Random(3).sample(plain, len(plain)))
    assert "suspected labels" in here
    assert {k: (v.count, v.says) for k, v in here.items()} == {k: (v.count, v.says) for k, v in there.items()}
    assert sorted(here["suspected labels"].rows) == sorted(there["suspected labels"].rows)


def test_no_check_learns_the_label_of_a_sealed_row(tmp_path: Path) -> None:
    """Another label on each test row changes nothing that is found."""
    plain = [*rows(300), *[(text + " indeed", label) for text, label in rows(40)]]
    plain += [(rows(300)[i][0] + "!", "good") for i in range(0, 60, 2)]
    parts = {"train": plain[:280], "validation": plain[280:310], "test": plain[310:]}
    said = []
    for swapped in (False, True):
        folder = tmp_path / str(swapped) / "data"
        folder.mkdir(parents=True)
        for name, part in parts.items():
            turned = {"bad": "good", "good": "bad"} if swapped and name == "test" else {"bad": "bad", "good": "good"}
            with open(folder / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([("text", "label"), *[(text, turned[label]) for text, label in part]])
        table = ft.read(folder)
        equal, near = duplicates.of(table)
        sample = Sample(table, splits.holdout(table, near=near), equal, near, sealed=True)
        assert sum(label is None for label in sample.labels) == len(parts["test"])
        said.append([(f.check, f.says, tuple(f.rows), tuple(f.evidence)) for f in examine(sample)])
    assert said[0] == said[1] and {"leak", "suspected labels"} & {check for check, *_ in said[0]}


def test_parts_of_ones_own_are_audited_where_the_rest_cannot_be_cut(found) -> None:
    plain = rows(300)
    said = found({"train": plain[:8], "test": [*plain[100:], plain[0]]})
    assert said["split"].severity == "error" and said["leak"].count == 1


def test_a_time_that_cannot_be_read_leaves_the_rest_to_be_checked(found) -> None:
    plain = [(*row, "2026-01-01") for row in rows(100)]
    said = found(
        [*plain, plain[0], ("and one more of them here", "good", "soon")], ("text", "label", "date"), time="date"
    )
    assert said["time"].severity == "error" and "'soon'" in said["time"].says and "duplicates" in said


def test_rows_that_reach_into_the_time_of_the_test_are_told(found) -> None:
    plain = [(text, label, str(i)) for i, (text, label) in enumerate(rows(100))]
    same = [("thank you for this and for all the rest", "good", str(100 + i)) for i in range(40)]
    said = found([*plain, *same], ("text", "label", "date"), time="date")
    assert said["time"].severity == "warning" and "stay together" in said["time"].remedy


@pytest.mark.parametrize("cell", ["{a}.{b:02}", "2026-{a:02}-{b:02}", "10.0.{a}.{b}", "{a}:{b:02}"])
def test_numbers_and_dates_are_no_documents(found, cell: str) -> None:
    rng = random.Random(0)
    cells = [cell.format(a=10 + i % 40, b=rng.randrange(10, 99)) for i in range(300)]
    plain = [(*row, of) for row, of in zip(rows(300), cells, strict=True)]
    assert "documents" not in found(plain, ("text", "label", "price"))


def test_documents_that_are_whole_in_each_part_are_no_fault(found) -> None:
    plain = [(text, label, f"{i // 8}_{i % 8}") for i, (text, label) in enumerate(rows(400))]
    parts = {"train": plain[:304], "validation": plain[304:352], "test": plain[352:]}
    assert "documents" not in found(parts, ("text", "label", "id"))


def test_an_id_that_begins_with_the_label_is_found(found) -> None:
    plain = [(text, label, f"{label[:2]}_{i:04}") for i, (text, label) in enumerate(rows(300))]
    assert "beginning of the column 'id'" in found(plain, ("text", "label", "id"))["giveaway"].says


def test_very_many_classes_are_passed_over_in_words_and_in_time(found) -> None:
    said = found([(text, f"class {i % 300}") for i, (text, _) in enumerate(rows(6300))])
    assert "300 classes are too many" in said["suspected labels"].says and said["suspected labels"].count == 0


def test_the_paths_of_images_give_nothing_away(tmp_path: Path) -> None:
    for i in range(130):
        path = tmp_path / "scans" / ("cat" if i % 2 else "wild horse") / f"{i:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        scene(i).save(path)
    for name in ("cat", "wild horse"):
        (tmp_path / "scans" / name / "none.png").write_bytes(b"")
    said = {finding.check: finding for finding in check(ft.read(tmp_path / "scans")).findings}
    assert not {"giveaway", "sorted by label", "duplicates", "contradictions"} & set(said)
    assert said["broken image"].count == 2


def test_long_cells_are_clipped_in_what_is_said(found) -> None:
    plain = rows(100)
    long = " ".join(NOUNS * 50)
    said = found([*plain, (long, "good"), (long.replace("starlight", "starlihgt", 1), "good")])
    assert all(len(told) < 300 for told in said["near duplicates"].evidence)


def test_labels_that_words_tell_nothing_of_are_not_suspected(found) -> None:
    rng = random.Random(0)
    said = found([(text, rng.choice(["x", "y"])) for text, _ in rows(600)])
    assert "cannot be told here" in said["suspected labels"].says
    assert not said["suspected labels"].rows


def test_spellings_of_one_class_are_not_taken_for_mistakes(found) -> None:
    plain = [(text, label.upper() if i % 7 == 0 else label) for i, (text, label) in enumerate(rows(400))]
    said = found([*plain, *[("", "good")] * 3, ("...", "bad")])
    assert "label spelling" in said and said["label spelling"].count == 58
    assert "suspected labels" not in said or not said["suspected labels"].rows


def test_a_label_that_says_it_is_none_is_told(found) -> None:
    said = found([*rows(200), ("one without a label", "N/A"), ("and another one", "nan")])
    assert said["placeholder label"].count == 2 and "'N/A', 'nan'" in said["placeholder label"].says
    assert "placeholder label" not in found(
        [(text, {"bad": "none", "good": "some"}[label]) for text, label in rows(200)]
    )


def test_without_a_label_column_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,sentiment\n" + "\n".join(f"{t},{y}" for t, y in rows(50)))
    said = {f.check: f for f in check(ft.read(tmp_path / "a.csv", labelled=False)).findings}
    assert "'text', 'sentiment'" in said["no label column"].says


def test_what_is_cut_from_the_training_part_is_called_training(found) -> None:
    plain = rows(300)
    said = found({"train": plain[:250], "test": [*plain[250:], *plain[:20]]})
    assert (
        said["leak"].count == 20
        and "as a train row" in said["leak"].says
        and "told as leaks" in said["duplicates"].remedy
    )


def test_a_date_with_dots_is_a_time(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label,when\na,b,1.2.2024\nc,d,02.02.2023 10:30\n")
    times = ft.read(tmp_path / "a.csv", time="when").times
    assert times is not None and times[0] > times[1]
    (tmp_path / "b.csv").write_text("text,label,when\na,b,3/4/2024\n")
    with pytest.raises(DataError, match="March or April"):
        _ = ft.read(tmp_path / "b.csv", time="when").times
