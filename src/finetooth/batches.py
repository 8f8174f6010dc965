"""Batches: rows of like length together, so that little is padding; in an order that is a function of the seed."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from finetooth.augment import Augment, Mix, augmented, mixed, partners
from finetooth.pixels import Pixels
from finetooth.seeds import numbers, row_keys
from finetooth.tasks import Encoded, Task

Rows = NDArray[np.int64]
BUDGETS = {
    "cpu": 2048,
    "cuda": 65536,
}  # padded tokens asked at once: enough to fill the cores, few enough for their caches
SEQUENCE = 256  # tokens that rows share: the more, the less is padding, and the more pairs of tokens are masked
POOL = 50  # steps whose rows are sorted by length together: more pad less, fewer mix better


def packed(lengths: NDArray[np.int64], room: int) -> list[Rows]:
    """Rows that share a sequence of at most `room` tokens, so that none is padded; a longer row stands alone.

    Best fit, the longest first (Johnson 1974, Fast Algorithms for Bin Packing, section 2); rows of one length in the
    order in which they come.
    """
    packs: list[list[int]] = []
    left: list[tuple[int, int]] = []  # (room left, pack), in order
    for row in np.argsort(-lengths, kind="stable").tolist():
        length = int(lengths[row])
        place = bisect_left(left, (length, -1))
        if place == len(left):
            packs.append([row])
            space, pack = room - length, len(packs) - 1
        else:
            space, pack = left.pop(place)
            packs[pack].append(row)
            space -= length
        insort(left, (space, pack))
    return [np.array(pack, dtype=np.int64) for pack in packs]


@dataclass(frozen=True)
class Batch:
    """Rows of the encoded data, as the network takes them.

    `owners` are the rows to which the targets belong, `weights` how much each target counts in the loss.
    """

    rows: Rows
    owners: Rows
    inputs: dict[str, Tensor]
    targets: Tensor
    weights: Tensor


@dataclass(frozen=True)
class Batches:
    """What the loop eats: for an epoch, lists of micro-batches, one list for each optimizer step.

    A batch holds `batch_size` rows or, with `batch_tokens`, as many rows of like length as fit; a step takes
    `accumulation` batches. The rows of a step do not depend on how it is cut into batches of rows. `weights` has one
    number per row, `oversample` goes from 0 (rows as they are) to 1 (every class equally often). A batch of more than
    `at_once` padded tokens is computed in equal pieces, whose gradients add up to the batch's. `augments` change
    images, anew in each epoch; then a `mix` makes one of two, and the targets shares of `classes`. With `pack`, rows of
    any length stand together in a step and share sequences of SEQUENCE tokens, or as long as its longest. While a step
    is computed the `ahead` next ones are made ready, each in a thread; what is in them is the same.
    """

    encoded: Encoded
    task: Task
    pad: int
    batch_size: int | None
    batch_tokens: int | None
    accumulation: int
    seed: int
    weights: NDArray[np.float32]
    oversample: float = 0.0
    at_once: int | None = None
    augments: Sequence[Augment] = ()
    mix: Mix | None = None
    classes: int = 0
    pack: bool = False
    ahead: int = 0
    _orders: dict[int, list[Rows]] = field(default_factory=dict, repr=False, compare=False)
    _counts: dict[int, int] = field(default_factory=dict, repr=False, compare=False)

    def steps(self, epoch: int) -> int:
        """Optimizer steps in this epoch; with batch_tokens the number can differ between epochs by a few."""
        if self.batch_size is not None:
            return -(-len(self.encoded) // (self.batch_size * self.accumulation))
        if epoch not in self._counts:
            self._counts[epoch] = len(self.order(epoch))
        return self._counts[epoch]

    def locate(self, step: int) -> tuple[int, int]:
        """In which epoch a step lies, and how many steps of that epoch come before it."""
        epoch = 0
        while step >= self.steps(epoch):
            step -= self.steps(epoch)
            epoch += 1
        return epoch, step

    def __call__(self, epoch: int, skip: int = 0) -> Iterator[list[Batch]]:
        """The micro-batches of each step of this epoch, the first `skip` steps left out."""
        order = self.order(epoch)[skip:]
        if not self.ahead:
            yield from (self._step(rows, epoch) for rows in order)
            return
        coming: deque[Future[list[Batch]]] = deque()
        with ThreadPoolExecutor(self.ahead) as readers:
            for rows in order:
                coming.append(readers.submit(self._step, rows, epoch))
                if len(coming) > self.ahead:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()

    def _step(self, rows: Rows, epoch: int) -> list[Batch]:
        return [self.batch(piece, epoch) for part in self._cut(rows, 1) for piece in self._pieces(part)]

    def order(self, epoch: int) -> list[Rows]:
        """The rows of each step: shuffled, sorted by length within pools, and the steps shuffled again."""
        if epoch not in self._orders:
            self._orders.clear()  # one epoch is all that is ever looked at
            self._orders[epoch] = self._ordered(epoch)
        return self._orders[epoch]

    def _ordered(self, epoch: int) -> list[Rows]:
        shuffled = self._dealt(epoch)
        typical = self.batch_size or max(1, int(self.batch_tokens or 0) // max(1, int(self.encoded.lengths.mean())))
        size = typical * self.accumulation * POOL
        steps: list[Rows] = []
        for start in range(0, len(shuffled), size):
            pool = shuffled[start : start + size]
            # Among rows of one length the order of the shuffle stays.
            lengths = self.encoded.lengths[pool]
            steps += self._cut(pool if self.pack else pool[np.argsort(lengths, kind="stable")], self.accumulation)
        places = numbers(self.seed, "steps", epoch, row_keys(map(str, range(len(steps)))))
        return [steps[i] for i in np.argsort(places, kind="stable")]

    def _dealt(self, epoch: int) -> Rows:
        """The rows of this epoch in random order; when oversampling, each class with its wanted share of them.

        A class goes through all its rows before any comes again, from one epoch to the next as well.
        """
        if not self.oversample:
            return np.argsort(numbers(self.seed, "order", epoch, self.encoded.keys), kind="stable")
        targets = self.encoded.targets
        wanted = _shares(np.bincount(targets), self.oversample)
        dealt: list[Rows] = []
        for target, count in enumerate(wanted.tolist()):
            rows = np.flatnonzero(targets == target)
            for place in range(epoch * count, (epoch + 1) * count):
                if place % len(rows) == 0 or place == epoch * count:
                    ranks = numbers(self.seed, "deal", place // len(rows), self.encoded.keys[rows])
                    turn = rows[np.argsort(ranks, kind="stable")]
                dealt.append(turn[place % len(rows)])
        rows = np.array(dealt, dtype=np.int64)
        return rows[np.argsort(numbers(self.seed, "order", epoch, row_keys(map(str, range(len(rows))))), kind="stable")]

    def _cut(self, rows: Rows, batches: int) -> list[Rows]:
        """Cut rows into runs of so many batches each."""
        if self.batch_size is not None:
            size = self.batch_size * batches
            return [rows[i : i + size] for i in range(0, len(rows), size)]
        cuts, start, longest = [], 0, 0
        budget = int(self.batch_tokens or 0) * batches
        for i, length in enumerate(self.encoded.lengths[rows].tolist()):
            longest = max(longest, length)
            if i > start and longest * (i + 1 - start) > budget:
                cuts.append(rows[start:i])
                start, longest = i, length
        return [*cuts, rows[start:]]

    def _pieces(self, rows: Rows) -> list[Rows]:
        """One batch, or as few equal pieces of it as have at most `at_once` tokens each (or one row)."""
        if self.at_once is None:
            return [rows]
        if self.pack:
            packs = self._packs(rows)
            fitting = max(1, self.at_once // max(int(self.encoded.lengths[pack].sum()) for pack in packs))
            return [np.concatenate(packs[i : i + fitting]) for i in range(0, len(packs), fitting)]
        fitting = max(1, self.at_once // max(1, int(self.encoded.lengths[rows].max())))
        return np.array_split(rows, -(-len(rows) // fitting))

    def batch(self, rows: Rows, epoch: int = 0) -> Batch:
        """These rows as they are in this epoch, padded to the longest of them."""
        if self.mix is not None:
            return self._mixed(rows, epoch, self.mix)
        if self.pack:
            packs = self._packs(rows)
            inputs, targets = sharing(self.encoded, packs, self.task, self.pad)
            owners = np.repeat(np.concatenate(packs), self.encoded.counts[np.concatenate(packs)])
            return Batch(rows, owners, inputs, targets, torch.from_numpy(self.weights[owners]))
        encoded, places = self.encoded, rows
        if self.augments:
            encoded, places = replace(encoded.take(rows), pixels=self._augmented(rows, epoch)), np.arange(len(rows))
        inputs, targets = self.task.collate(encoded, places, self.pad)
        owners = np.repeat(rows, self.encoded.counts[rows])
        return Batch(rows, owners, inputs, targets, torch.from_numpy(self.weights[owners]))

    def _mixed(self, rows: Rows, epoch: int, mix: Mix) -> Batch:
        """These rows, each with a part of another; it counts, and is of the other's class, by as much as it shows."""
        keys = self.encoded.keys
        others = partners(keys, rows, self.seed, epoch)
        both = (self._augmented(rows, epoch), self._augmented(others, epoch))
        pixels, own = mixed(*both, keys[rows], mix, self.seed, epoch)
        inputs, _ = self.task.collate(replace(self.encoded.take(rows), pixels=pixels), np.arange(len(rows)), self.pad)
        classes = np.eye(self.classes, dtype=np.float32)[self.encoded.targets]
        shares = own[:, None]
        targets = shares * classes[rows] + (1 - shares) * classes[others]
        weights = own * self.weights[rows] + (1 - own) * self.weights[others]
        return Batch(rows, rows, inputs, torch.from_numpy(targets), torch.from_numpy(weights))

    def _augmented(self, rows: Rows, epoch: int) -> Pixels:
        """The images of these rows as they are in this epoch."""
        assert self.encoded.pixels is not None, "only images are augmented"
        return augmented(self.encoded.pixels.take(rows), self.encoded.keys[rows], self.augments, self.seed, epoch)

    def _packs(self, rows: Rows) -> list[Rows]:
        lengths = self.encoded.lengths[rows]
        return [rows[pack] for pack in packed(lengths, max(int(lengths.max()), SEQUENCE))]


