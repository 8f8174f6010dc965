"""Does the model hold when texts are written a little differently: mistyped, in other case, cut, with other words?

No perturbation is meant to change what a text says, but for the cut, which may take it away. What a row becomes
depends on the seed, the perturbation and the row's id; its place among the others plays no part.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetooth.metrics import Metric, finite, paired, too_few, units_of
from finetooth.seeds import numbers, row_keys
from finetooth.table import Answers

Perturbation = Callable[[str, random.Random], str]

ONE_IN = 12  # words that is mistyped, spaces that is lost or doubled

# Scripts without spaces between words: Thai, Lao, Burmese, Khmer, kana and ideographs.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
# A word of letters; of an unspaced script two characters, about as long as its words are.
_WORD = re.compile(rf"[{_UNSPACED}]{{1,2}}|[^\W\d_{_UNSPACED}]+")
_PIECE = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")
_SPACE = re.compile(r"(?<=\S) (?=\S)")
# Smileys say something, and the signs in 3.5, 10:30 and www.example.org are no punctuation: these are found first.
_SIGN = re.compile(
    r"(?P<kept>(?<!\w)[:;=][-'^o]?[()\[\]DPp/|*]+(?!\w)|(?<=[A-Za-z0-9])[.,:]+(?=[A-Za-z0-9]))"
    r"|[.,:;!?\"()\u201c\u201d\u201e\u00ab\u00bb\u2026"  # quotation marks, ellipsis
    r"\u3002\u3001\uff0c\uff1a\uff1b\uff01\uff1f\uff08\uff09\u300c\u300d\u300a\u300b"  # of Chinese and Japanese
    r"\u060c\u061b\u061f\u0964]"  # of Arabic and Hindi
)
_ENDING = frozenset(".,!?\u2026\u3002\uff0c\uff01\uff1f\u060c\u061f")  # signs that people double

_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEIGHBOURS = {key: row[max(i - 1, 0) : i] + row[i + 1 : i + 2] for row in _KEYS for i, key in enumerate(row)}

# Words that stand for each other whatever the text is about; none tells liking from dislike, and both begin with a
# vowel or neither does, so that an article before them stays right.
_EITHER_WAY = """
    film movie, films movies, bigger larger, biggest largest, purchased bought, purchasing buying, kids children,
    maybe perhaps, quickly rapidly, sofa couch, sofas couches, required needed, requires needs, replied responded,
    replies responses, grandma grandmother, grandpa grandfather, fridge refrigerator, ads advertisements,
    info information, mathematics math, rarely seldom, furthermore moreover, therefore thus, toward towards,
    nevertheless nonetheless, seller vendor, sellers vendors, gathered collected, gather collect, shouted yelled,
    shouting yelling, jumped leaped, jumping leaping, trousers pants, previously formerly, typically normally,
    color colour, colors colours, favorite favourite, favorites favourites, center centre, gray grey,
    theater theatre, theaters theatres, behavior behaviour, humor humour, neighbor neighbour, neighbors neighbours,
    flavor flavour, flavors flavours, realize realise, realized realised, organized organised, traveled travelled,
    traveling travelling, canceled cancelled, jewelry jewellery, ok okay, aeroplane airplane, companies firms
"""
_ONE_WAY = """
    large big, child kid, begin start, begins starts, began started, commence start,
    commenced started, telephone phone, telephones phones, bicycle bike, bicycles bikes, journey trip, journeys trips,
    tale story, tales stories, choose pick, chose picked, chosen picked, choosing picking, photograph photo,
    photographs photos, photo picture, photos pictures, physician doctor, physicians doctors, gift present,
    gifts presents, television tv, televisions tvs, dad father, mom mother, buddy friend, buddies friends,
    receive get, received got, receiving getting, receives gets, require need, requiring needing, enable allow,
    enables allows, demonstrate show, demonstrates shows, discover find, discovered found, discovering finding,
    repair fix, repaired fixed, repairing fixing, construct build, constructed built, constructing building,
    create make, created made, creating making, utilize use, utilized used, utilizing using, remain stay,
    remained stayed, select choose, selected chosen, selecting choosing, reside live, resided lived, parcel package,
    parcels packages, vacation holiday, vacations holidays, customer client, customers clients, beverage drink,
    beverages drinks, presently currently, approximately about, numerous many, several some,
    additionally also, additional extra, tiny small, huge giant, whilst while, amongst among, ladies women,
    folks people, teenager teen, teenagers teens, laboratory lab, laboratories labs, immediately instantly
"""


def _pairs(lines: str) -> dict[str, str]:
    return dict(map(str.split, lines.split(",")))


SYNONYMS = _pairs(_ONE_WAY) | _pairs(_EITHER_WAY) | {other: one for one, other in _pairs(_EITHER_WAY).items()}


def typos(text: str, rng: random.Random) -> str:
    """One word in twelve with two letters swapped, one left out, one doubled, or the key beside it hit."""
    places = range(len(_WORD.findall(text)))
    chosen, at = frozenset(rng.sample(places, _some(len(places), rng))), count()
    return _WORD.sub(lambda word: _mistyped(word[0], rng) if next(at) in chosen else word[0], text)


def case(text: str, rng: random.Random) -> str:
    """All letters small, or large if they were small already."""
    small = text.lower()
    return small if small != text else text.upper()


def punctuation(text: str, rng: random.Random) -> str:
    """Without punctuation, smileys and signs in numbers and addresses aside; or with the ends of clauses doubled."""
    out = rng.random() < 0.5
    return _SIGN.sub(lambda sign: sign[0] if sign["kept"] else "" if out else _doubled(sign[0]), text)


def synonyms(text: str, rng: random.Random) -> str:
    """Each English word of SYNONYMS replaced by its other; names behind @ and # and parts of addresses stay."""
    return re.sub(r"(?<![\w@#/.])[A-Za-z]+(?![\w@/])", lambda word: _synonym(word[0]), text)


