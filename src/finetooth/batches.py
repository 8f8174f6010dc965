"""Batches: rows of like length together, so that little is padding; in an order that is a function of the seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from finetooth.seeds import numbers, row_keys
from finetooth.tasks import Encoded, Task

Rows = NDArray[np.int64]
POOL = 50  # batches whose rows are sorted by length together: more pad less, fewer mix better


@dataclass(frozen=True)
class Batch:
    """Rows of the encoded data, as the network takes them."""

    rows: Rows
    inputs: dict[str, Tensor]
    targets: Tensor


@dataclass(frozen=True)
class Batches:
    """What the loop eats: for an epoch, lists of micro-batches, a list for each optimizer step.

    An optimizer step takes `batch_size` times `accumulation` rows, whatever the accumulation: a micro-batch is a slice
    of it, so that the rows of step n do not depend on how it is cut.
    """

    encoded: Encoded
    task: Task
    pad: int
    batch_size: int
    accumulation: int
    seed: int

    @property
    def rows_per_step(self) -> int:
        """Rows per optimizer step; the last one of an epoch has what is left."""
        return self.batch_size * self.accumulation

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps per epoch."""
        return -(-len(self.encoded) // self.rows_per_step)

    def __call__(self, epoch: int, skip: int = 0) -> Iterator[list[Batch]]:
        """The micro-batches of each step of this epoch, the first `skip` steps left out."""
        for rows in self.order(epoch)[skip:]:
            yield [self._batch(rows[i : i + self.batch_size]) for i in range(0, len(rows), self.batch_size)]

    def order(self, epoch: int) -> list[Rows]:
        """The rows of each step: shuffled, sorted by length within pools, and the steps shuffled again."""
        ranks = numbers(self.seed, "order", epoch, self.encoded.keys)
        shuffled = np.argsort(ranks, kind="stable")
        size = self.rows_per_step
        steps: list[Rows] = []
        for start in range(0, len(shuffled), size * POOL):
            pool = shuffled[start : start + size * POOL]
            # Among rows of one length the order of the shuffle stays.
            pool = pool[np.argsort(self.encoded.lengths[pool], kind="stable")]
            steps += [pool[i : i + size] for i in range(0, len(pool), size)]
        places = numbers(self.seed, "steps", epoch, row_keys(map(str, range(len(steps)))))
        return [steps[i] for i in np.argsort(places, kind="stable")]

    def _batch(self, rows: Rows) -> Batch:
        return Batch(rows, *self.task.collate(self.encoded, rows, self.pad))


def by_tokens(lengths: NDArray[np.int64], budget: int) -> Iterator[Rows]:
    """All rows, sorted by length, cut so that a padded batch holds at most `budget` tokens (or one row)."""
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        count = max(1, budget // max(int(lengths[order[start]]), 1))
        yield order[start : start + count]
        start += count
