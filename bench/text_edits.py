"""Light edits of a text, for planted near-duplicates: case, punctuation, one typo, one word in twelve changed."""

from __future__ import annotations

import random
import string

STRANGERS = ("lately", "window", "harbour", "seven", "quietly", "marble", "often", "river", "blue", "walked")


def case(text: str, rng: random.Random) -> str:
    """All upper, all lower, or every word begun with a capital."""
    return rng.choice([str.upper, str.lower, str.title])(text)


def punctuation(text: str, rng: random.Random) -> str:
    """Every sign of punctuation taken away, or signs put at the end and after a word."""
    if rng.random() < 0.5 and any(c in string.punctuation for c in text):
        return text.translate(str.maketrans("", "", string.punctuation.replace("'", "")))
    words = text.split(" ")
    place = rng.randrange(len(words))
    words[place] += rng.choice([",", ";", " -"])
    return " ".join(words) + rng.choice(["!", "...", "."])


def typo(text: str, rng: random.Random) -> str:
    """One letter of a word left out, doubled, mistaken, or swapped with its neighbour."""
    places = [i for i in range(len(text) - 1) if text[i].isalpha() and text[i + 1].isalpha()]
    if not places:
        return text
    i = rng.choice(places)
    return rng.choice(
        [
            text[:i] + text[i + 1 :],
            text[:i] + text[i] + text[i:],
            text[:i] + rng.choice(string.ascii_lowercase) + text[i + 1 :],
            text[:i] + text[i + 1] + text[i] + text[i + 2 :],
        ]
    )


def words(text: str, rng: random.Random) -> str:
    """One word in twelve replaced by another."""
    parts = text.split(" ")
    for place in rng.sample(range(len(parts)), len(parts) // 12):
        parts[place] = rng.choice(STRANGERS)
    return " ".join(parts)


KINDS = (case, punctuation, typo, words)


def lightly(text: str, rng: random.Random) -> str:
    """The text with one to four of the edits, and never the text itself."""
    while True:
        edited = text
        for kind in rng.sample(KINDS, rng.randint(1, len(KINDS))):
            edited = kind(edited, rng)
        if edited != text:
            return edited