def truncation(text: str, rng: random.Random) -> str:
    """Without the last third of the words, or of the characters where words are written without spaces."""
    ends = [piece.end() for piece in _PIECE.finditer(text)]
    cut = len(ends) // 3
    return text[: ends[-cut - 1]] if cut else text


def spaces(text: str, rng: random.Random) -> str:
    """One space between words in twelve lost or doubled."""
    places = range(len(_SPACE.findall(text)))
    chosen, at = frozenset(rng.sample(places, _some(len(places), rng))), count()
    return _SPACE.sub(lambda _: rng.choice(("", "  ")) if next(at) in chosen else " ", text)


PERTURBATIONS: dict[str, Perturbation] = {
    "typos": typos,
    "case": case,
    "punctuation": punctuation,
    "synonyms": synonyms,
    "truncation": truncation,
    "spaces": spaces,
}
OF_WORDS = ("typos", "case")  # those that leave every word in its place
APART = "\x1f"  # between words that are changed together


def perturbed(texts: Sequence[str], ids: Sequence[str], name: str, seed: int = 0) -> list[str]:
    """Each text under the perturbation of PERTURBATIONS with this name; one may come back as it was.

    The same id, text and seed give the same again, in whatever order the rows stand.
    """
    perturb = PERTURBATIONS[name]
    keys = numbers(seed, f"perturbation {name}", 0, row_keys(ids)).tolist()
    return [perturb(text, random.Random(key)) for text, key in zip(texts, keys, strict=True)]


def perturbed_words(rows: Sequence[Sequence[str]], ids: Sequence[str], name: str, seed: int = 0) -> list[list[str]]:
    """The same of lists of words, by a perturbation of OF_WORDS: each list keeps its length."""
    texts = perturbed([APART.join(row) for row in rows], ids, name, seed)
    changed = [text.split(APART) if row else [] for text, row in zip(texts, rows, strict=True)]
    # A word that holds the sign itself would be parted.
    return [new if len(new) == len(row) else [*row] for new, row in zip(changed, rows, strict=True)]


def robustness(
    metric: Metric,
    clean: Answers,
    perturbed: Mapping[str, Answers],
    changed: Mapping[str, int],
    units: NDArray[np.int64],
) -> dict[str, Any]:
    """What the metric loses under each perturbation, as the report keeps it.

    `perturbed` has by the name of the perturbation what the model said of the same rows, `changed` how many of them
    became another text; `units` the number of the group of each row, as `units_of` gives it. A difference is perturbed
    less clean under a paired bootstrap, below 0.0 where the perturbed rows fare worse whatever the metric's direction.
    """
    order = _by_id(clean)
    units = units_of([str(unit) for unit in units[order].tolist()], len(order))
    clean = clean.take(order)
    why = too_few(clean, units, by_class=metric.by_class)
    table = [
        {
            "perturbation": name,
            "changed": changed[name],
            "value": finite(metric.of(p)),
            "difference": _difference(metric, p.take(_by_id(p)), clean, units, why),
        }
        for name, p in perturbed.items()
    ]
    return {"metric": metric.name, "clean": finite(metric.of(clean)), "table": table}


def _by_id(p: Answers) -> NDArray[np.int64]:
    return np.array(sorted(range(len(p.ids)), key=p.ids.__getitem__), dtype=np.int64)


def _difference(
    metric: Metric, p: Answers, clean: Answers, units: NDArray[np.int64], why: str | None
) -> dict[str, Any]:
    sign = 1.0 if metric.better == "higher" else -1.0
    value = finite(sign * (metric.of(p) - metric.of(clean)))
    if why is not None or value is None:
        return {"value": value, "low": None, "high": None, "how": why or "not defined on these rows"}
    found = paired(metric, p, clean, units)
    low, high = finite(found.low), finite(found.high)
    how = "paired bootstrap" + ("" if units.max() + 1 == len(units) else " over groups")
    how = "not defined in most draws" if low is None or high is None else how
    return {"value": finite(found.difference), "low": low, "high": high, "how": how}


def _some(of: int, rng: random.Random) -> int:
    """One in twelve, rounded up or down at random, so that short texts get their share."""
    return int(of / ONE_IN + rng.random())


def _mistyped(word: str, rng: random.Random) -> str:
    if re.match(f"[{_UNSPACED}]", word):
        return word[::-1]
    i = rng.randrange(len(word))
    beside = _NEIGHBOURS.get(word[i].lower(), "")
    key = rng.choice(beside) if beside else ""
    kinds = (
        word[:i] + word[i + 1 : i + 2] + word[i] + word[i + 2 :],
        word[:i] + word[i + 1 :],
        word[: i + 1] + word[i:],
        word[:i] + (key.upper() if word[i].isupper() else key) + word[i + 1 :] if key else word,
    )
    return rng.choice([kind for kind in kinds if kind not in ("", word)])


def _doubled(sign: str) -> str:
    return sign * 2 if sign in _ENDING else sign


def _synonym(word: str) -> str:
    found = SYNONYMS.get(word.lower())
    if found is None:
        return word
    return found.upper() if word.isupper() else found.capitalize() if word[0].isupper() else found
