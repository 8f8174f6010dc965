"""Texts that are the same, or the same but for a light edit: which rows belong to one cluster.

Candidates come from MinHash signatures of character shingles, cut in bands (Broder 1997, On the resemblance and
containment of documents; Indyk and Motwani 1998): texts that agree in a whole band are looked at word by word. Work
grows as n log n, and the answer is a function of the set of texts, whatever their order.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from finetooth import likeness
from finetooth.clusters import joined
from finetooth.table import Table

Numbers = NDArray[np.int64]
Hashes = NDArray[np.uint64]
Bands = NDArray[np.uint32]
Bytes = NDArray[np.uint8]

SHINGLE = 4  # characters
BANDS, ROWS = 32, 4  # a band is so many minima; texts sharing 60 % of their shingles agree in one with 99 %
NEIGHBOURS = 16  # in a band of equal minima each text is compared with so many others
SHORTEST = 12  # characters; in shorter texts a light edit changes the meaning
WORDS_PER_CHANGE = 12  # one changed word is light among so many
SIGNS = 4  # further words that may differ as long as they turn out to be smileys, or written as one
LONGEST_RUN = 4  # words that are written as one
COMPARED = 1_000_000  # pairs of words that are looked at for misspelling
RESEMBLING = 0.42  # of the minima that lightly edited texts have in common at least; those that share a half, 0.33
PAIRS = 200_000  # that are looked at in one go
MEETINGS = 64  # other texts that one is compared with at most: of 100,000 mails with one long footer all look alike
CHUNK = 2_000_000  # characters hashed at a time
FACTORS = np.random.default_rng(20).integers(2**63, size=BANDS * ROWS, dtype=np.uint64) * 2 + 1

# Vowel signs and tones of many scripts, which `re` does not count among the letters.
_MARKS = "".join(c for c in map(chr, range(0x300, 0xFFFF)) if unicodedata.category(c) in ("Mn", "Mc"))
# Ideographs and kana stand for words without spaces between them, and a smiley says as much as a word.
_LETTERS = r"[^\W_\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]"
_WORD = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]"
    rf"|{_LETTERS}+(?:[{_MARKS}]+{_LETTERS}*)*"
    r"|(?<!\w)[:;=][-'^]?[()\[\]dp/|*o]+(?!\w)"
    r"|[\u2600-\u27bf\U0001f000-\U0001faff]"
)
# Apostrophes do not part words, nor do other signs between letters: high-calorie is one.
_JOINT = re.compile(
    r"(?<=\w)['\u2019`\u00b4](?=\w)|_"
    rf"|(?<=[^\W\d_])[^\w\s\u2600-\u27bf\U0001f000-\U0001faff{_MARKS}]+(?=[^\W\d_])"
)


def of(table: Table, seen: likeness.Seen | None = None) -> tuple[Numbers, Numbers]:
    """Per row two cluster numbers, as `clusters` gives them for texts; of images, those of equal files and of copies.

    Rows of several input columns are alike where each of them is: one passage under two questions makes two rows.
    `seen` are the images where they were decoded before.
    """
    if table.folder is None:
        found = [clusters(column) for column in zip(*table.inputs, strict=True)]
        equal, near = (_both([numbers[kind] for numbers in found]) for kind in (0, 1))
        return equal, near
    seen = seen or likeness.see(table)
    first: dict[object, int] = {}
    # Files that hold no image, such as those of no bytes, are copies of nothing.
    keys = [i if i in seen.broken else content for i, content in enumerate(table.contents)]
    equal = np.array([first.setdefault(key, i) for i, key in enumerate(keys)], dtype=np.int64)
    copies = [(seen.rows[pair.one], seen.rows[pair.other]) for pair in likeness.near(seen.fingerprints)]
    return equal, joined(len(table), [*enumerate(equal.tolist()), *copies])


def _both(columns: list[Numbers]) -> Numbers:
    """The clusters of the rows that share one in every column."""
    first: dict[tuple[int, ...], int] = {}
    keys = zip(*(column.tolist() for column in columns), strict=True)
    return np.array([first.setdefault(key, i) for i, key in enumerate(keys)], dtype=np.int64)


def words(text: str) -> list[str]:
    """The words of a text without case, punctuation and accents of typing (NFKC)."""
    return _WORD.findall(_JOINT.sub("", unicodedata.normalize("NFKC", text).casefold()))


def normalised(text: str) -> str:
    """The words with single spaces; in a text of few letters every sign counts, and only case and spaces do not."""
    form = " ".join(words(text))
    return form if len(form) >= SHORTEST else " ".join(text.casefold().split())


def clusters(texts: Sequence[str]) -> tuple[Numbers, Numbers]:
    """Per text two cluster numbers: of texts equal but for case and punctuation, and of these and lightly edited ones.

    Shape (texts,) each. A cluster's number is the place of its first text in `texts`; what shares a number is alike.
    """
    forms = [normalised(text) for text in texts]
    first: dict[str, int] = {}
    # Without the spaces: a sign between two words may have stood for one, or not.
    keys = [form.replace(" ", "") if len(form) >= SHORTEST else form for form in forms]
    equal = np.array([first.setdefault(key, i) for i, key in enumerate(keys)], dtype=np.int64)
    # Sorted, so that the order of the rows plays no part in which neighbours are compared.
    distinct = sorted((forms[i], i) for i in first.values() if len(forms[i]) >= SHORTEST)
    del forms, keys, first  # of a million texts they take as much room as the texts
    found = alike([form for form, _ in distinct])
    near = joined(len(texts), ((distinct[one][1], distinct[other][1]) for one, other in found))
    return equal, near[equal]


def alike(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Pairs of places in `texts`, which are normalised and different, whose texts differ by a light edit alone."""
    if len(texts) < 2:
        return
    for one, other in _candidates(*sketches([text.replace(" ", "") for text in texts])):
        if light(texts[one].split(" "), texts[other].split(" ")):
            yield one, other


