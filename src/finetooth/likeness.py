"""Pictures that are copies of each other: encoded anew, resized, cropped by a little, or mirrored.

A picture is kept as a thumbnail, its fingerprint. Candidates are found by perceptual hashes: the signs of the lowest
cosine coefficients (Zauner 2010, Implementation and Benchmarking of Perceptual Image Hash Functions, section 3.1.1),
of the whole picture and of its crops, sorted in several orders of their bits and compared with their neighbours
(Charikar 2002, Similarity Estimation Techniques from Rounding Algorithms, section 6). So the work grows as n log n,
however many pictures look alike. Each candidate is then laid over the other one, moved and stretched until it fits best
(Lucas and Kanade 1981, An Iterative Image Registration Technique), and the difference that remains decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finetooth.errors import DataError
from finetooth.pictures import Conversion, decode
from finetooth.table import Table

SIDE = 32  # pixels of a thumbnail's side
COPY = 0.2  # a copy differs at most by this share of what moving the picture by one pixel of its thumbnail changes
APART = 0.6  # where no other picture differs by less than this share, the copies stand out by themselves
CROWD = 8  # where others do, and so many pictures resemble one,
NEARER = 0.25  # a copy of it differs at most by this share of what the last of them does
CERTAIN = 0.02  # or by this, whatever else resembles it

WAVES = 8  # cosine coefficients per direction; the first of all, the mean, is left out
FLAT = 0.05  # of their root mean square: a coefficient below it counts as zero, so that noise does not decide its bit
ORDERS = 8  # in which the bits are sorted, each beginning with others
NEIGHBOURS = 3  # that a hash is compared with, in each order
BITS = 12  # of 63 in which the hashes of a copy may differ
KEPT = 16  # candidates of a picture that are fitted, the nearest hashes first
ROUNDS = 6  # of moving and stretching
SHIFT = 0.08  # of a side by which an edge of the picture may have moved
FAINT = 2.0  # grey levels: a picture with less detail is compared as if it had that much
BLOCK = 1024  # pictures or pairs that are worked on at a time

Thumbnails = NDArray[np.uint8]
Floats = NDArray[np.float32]
Numbers = NDArray[np.int64]

_GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_WHOLE, _LOW, _MIDDLE, _HIGH = (0.0, 1.0), (0.0, 0.95), (0.025, 0.975), (0.05, 1.0)
# Across and down: the whole picture, and what a crop of 5 % leaves when it takes from all sides or from two of them.
_VIEWS = ((_WHOLE, _WHOLE), (_MIDDLE, _MIDDLE), (_LOW, _LOW), (_HIGH, _LOW), (_LOW, _HIGH), (_HIGH, _HIGH))
_OPPOSITE = np.array([0, 1, 3, 2, 5, 4])  # the view that is each one's mirror image
_EDGES = np.array([[*across, *down] for across, down in _VIEWS], dtype=np.float32)


@dataclass(frozen=True)
class Alike:
    """Two pictures by their numbers, one < other; `mirrored` if one is the other's mirror image.

    `similarity` is 1.0 for no difference and about 0.0 for two pictures that have nothing to do with each other.
    """

    one: int
    other: int
    similarity: float
    mirrored: bool


@dataclass(frozen=True)
class Seen:
    """What one pass over the files has shown: `rows` are those that could be decoded, in the order of `fingerprints`.

    `broken` gives the reason for each of the others; `done` the rows on which each conversion was done. `side` is how
    many pixels wide and high every one of them is, where they are squares of one size.
    """

    rows: list[int]
    fingerprints: Thumbnails
    broken: dict[int, str]
    done: dict[Conversion, list[int]]
    side: int | None


class _Pairs(NamedTuple):
    """Candidates: the numbers of two pictures, whether the second is mirrored, and how far apart their hashes are."""

    one: Numbers
    other: Numbers
    mirrored: NDArray[np.bool_]
    bits: Numbers
    views: Numbers  # (pairs, 2): the views of the two that resemble each other


def fingerprint(image: Image.Image) -> Thumbnails:
    """A picture as (SIDE, SIDE, 3) bytes, stretched to a square."""
    return np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR), dtype=np.uint8)


def fingerprints(images: Iterable[Image.Image]) -> Thumbnails:
    """One fingerprint per picture, (pictures, SIDE, SIDE, 3); the pictures are looked at one at a time."""
    kept = [fingerprint(image) for image in images]
    return np.stack(kept) if kept else np.empty((0, SIDE, SIDE, 3), dtype=np.uint8)


def see(table: Table) -> Seen:
    """Decode each image of the table once, and keep of it a fingerprint and what had to be done."""
    rows: list[int] = []
    broken: dict[int, str] = {}
    done: dict[Conversion, list[int]] = {}
    sizes: set[tuple[int, int]] = set()

    def images() -> Iterator[Image.Image]:
        for i in range(len(table)):
            try:
                picture = decode(table.file(i))
            except DataError as error:
                broken[i] = str(error).removeprefix(f"{table.file(i)}: ").rstrip(".")
                continue
            rows.append(i)
            sizes.add(picture.image.size)
            for conversion in picture.done:
                done.setdefault(conversion, []).append(i)
            yield picture.image

    kept, (width, height) = fingerprints(images()), sizes.pop() if len(sizes) == 1 else (0, 1)
    return Seen(rows, kept, broken, done, side=width if width == height else None)


def near(thumbnails: Thumbnails) -> list[Alike]:
    """The pairs that are copies, most similar first; the order of the pictures plays no part in what is found.

    Of pictures whose fingerprints are equal, each is paired with the first. Where a picture has many that resemble it,
    as drawings of one kind and fillings of one form do, a copy has to stand out from them (after Lowe 2004, Distinctive
    Image Features from Scale-Invariant Keypoints, section 7.1).
    """
    # Sorted by their content, so that the same pictures in another order are compared in the same way.
    names = np.array([blake2b(thumbnail.tobytes(), digest_size=16).digest() for thumbnail in thumbnails], dtype="V16")
    _, first, group = np.unique(names, return_index=True, return_inverse=True)
    equal = [Alike(int(first[g]), i, 1.0, False) for i, g in enumerate(group) if i != first[g]]
    pairs = _candidates(_hashes(thumbnails, first))
    similar, unlike = _compared(thumbnails, first, pairs)

    # A picture that is nearly symmetric is found both ways: the better fit counts.
    ranked, place = _ranked(pairs.one * len(first) + pairs.other, unlike)
    best = ranked[place == 0]
    a, b, unlike = pairs.one[best], pairs.other[best], unlike[best]
    crowd = _crowd(len(first), np.concatenate([a, b]), np.tile(unlike, 2))
    limit = np.minimum(COPY, NEARER * np.minimum(crowd[a], crowd[b]))
    copies = best[unlike <= np.maximum(limit, CERTAIN)]
    found = [
        Alike(int(min(i, j)), int(max(i, j)), float(similarity), bool(mirrored))
        for i, j, similarity, mirrored in zip(
            first[pairs.one[copies]], first[pairs.other[copies]], similar[copies], pairs.mirrored[copies], strict=True
        )
    ]
    return sorted((*equal, *found), key=lambda pair: (-pair.similarity, pair.one, pair.other))


def _hashes(thumbnails: Thumbnails, chosen: Numbers) -> NDArray[np.uint64]:
    """The hashes of the chosen pictures: (pictures, 2, views), the second of the two for their mirror images."""
    hashes = np.empty((len(chosen), 2, len(_VIEWS)), dtype=np.uint64)
    turns = np.where(np.arange(WAVES) % 2, -1.0, 1.0).astype(np.float32)
    for start in range(0, len(chosen), BLOCK):
        block = slice(start, start + BLOCK)
        grey = thumbnails[chosen[block]] @ _GREY
        for view, (across, down) in enumerate(_VIEWS):
            waves = _waves(down) @ grey @ _waves(across).T
            waves[:, 0, 0] = 0.0
            least = FLAT * np.sqrt(np.square(waves).mean(axis=(1, 2), keepdims=True))
            hashes[block, 0, view] = _bits(waves > least)
            hashes[block, 1, _OPPOSITE[view]] = _bits(waves * turns > least)
    return hashes


def _waves(part: tuple[float, float]) -> Floats:
    """The cosines (WAVES, SIDE) over this part of a side, each pixel weighted by how much of it lies inside."""
    edges = np.linspace(0.0, 1.0, SIDE + 1).clip(*part)
    phases = ((edges[:-1] + edges[1:]) / 2 - part[0]) / (part[1] - part[0])
    return np.asarray(np.diff(edges) * np.cos(np.pi * np.arange(WAVES)[:, None] * phases), dtype=np.float32)


def _bits(signs: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """64 truth values per row as one number, the first of them its highest bit."""
    return np.packbits(np.ascontiguousarray(signs.reshape(len(signs), 64)), axis=1).view(">u8")[:, 0].astype(np.uint64)


def _candidates(hashes: NDArray[np.uint64]) -> _Pairs:
    """Pairs whose hashes lie near each other in one of the orders, the KEPT nearest of each picture."""
    pictures, keys = len(hashes), hashes.reshape(-1)
    picture, mirrored, view = (part.reshape(-1) for part in np.indices(hashes.shape))
    signs = np.unpackbits(keys.astype(">u8")[:, None].view(np.uint8), axis=1).astype(np.bool_)
    names = ranks = np.empty(0, dtype=np.int64)
    for order in range(ORDERS):
        # An odd stride visits all 64 bits; each order begins with the eight that the one before took next.
        ranked = np.argsort(_bits(signs[:, (8 * order + (2 * order + 1) * np.arange(64)) % 64]), kind="stable")
        for step in range(1, NEIGHBOURS + 1):
            one, other = ranked[:-step], ranked[step:]
            bits = np.bitwise_count(keys[one] ^ keys[other]).astype(np.int64)
            # Two mirrored views say no more than the two plain ones.
            fits = (bits <= BITS) & (picture[one] != picture[other]) & (mirrored[one] + mirrored[other] < 2)
            one, other, bits = one[fits], other[fits], bits[fits]
            swap = picture[one] > picture[other]
            one, other = np.where(swap, other, one), np.where(swap, one, other)
            # The second of a pair is the mirrored one: if it was the first, both are looked at in a mirror.
            turned = mirrored[one] == 1
            seen = [np.where(turned, _OPPOSITE[view[key]], view[key]) for key in (one, other)]
            names = np.append(names, (picture[one] * pictures + picture[other]) * 2 + mirrored[one] + mirrored[other])
            ranks = np.append(ranks, (bits * 8 + seen[0]) * 8 + seen[1])
        names, ranks = _pruned(names, ranks, pictures)
    return _Pairs(
        one=names // 2 // pictures,
        other=names // 2 % pictures,
        mirrored=names % 2 == 1,
        bits=ranks // 64,
        views=np.stack([ranks // 8 % 8, ranks % 8], axis=1),
    )


def _pruned(names: Numbers, ranks: Numbers, pictures: int) -> tuple[Numbers, Numbers]:
    """Each pair once, by its nearest views, if it is among the KEPT nearest of one of its pictures."""
    ranked, place = _ranked(names, ranks)
    names, ranks = names[ranked[place == 0]], ranks[ranked[place == 0]]
    owners = np.concatenate([names // 2 // pictures, names // 2 % pictures])
    ranked, place = _ranked(owners, np.tile(ranks // 64, 2))
    keep = np.zeros(len(names), dtype=np.bool_)
    keep[ranked[place < KEPT] % max(len(names), 1)] = True
    return names[keep], ranks[keep]


def _ranked(owners: Numbers, worth: NDArray[np.generic]) -> tuple[Numbers, Numbers]:
    """The order by owner and, for one owner, by worth, lowest first; and the place that each has with its owner."""
    ranked = np.lexsort((worth, owners))
    sorted_owners = owners[ranked]
    starts = np.flatnonzero(np.diff(sorted_owners, prepend=-1))
    return ranked, np.arange(len(ranked)) - np.repeat(starts, np.diff(starts, append=len(ranked)))


def _crowd(pictures: int, owners: Numbers, unlike: Floats) -> Floats:
    """How much the CROWD-th of those that resemble each picture differs from it; infinite where there is no crowd."""
    crowd = np.full(pictures, np.inf, dtype=np.float32)
    ranked, place = _ranked(owners, unlike)
    last = ranked[place == CROWD - 1]
    crowd[owners[last]] = unlike[last]
    # A picture of which there are many copies has no crowd, if nothing lies between them and all others.
    copies = np.bincount(owners[unlike <= COPY], minlength=pictures)
    between = np.bincount(owners[(unlike > COPY) & (unlike < APART)], minlength=pictures)
    crowd[(between == 0) & (copies < KEPT)] = np.inf
    return crowd


def _compared(thumbnails: Thumbnails, chosen: Numbers, pairs: _Pairs) -> tuple[Floats, Floats]:
    """Similarity, and difference as a share of what moving by one pixel changes, of each pair."""
    similar, unlike = np.empty((2, len(pairs.one)), dtype=np.float32)
    for start in range(0, len(pairs.one), BLOCK):
        block = slice(start, start + BLOCK)
        one, other = (thumbnails[chosen[numbers[block]]].astype(np.float32) for numbers in (pairs.one, pairs.other))
        other = np.where(pairs.mirrored[block, None, None, None], other[:, :, ::-1], other)
        # Where the edges of the second lie in the first, if the two views show the same.
        a, b = (_EDGES[pairs.views[block, k]].reshape(-1, 2, 2) for k in (0, 1))
        scale = np.diff(a, axis=2) / np.diff(b, axis=2)
        low = a[:, :, :1] - b[:, :, :1] * scale
        similar[block], unlike[block] = _fitted(one, other, np.concatenate([low, low + scale], axis=2))
    return similar, unlike


def _fitted(one: Floats, other: Floats, edges: Floats) -> tuple[Floats, Floats]:
    """The same, of thumbnails (pairs, SIDE, SIDE, 3), where `other` is laid over `one` as it fits best.

    `edges` are where to begin: (pairs, 2, 2), across and down, where the low and the high edge of `other` lie in `one`.
    """
    grey, wanted = one @ _GREY, other @ _GREY
    at = (np.arange(SIDE, dtype=np.float32) + 0.5) / SIDE
    for _ in range(ROUNDS):
        across, down, inside = _laid(edges)
        laid = down @ grey @ across.transpose(0, 2, 1)
        steep, wide = np.gradient(laid, 1.0 / SIDE, axis=(1, 2))
        # How much each pixel changes when an edge moves: left, right, top, bottom.
        slopes = np.stack([wide * (1 - at), wide * at, steep * (1 - at)[:, None], steep * at[:, None]], axis=1)
        slopes = (slopes * inside[:, None]).reshape(len(one), 4, -1)
        square = slopes @ slopes.transpose(0, 2, 1)
        # The ridge leaves an edge where it is when the picture says nothing of it.
        square += (1.0 + 1e-3 * np.trace(square, axis1=1, axis2=2))[:, None, None] * np.eye(4, dtype=np.float32)
        move = np.linalg.solve(square, slopes @ (wanted - laid).reshape(len(one), -1, 1)).reshape(-1, 2, 2)
        edges = (edges + move.clip(-0.03, 0.03)).clip([-SHIFT, 1 - SHIFT], [SHIFT, 1 + SHIFT]).astype(np.float32)
    across, down, inside = _laid(edges)
    laid = np.einsum("pyv,pvuc,pxu->pyxc", down, one, across, optimize=True)
    share = (inside / inside.sum(axis=(1, 2), keepdims=True))[..., None]

    def mean(values: Floats) -> Floats:
        """Of each pair and colour, over the pixels that both have."""
        return np.asarray((values * share).sum(axis=(1, 2), keepdims=True), dtype=np.float32)

    def detail(values: Floats) -> Floats:
        """The mean square of what moving by one pixel changes."""
        steps = (np.square(np.diff(values, axis=axis)).mean(axis=(1, 2, 3)) for axis in (1, 2))
        return np.asarray(sum(steps) / 2, dtype=np.float32)

    rest = mean(np.square(laid - other)).mean(axis=(1, 2, 3))
    spread = sum(mean(np.square(values - mean(values))).mean(axis=(1, 2, 3)) for values in (laid, other))
    similar = 1.0 - rest / np.maximum(spread, 2 * FAINT**2)
    return similar, rest / np.maximum((detail(one) + detail(other)) / 2, FAINT**2)


def _laid(edges: Floats) -> tuple[Floats, Floats, Floats]:
    """Matrices (pairs, SIDE, SIDE) that lay columns and rows where the edges say, and 1.0 for pixels that exist there.

    By cubic convolution (Keys 1981, Cubic Convolution Interpolation for Digital Image Processing, equation 15).
    """
    at = (np.arange(SIDE, dtype=np.float32) + 0.5) / SIDE
    places = (edges[:, :, :1] + (edges[:, :, 1:] - edges[:, :, :1]) * at) * SIDE - 0.5
    far = np.abs(places.clip(0, SIDE - 1)[..., None] - np.arange(SIDE, dtype=np.float32))
    near_by, further = (1.5 * far - 2.5) * far**2 + 1.0, ((2.5 - 0.5 * far) * far - 4.0) * far + 2.0
    matrices = np.where(far < 1, near_by, np.where(far < 2, further, 0.0)).astype(np.float32)
    matrices /= matrices.sum(axis=3, keepdims=True)
    inside = (places > -0.5) & (places < SIDE - 0.5)
    return matrices[:, 0], matrices[:, 1], (inside[:, 1, :, None] & inside[:, 0, None, :]).astype(np.float32)
