"""Where each row comes from, in as much memory as there are files: a million rows are a handful of spans."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import TypeVar, overload

T = TypeVar("T")


class Spans(Sequence[tuple[T, int]]):
    """For each of so many rows after the other, the name that they share and the row's number beneath it, from 1."""

    def __init__(self, spans: Sequence[tuple[T, int]]) -> None:
        self.spans = spans
        self.ends = list(accumulate(rows for _, rows in spans))

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    @overload
    def __getitem__(self, i: int) -> tuple[T, int]: ...
    @overload
    def __getitem__(self, i: slice) -> list[tuple[T, int]]: ...
    def __getitem__(self, i: int | slice) -> tuple[T, int] | list[tuple[T, int]]:
        chosen = range(len(self))[i]
        if isinstance(chosen, range):
            return [self[j] for j in chosen]
        span = bisect_right(self.ends, chosen)
        name, rows = self.spans[span]
        return name, chosen - self.ends[span] + rows + 1

    def __iter__(self) -> Iterator[tuple[T, int]]:
        return ((name, row) for name, rows in self.spans for row in range(1, rows + 1))


class Shared(Sequence[T]):
    """For each of so many rows after the other, what they share."""

    def __init__(self, spans: Sequence[tuple[T, int]]) -> None:
        self.rows = Spans(spans)

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, i: int) -> T: ...
    @overload
    def __getitem__(self, i: slice) -> list[T]: ...
    def __getitem__(self, i: int | slice) -> T | list[T]:
        return [shared for shared, _ in self.rows[i]] if isinstance(i, slice) else self.rows[i][0]

    def __iter__(self) -> Iterator[T]:
        return (shared for shared, _ in self.rows)
