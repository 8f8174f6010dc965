"""A number for (seed, purpose, step, row).

All randomness comes from here, so nothing about it has to be saved: the order of an epoch, the dropout of a step
and the split are functions of their coordinates, equal in a resumed run, in any process, whatever the row order.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]


def number(seed: int, purpose: str, step: int = 0) -> int:
    """A 63-bit number that depends on all three, for seeding a generator."""
    digest = blake2b(f"{seed}|{purpose}|{step}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def row_keys(ids: Iterable[str]) -> Keys:
    """Each row id as a 64-bit key; compute once, then hand it to `numbers`."""
    return np.array(
        [int.from_bytes(blake2b(i.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big") for i in ids],
        dtype=np.uint64,
    )


def numbers(seed: int, purpose: str, step: int, rows: Keys) -> Keys:
    """One 64-bit number per row: shape (rows,). The row's position plays no part.

    The mixer is SplitMix64's finaliser (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
    """
    with np.errstate(over="ignore"):
        z = rows + np.uint64(number(seed, purpose, step)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))