def light(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two lists of words differ by no more than a changed word in twelve and a few misspelt ones.

    Words that are written as one in the other text are not changed, nor is a smiley that is left out.
    """
    allowed = max(len(one), len(other)) // WORDS_PER_CHANGE
    if abs(len(one) - len(other)) > 3 * allowed + SIGNS:
        return False
    if len({*one} ^ {*other}) > 2 * (3 * allowed + SIGNS):
        return False  # what nearly every pair comes to, sooner
    here, there = Counter(one), Counter(other)
    lost, new = _in_order(one, here - there), _in_order(other, there - here)
    if max(len(lost), len(new)) > 3 * allowed + SIGNS:
        return False
    if len(lost) * len(new) > COMPARED:  # of books, words alone are counted
        return max(len(lost), len(new)) <= allowed
    if not (any(map(_smiley, lost)) and any(map(_smiley, new))):
        for words, others in ((lost, new), (new, lost)):
            for smiley in filter(_smiley, list(words)):
                words.remove(smiley)
                if (rest := smiley.strip(":;=-'^")) in others:  # without its signs :d is d
                    others.remove(rest)
    mistyped = _unite(lost, new) + _unite(new, lost)
    changed = 0
    for word in lost:
        twin = next((candidate for candidate in new if misspelt(word, candidate)), None)
        if twin is None:
            changed += 1
        else:
            new.remove(twin)
            mistyped += 1
    # What is left of `new` stands where words were changed, or was put in.
    return max(changed, len(new)) <= allowed and mistyped <= 1 + allowed


def _in_order(words: Sequence[str], lacking: Counter[str]) -> list[str]:
    """The words that the other text lacks, as they come."""
    found = []
    for word in words if lacking else ():
        if lacking[word] > 0:
            lacking[word] -= 1
            found.append(word)
    return found


def _unite(parts: list[str], wholes: list[str]) -> int:
    """Take runs of `parts` that are one word in `wholes` out of both; how many of those words are misspelt."""
    mistyped = 0
    for whole in list(wholes):
        runs = ((i, k) for i in range(len(parts)) for k in range(i + 2, min(i + 1 + LONGEST_RUN, len(parts) + 1)))
        for i, k in runs:
            word = "".join(parts[i:k])
            if word == whole or misspelt(word, whole):
                mistyped += word != whole
                wholes.remove(whole)
                del parts[i:k]
                break
    return mistyped


def _smiley(word: str) -> bool:
    return not word[0].isalnum()


def misspelt(one: str, other: str) -> bool:
    """Whether one letter was put in, left out or mistaken, or two neighbours swapped. Numbers and signs are not."""
    if len(one) > len(other):
        one, other = other, one
    if len(other) - len(one) > 1 or len(other) < 2 or not (one + other).isalpha():
        return False
    start = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))
    if len(one) < len(other):
        return one[start:] == other[start + 1 :]
    rest, beside = one[start:], other[start:]
    return rest[1:] == beside[1:] or (rest[:2] == beside[1::-1] and rest[2:] == beside[2:])


def sketches(texts: Sequence[str]) -> tuple[Bands, Bytes]:
    """Of each text its band hashes, shape (texts, BANDS), and a byte of each of its minima, (texts, BANDS * ROWS).

    The share of bytes that two texts have in common estimates the share of shingles that they do (Li and Koenig 2010,
    b-Bit Minwise Hashing).
    """
    found = np.empty((len(texts), BANDS), dtype=np.uint32)
    bytes_ = np.empty((len(texts), BANDS * ROWS), dtype=np.uint8)
    cuts, start, held = [], 0, 0
    for i, text in enumerate(texts):
        held += len(text) + SHINGLE
        if held > CHUNK:
            cuts.append((start, i + 1))
            start, held = i + 1, 0
    if start < len(texts):
        cuts.append((start, len(texts)))

    def fill(cut: tuple[int, int]) -> None:
        _sketch(texts[cut[0] : cut[1]], found[cut[0] : cut[1]], bytes_[cut[0] : cut[1]])

    # numpy lets go of the interpreter while it computes.
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(fill, cuts))
    return found, bytes_


def _sketch(texts: Sequence[str], found: Bands, bytes_: Bytes) -> None:
    """MinHash by multiplication: for each minimum the least of (hash * an odd number) over the shingles of a text."""
    hashes, starts = shingles(texts, SHINGLE)
    with np.errstate(over="ignore"):
        for b in range(BANDS):
            band = np.zeros(len(texts), dtype=np.uint64)
            for i in range(b * ROWS, (b + 1) * ROWS):
                least = np.minimum.reduceat(hashes * FACTORS[i], starts)
                bytes_[:, i] = least & np.uint64(0xFF)
                band ^= least
                band *= np.uint64(0x94D049BB133111EB)
                band ^= band >> np.uint64(32)
            found[:, b] = band & np.uint64(0xFFFFFFFF)


def shingles(texts: Sequence[str], size: int) -> tuple[Hashes, Numbers]:
    """A hash for every run of `size` characters of every text, one after the other, and where each text's begin.

    A text that is shorter counts as one run, filled up with spaces.
    """
    padded = [text.ljust(size) for text in texts]
    letters = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    sizes = np.array([len(text) for text in padded], dtype=np.int64)
    with np.errstate(over="ignore"):
        hashes = np.zeros(max(len(letters) - size + 1, 0), dtype=np.uint64)
        for k in range(size):
            hashes = hashes * np.uint64(0x9E3779B97F4A7C15) + letters[k : len(hashes) + k]
        # Mixed, since a product with an odd number leaves the low bits almost as they were.
        hashes = (hashes ^ (hashes >> np.uint64(31))) * np.uint64(0xBF58476D1CE4E5B9)
        hashes ^= hashes >> np.uint64(29)
    # The runs that begin in one text and end in the next belong to neither.
    ends = np.cumsum(sizes)
    inside = np.ones(len(letters), dtype=bool)
    for k in range(1, size):
        inside[ends - k] = False
    return hashes[inside[: len(hashes)]], np.concatenate([[0], np.cumsum(sizes - size + 1)[:-1]])


def _candidates(bands: Bands, bytes_: Bytes) -> Iterator[tuple[int, int]]:
    """Pairs of rows, each once, that agree in a band, stand near each other among those that do, and look alike."""
    seen: set[int] = set()
    count = len(bands)
    met_by = [0] * count
    for band in bands.T:
        order = np.argsort(band, kind="stable")
        keys = band[order]
        for distance in range(1, min(NEIGHBOURS, count - 1) + 1):
            met = np.flatnonzero(keys[distance:] == keys[:-distance])
            if not len(met):
                break
            for some in np.array_split(met, 1 + len(met) // PAIRS):
                ones, others = order[some], order[some + distance]
                alike = np.flatnonzero((bytes_[ones] == bytes_[others]).mean(axis=1) >= RESEMBLING)
                for one, other in zip(ones[alike].tolist(), others[alike].tolist(), strict=True):
                    pair = one * count + other
                    if pair not in seen and met_by[one] < MEETINGS and met_by[other] < MEETINGS:
                        seen.add(pair)
                        met_by[one] += 1
                        met_by[other] += 1
                        yield one, other
