"""All randomness is a function of its coordinates, the same everywhere."""

import os
import subprocess
import sys
from itertools import product

import numpy as np
import pytest

from finetooth.seeds import number, numbers, row_keys

IDS = [f"row {i}" for i in range(20_000)]
KEYS = row_keys(IDS)


def fractions(seed: int = 0, purpose: str = "order", step: int = 0) -> np.ndarray:
    return numbers(seed, purpose, step, KEYS) / 2.0**64


@pytest.mark.parametrize("hashseed", ["0", "1", "random"])
def test_another_process_draws_the_same_numbers(hashseed: str) -> None:
    program = (
        "from finetooth.seeds import *; "
        "print(number(3, 'dropout', 7), *numbers(3, 'order', 7, row_keys(['a', 'b', 'é'])).tolist())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": hashseed},
        capture_output=True,
        text=True,
        check=True,
    )
    here = [number(3, "dropout", 7), *numbers(3, "order", 7, row_keys(["a", "b", "é"])).tolist()]
    assert [int(word) for word in done.stdout.split()] == here


def test_the_next_version_draws_what_this_one_drew() -> None:
    """Written down once: a change here would give every user another split under the same seed."""
    assert number(0, "split") == 8741667407484827174
    assert numbers(0, "split", 0, row_keys(["a", "b"])).tolist() == [15452872280882998417, 12468316899756699877]


def test_each_coordinate_gives_another_number() -> None:
    grid = list(product(range(-3, 20), ["split", "order", "dropout", ""], range(20)))
    drawn = [number(*place) for place in grid]
    assert len(set(drawn)) == len(grid)
    assert all(0 <= n < 2**63 for n in drawn)


@pytest.mark.parametrize("other", [(1, "order", 0), (0, "split", 0), (0, "order", 1)], ids=["seed", "purpose", "step"])
def test_another_coordinate_gives_unrelated_numbers_to_all_rows(other: tuple[int, str, int]) -> None:
    here, there = fractions(), fractions(*other)
    assert not (here == there).any()
    # The correlation of unrelated numbers has a standard deviation of 1 / sqrt(rows).
    assert abs(np.corrcoef(here, there)[0, 1]) < 4 / len(IDS) ** 0.5


def test_a_rows_number_does_not_depend_on_its_neighbours() -> None:
    whole = dict(zip(IDS, numbers(5, "order", 2, KEYS).tolist(), strict=True))
    some = list(np.random.default_rng(0).permutation(IDS)[:500])
    assert numbers(5, "order", 2, row_keys(some)).tolist() == [whole[i] for i in some]
    assert numbers(5, "order", 2, row_keys([])).tolist() == []


def test_different_rows_have_different_numbers() -> None:
    assert len(set(KEYS.tolist())) == len(set(numbers(0, "order", 0, KEYS).tolist())) == len(IDS)


@pytest.mark.parametrize("step", [0, 1, 2])
def test_numbers_are_spread_evenly(step: int) -> None:
    bins = np.bincount((fractions(step=step) * 100).astype(int), minlength=100)
    expected = len(IDS) / 100
    # Chi-squared with 99 degrees of freedom: mean 99, standard deviation 14.1.
    assert 99 - 4 * 14.1 < ((bins - expected) ** 2 / expected).sum() < 99 + 4 * 14.1


def test_every_bit_is_set_half_of_the_time() -> None:
    drawn = numbers(0, "order", 0, KEYS)
    shares = np.array([((drawn >> np.uint64(bit)) & np.uint64(1)).mean() for bit in range(64)])
    assert np.abs(shares - 0.5).max() < 4.5 * 0.5 / len(IDS) ** 0.5


def test_ids_that_are_no_valid_unicode_have_keys_too() -> None:
    assert len(set(row_keys(["\ud800", "\ud801", ""]).tolist())) == 3
