"""What stands in the texts: nothing, signs alone, markup, garbled letters, stock phrases, another language."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from finetooth.checks.base import Sample, clipped, rows_of
from finetooth.duplicates import shingles
from finetooth.findings import Finding, Severity

_MARKUP = re.compile(r"</?[a-zA-Z][a-zA-Z0-9]*(\s[^<>]*)?/?>|&(amp|lt|gt|quot|nbsp|#\d{2,5});")
# UTF-8 that was read as Windows-1252 and saved: an accented letter or a curly quote as two or three odd ones.
_GARBLED = re.compile(
    r"\u00c3[\u0080-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013-\u203a\u20ac\u2122]"
    r"|\u00e2\u20ac[\u2122\u0153\u009d\u201c\u201d\u02dc\u00a6\u00a2]|\u00c2[\u00a0-\u00bf]|\ufffd"
)
_LETTER = re.compile(r"[^\W\d_]")
_ADDRESS = re.compile(r"https?://\S+|www\.\S+")

Floats = NDArray[np.float64]

SAME_WORDS = 6  # at the beginning or the end of a text, for a stock phrase
STOCK = 0.05  # of the rows, at least 20, that share a phrase
FAR = 8.0  # robust standard deviations
LONG = 4  # times the median
RUN = 3  # letters, of the model that tells strange texts
READ = 2_000  # letters of a text that it reads
SHORTEST = 30  # characters for its judgement


def texts(sample: Sample) -> Iterator[Finding]:
    """Empty texts, texts without a letter, markup, garbled letters."""
    if sample.table.folder is not None:
        return
    empty, signs, markup, garbled = [], [], [], []
    for i, text in enumerate(sample.texts):
        if not text.strip():
            empty.append(i)
        elif not _LETTER.search(_ADDRESS.sub("", text)):
            signs.append(i)
        if "<" in text or "&" in text:
            markup += [i] if _MARKUP.search(text) else []
        if _GARBLED.search(text):
            garbled.append(i)
    kinds: tuple[tuple[str, Severity, list[int], str, str], ...] = (
        ("empty", "warning", empty, "Empty text in {}, the first {}.", "Take them out: --fix does."),
        (
            "no words",
            "info",
            signs,
            "No letter in {}, signs, numbers or links alone, the first {}.",
            "Look whether they can be told apart.",
        ),
        (
            "markup",
            "info",
            markup,
            "Markup such as tags or &amp; in {}, the first {}.",
            "Take it out if the model will not meet it.",
        ),
        (
            "garbled letters",
            "warning",
            garbled,
            "Letters garbled by a wrong encoding in {}, the first {}.",
            "Read the source in its own encoding again.",
        ),
    )
    for check, severity, rows, says, remedy in kinds:
        if rows:
            yield sample.finding(check, severity, says.format(rows_of(len(rows)), sample.place(rows[0])), remedy, rows)


def stock_phrases(sample: Sample) -> Iterator[Finding]:
    """The same first or last words in many otherwise different texts."""
    if sample.table.folder is not None:
        return
    for where, cut in (("begin", slice(None, SAME_WORDS)), ("end", slice(-SAME_WORDS, None))):
        phrases: dict[str, list[int]] = defaultdict(list)
        for i, text in enumerate(sample.texts):
            spoken = text.split()
            if len(spoken) > SAME_WORDS and sample.near[i] == i:
                phrases[" ".join(spoken[cut])].append(i)
        phrase, rows = max(phrases.items(), key=lambda item: (len(item[1]), item[0]), default=("", []))
        if len(rows) >= max(20, STOCK * len(sample.texts)):
            yield sample.finding(
                "stock phrase",
                "info",
                f"{rows_of(len(rows))} {where} with the same words: “{clipped(phrase)}”.",
                "Take the phrase out if it says nothing: it costs time, and where it goes with one label it deceives.",
                rows,
            )


def scripts(sample: Sample) -> Iterator[Finding]:
    """Texts in another script than nearly all others."""
    if sample.table.folder is not None:
        return
    main = [script_of(text) for text in sample.texts]
    counts = Counter(script for script in main if script)
    if not counts:
        return
    usual, most = counts.most_common(1)[0]
    odd = [i for i, script in enumerate(main) if script not in (None, usual)]
    if odd and most >= 0.9 * sum(counts.values()):
        others = ", ".join(f"{script.title()} {n:,}" for script, n in counts.most_common() if script != usual)
        yield sample.finding(
            "language",
            "warning",
            f"{rows_of(len(odd))} {'is' if len(odd) == 1 else 'are'} not in {usual.title()} letters like the rest "
            f"({others}).",
            "See whether the model knows that language, and whether these rows are wanted.",
            odd,
        )


def strangers(sample: Sample) -> Iterator[Finding]:
    """Texts unlike all others in their letters (another language, code, noise), and texts far longer than the rest."""
    if sample.table.folder is not None or len(sample.texts) < 100:
        return
    lengths = np.array([len(text) for text in sample.texts])
    size = np.log1p(lengths)
    # Among texts that are nearly all of one length, half as much again is not yet far.
    long = np.flatnonzero((_robust(size) > FAR) & (lengths > LONG * np.median(lengths)))
    if len(long):
        long = long[np.argsort(-lengths[long], kind="stable")]
        yield sample.finding(
            "length outliers",
            "info",
            f"{rows_of(len(long))} {'is' if len(long) == 1 else 'are'} far longer than the rest: {lengths[long[0]]:,} "
            f"characters, where the median is {int(np.median(lengths)):,}.",
            "Look whether several rows have run together.",
            long,
            evidence=[f"{lengths[i]:,} characters" for i in long],
        )
    surprise = _surprise(sample.texts)
    enough = np.flatnonzero((lengths >= SHORTEST) & np.isfinite(surprise))
    if len(enough) >= 100:
        strange = enough[_robust(surprise[enough]) > FAR]
        strange = strange[np.argsort(-surprise[strange], kind="stable")]
        if len(strange):
            yield sample.finding(
                "strange texts",
                "info",
                f"{rows_of(len(strange))} {'is' if len(strange) == 1 else 'are'} written unlike all others: another "
                f"language, code, or noise.",
                "Read them, the strangest first.",
                strange,
            )


def script_of(text: str) -> str | None:
    """The script of most letters; None where there are fewer than three."""
    text = text[:500]
    if len([*islice(filter(str.isalpha, text), 3)]) < 3:
        return None
    if text.isascii():
        return "LATIN"
    letters = [c for c in text if c.isalpha()]
    if max(letters) < "\u0250":
        return "LATIN"
    names = Counter(unicodedata.name(c, "UNKNOWN").split(" ")[0] for c in letters)
    script, count = names.most_common(1)[0]
    # Japanese is written in three of them.
    script = "JAPANESE" if {"HIRAGANA", "KATAKANA"} & set(names) else "CHINESE" if script == "CJK" else script
    return script if count > len(letters) / 2 or script == "JAPANESE" else None


def _robust(values: Floats) -> Floats:
    """Distances from the median, in standard deviations as the median distance tells them."""
    away = values - np.median(values)
    spread = 1.4826 * np.median(np.abs(away))
    return away / max(float(spread), 0.05)


def _surprise(texts: list[str]) -> Floats:
    """Mean of -log p over the runs of letters of each text, p their frequency in all other texts; shape (texts,)."""
    counts = np.zeros(2**20)
    pieces = [[text[:READ].casefold() for text in texts[i : i + 20_000]] for i in range(0, len(texts), 20_000)]
    for piece in pieces:
        counts += np.bincount((shingles(piece, RUN)[0] >> np.uint64(44)).astype(np.int64), minlength=len(counts))
    found = []
    for piece in pieces:  # hashed again: kept, the hashes would take eight bytes a letter
        hashes, starts = shingles(piece, RUN)
        places = (hashes >> np.uint64(44)).astype(np.int64)
        # Without the run itself, so that a text does not vouch for itself.
        rarity = np.log(counts.sum()) - np.log(np.maximum(counts[places] - 1, 0.5))
        found.append(np.add.reduceat(rarity, starts) / np.diff(np.append(starts, len(places))))
    return np.concatenate(found)
