"""Pairs -> clusters: what hangs together by chains of pairs."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components


def joined(count: int, pairs: Iterable[tuple[int, int]]) -> NDArray[np.int64]:
    """Per place, of `count`, the first place that it hangs together with; shape (count,)."""
    ends = np.array(list(pairs), dtype=np.int64).reshape(-1, 2)
    graph = sparse.coo_matrix((np.ones(len(ends), dtype=np.int8), tuple(ends.T)), shape=(count, count))
    number: NDArray[np.int32] = connected_components(graph, directed=False)[1]
    # The places come in rising order, so the first of each number is its least.
    first: NDArray[np.int64] = np.unique(number, return_index=True)[1].astype(np.int64)
    return first[number]