def sharing(encoded: Encoded, packs: Sequence[Rows], task: Task, pad: int) -> tuple[dict[str, Tensor], Tensor]:
    """What `collate` gives of rows that share sequences, pack by pack, and position_ids instead of a mask.

    Positions begin anew with each row, and with each token of padding, by which transformers tells a decoder to keep
    them apart: no token sees another row's. Krell et al. 2021 (Efficient Sequence Packing without
    Cross-contamination), section 3.2.
    """
    rows = np.concatenate(packs)
    flat, ends = encoded.take(rows), np.cumsum([0, *map(len, packs)])
    first = ends[:-1]
    whole = replace(
        flat,
        ids=[flat.ids[i] for i in first],
        offsets=flat.offsets[ends],
        targets=flat.targets[first],
        whole=flat.whole[first],
    )
    inputs, targets = task.collate(whole, np.arange(len(packs)), pad)
    longest = inputs["input_ids"].shape[1]
    positions = []
    for pack in packs:
        parts = [np.arange(length) for length in encoded.lengths[pack].tolist()]
        positions.append(np.concatenate([*parts, np.zeros(longest - sum(map(len, parts)), dtype=np.int64)]))
    del inputs["attention_mask"]
    return {**inputs, "position_ids": torch.from_numpy(np.stack(positions))}, targets


def _shares(counts: Rows, toward: float) -> Rows:
    """How many rows of each class an epoch has, their sum unchanged: shares are the true ones to the power 1 - toward.

    Arivazhagan et al. 2019 (Massively Multilingual NMT), section 4.2: temperature-based sampling.
    """
    powered = np.where(counts > 0, counts.astype(np.float64) ** (1.0 - toward), 0.0)
    exact = powered / powered.sum() * counts.sum()
    whole: Rows = np.floor(exact).astype(np.int64)
    left = int(counts.sum() - whole.sum())
    whole[np.argsort(-(exact - whole), kind="stable")[:left]] += 1
    return whole


def by_tokens(lengths: NDArray[np.int64], budget: int) -> Iterator[Rows]:
    """All rows, sorted by length, cut so that a padded batch holds at most `budget` tokens (or one row)."""
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        count = max(1, budget // max(int(lengths[order[start]]), 1))
        yield order[start : start + count]
        start += count
