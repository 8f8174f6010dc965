"""Batches: every row as often as it should, in an order of the seed alone, little padding, budgets kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from finetooth.batches import Batches, by_tokens, packed
from finetooth.tasks import TASKS, Encoded

COUNTS = (400, 80, 15, 5)


def encoded(seed: int = 0) -> Encoded:
    rng = np.random.default_rng(seed)
    targets = np.repeat(np.arange(4), COUNTS)
    lengths = rng.integers(3, 60, len(targets))
    tokens = rng.integers(5, 20, lengths.sum()).astype(np.int32)
    ids = [f"row {i}" for i in range(len(targets))]
    return Encoded(ids, tokens, np.concatenate([[0], np.cumsum(lengths)]), targets, lengths)


def batches(**more: object) -> Batches:
    rows = encoded()
    plain = Batches(
        rows,
        TASKS["text-classification"],
        pad=0,
        batch_size=16,
        batch_tokens=None,
        accumulation=1,
        seed=0,
        weights=np.ones(len(rows), dtype=np.float32),
    )
    return replace(plain, **more)


@pytest.mark.parametrize("more", [{}, {"accumulation": 3}, {"batch_size": None, "batch_tokens": 600}])
def test_every_row_comes_once_an_epoch(more: dict) -> None:
    made = batches(**more)
    for epoch in (0, 1):
        rows = np.concatenate([batch.rows for step in made(epoch) for batch in step])
        assert sorted(rows.tolist()) == list(range(500))
        assert len(list(made(epoch))) == made.steps(epoch)
        skipped = [batch.rows.tolist() for step in made(epoch, skip=3) for batch in step]
        assert skipped == [batch.rows.tolist() for step in list(made(epoch))[3:] for batch in step]


@pytest.mark.parametrize("more", [{}, {"batch_size": None, "batch_tokens": 600, "accumulation": 2}])
def test_a_step_is_located_in_its_epoch(more: dict) -> None:
    made = batches(**more)
    expected = [(epoch, done) for epoch in range(3) for done in range(made.steps(epoch))]
    assert [made.locate(step) for step in range(len(expected))] == expected


def test_a_budget_of_tokens_is_kept_padding_included() -> None:
    made = batches(batch_size=None, batch_tokens=600, accumulation=2)
    for step in made(0):
        assert len(step) <= 3, "two budgets cut anew make at most three batches"
        for batch in step:
            assert batch.inputs["input_ids"].numel() <= 600
    used = [batch.inputs["input_ids"].numel() for step in made(0) for batch in step]
    assert np.mean(used) > 400


@pytest.mark.parametrize("toward", [0.25, 0.5, 1.0])
def test_oversampling_gives_the_shares_that_were_asked(toward: float) -> None:
    made, targets = batches(oversample=toward), encoded().targets
    shares = np.array(COUNTS) ** (1 - toward) / (np.array(COUNTS) ** (1 - toward)).sum()
    for epoch in range(3):
        rows = np.concatenate(made.order(epoch))
        assert len(rows) == 500
        assert np.abs(np.bincount(targets[rows], minlength=4) - shares * 500).max() < 1


def test_oversampling_goes_through_all_rows_of_a_class_before_any_comes_again() -> None:
    made, targets = batches(oversample=1.0), encoded().targets
    seen = np.zeros(500, dtype=int)
    for epoch in range(16):
        seen += np.bincount(np.concatenate(made.order(epoch)), minlength=500)
        for target in range(4):
            assert np.ptp(seen[targets == target]) <= 1


def test_the_order_is_a_function_of_seed_and_epoch_and_ids() -> None:
    rows = encoded()
    turned = np.random.default_rng(5).permutation(500)
    moved = Encoded(
        [rows.ids[i] for i in turned],
        np.concatenate([rows.tokens[rows.offsets[i] : rows.offsets[i + 1]] for i in turned]),
        np.concatenate([[0], np.cumsum(rows.lengths[turned])]),
        rows.targets[turned],
        rows.whole[turned],
    )
    one = [[rows.ids[i] for i in step] for step in batches().order(2)]
    other = [[moved.ids[i] for i in step] for step in batches(encoded=moved).order(2)]
    assert one == other
    assert one != [[rows.ids[i] for i in step] for step in batches(seed=1).order(2)]


def test_weights_reach_the_batch() -> None:
    weights = np.arange(500, dtype=np.float32)
    for step in batches(weights=weights)(0):
        for batch in step:
            assert batch.weights.tolist() == weights[batch.rows].tolist()


@pytest.mark.parametrize("budget", [1, 100, 5000])
def test_prediction_batches_hold_every_row_once_within_the_budget(budget: int) -> None:
    lengths = encoded().lengths
    parts = list(by_tokens(lengths, budget))
    assert sorted(np.concatenate(parts).tolist()) == list(range(500))
    assert all(len(part) * lengths[part].max() <= budget or len(part) == 1 for part in parts)


@pytest.mark.parametrize("ahead", [1, 4, 100])
def test_what_is_made_ready_ahead_is_the_same(ahead: int) -> None:
    made = {count: [step for epoch in (0, 1) for step in batches(ahead=count)(epoch, skip=2)] for count in (0, ahead)}
    assert len(made[ahead]) == len(made[0]) == 60
    for early, plain in zip(made[ahead], made[0], strict=True):
        for one, other in zip(early, plain, strict=True):
            assert one.rows.tolist() == other.rows.tolist()
            assert all(torch.equal(one.inputs[name], other.inputs[name]) for name in other.inputs)
            assert torch.equal(one.targets, other.targets)
            assert torch.equal(one.weights, other.weights)


def test_what_goes_wrong_ahead_is_told_in_its_turn() -> None:
    short = batches(ahead=4, weights=np.ones(480, dtype=np.float32))  # of the last 20 rows none is known
    fine = 0
    with pytest.raises(IndexError):
        for _ in short(0):
            fine += 1
    first = next(i for i, rows in enumerate(short.order(0)) if rows.max() >= 480)
    assert fine == first


def test_a_large_batch_is_computed_in_equal_pieces() -> None:
    whole, cut = batches(), batches(at_once=100)
    for one, pieces in zip(whole(0), cut(0), strict=True):
        assert np.array_equal(np.concatenate([piece.rows for piece in pieces]), one[0].rows)
        assert all(piece.inputs["input_ids"].numel() <= 100 or len(piece.rows) == 1 for piece in pieces)
        sizes = [len(piece.rows) for piece in pieces]
        assert max(sizes) - min(sizes) <= 1
    assert any(len(pieces) > 1 for pieces in cut(0))


@pytest.mark.parametrize("room", [1, 40, 128, 1000])
def test_packing_keeps_every_row_once_within_the_room(room: int) -> None:
    lengths = np.random.default_rng(0).integers(1, 100, 500)
    packs = packed(lengths, room)
    assert sorted(np.concatenate(packs).tolist()) == list(range(500))
    assert all(lengths[pack].sum() <= room or len(pack) == 1 for pack in packs)
    assert [pack.tolist() for pack in packs] == [pack.tolist() for pack in packed(lengths, room)]


def test_packing_leaves_little_room() -> None:
    lengths = np.random.default_rng(1).integers(5, 60, 2000)
    packs = packed(lengths, 256)
    assert lengths.sum() / (256 * len(packs)) > 0.99
