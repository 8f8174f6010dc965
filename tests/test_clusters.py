"""Clusters hang together by chains of pairs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from finetooth.clusters import joined

PLACES = st.integers(0, 11)


def test_each_place_has_the_first_of_its_cluster() -> None:
    assert joined(10, [(5, 9), (2, 7), (1, 5), (1, 2), (4, 3)]).tolist() == [0, 1, 1, 3, 3, 1, 6, 1, 8, 1]
    assert joined(3, []).tolist() == [0, 1, 2] and joined(0, []).tolist() == []


@given(st.lists(st.tuples(PLACES, PLACES)))
def test_a_pair_ends_in_one_cluster_whatever_the_order(pairs: list[tuple[int, int]]) -> None:
    found = joined(12, pairs).tolist()
    assert all(found[one] == found[other] for one, other in pairs)
    assert found == joined(12, [(b, a) for a, b in reversed(pairs)]).tolist()
    # Nothing hangs together without a pair: as many clusters as places less the pairs that joined two of them.
    sets = [{i} for i in range(12)]
    for one, other in pairs:
        a, b = (next(s for s in sets if i in s) for i in (one, other))
        if a is not b:
            sets.remove(b)
            a |= b
    assert sorted(map(min, sets)) == sorted(set(found))
