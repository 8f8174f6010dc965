"""Losses: one number per row, equal to their definitions."""

from __future__ import annotations

import pytest
import torch

from finetooth.losses import LOSSES, cross_entropy, focal, in_chunks
from finetooth.plan import LOSSES as PLANNED

LOGITS = torch.randn(50, 4, generator=torch.Generator().manual_seed(0)) * 3
TARGETS = torch.randint(0, 4, (50,), generator=torch.Generator().manual_seed(1))


def test_the_plan_knows_the_losses_by_name_and_option() -> None:
    assert PLANNED.keys() == LOSSES.keys()
    for name, options in PLANNED.items():
        for option in options:
            LOSSES[name](**{option: 1.0})


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_is_its_definition(smoothing: float) -> None:
    logs = torch.log_softmax(LOGITS, dim=-1)
    true = logs[torch.arange(50), TARGETS]
    expected = -((1 - smoothing) * true + smoothing * logs.mean(dim=-1))
    assert torch.allclose(cross_entropy(smoothing)(LOGITS, TARGETS), expected, atol=1e-6)


def test_focal_without_focus_is_cross_entropy_and_spares_easy_rows() -> None:
    plain = cross_entropy()(LOGITS, TARGETS)
    assert torch.allclose(focal(0.0)(LOGITS, TARGETS), plain, atol=1e-6)
    probability = torch.softmax(LOGITS, dim=-1)[torch.arange(50), TARGETS]
    assert torch.allclose(focal(2.0)(LOGITS, TARGETS), (1 - probability) ** 2 * plain, atol=1e-6)


def test_losses_are_fp32_whatever_the_logits() -> None:
    for name, make in LOSSES.items():
        logits, targets = LOGITS.bfloat16(), TARGETS
        if name in ("mse", "huber", "dpo"):
            logits, targets = logits[:, :1], TARGETS.float()
        if name == "binary-cross-entropy":
            targets = torch.nn.functional.one_hot(TARGETS, 4).float()
        found = make()(logits, targets)
        assert found.dtype == torch.float32 and found.shape == (50,) and found.isfinite().all(), name


def test_gradients_stay_finite_where_a_row_is_quite_sure() -> None:
    for make in (cross_entropy, focal):
        sure = torch.tensor([[80.0, -80.0], [-80.0, 80.0]], requires_grad=True)
        make()(sure, torch.tensor([0, 0])).sum().backward()
        assert sure.grad is not None and sure.grad.isfinite().all()


@pytest.mark.parametrize("size", [1, 7, 64])
def test_in_chunks_gives_the_losses_and_gradients_of_all_at_once(size: int) -> None:
    torch.manual_seed(0)
    head, targets = torch.nn.Linear(16, 50), torch.randint(50, (40,))
    found = []
    for chunked in (False, True):
        states = torch.linspace(-1, 1, 640).view(40, 16).requires_grad_()
        head.zero_grad()
        if chunked:
            losses = in_chunks(head, states, targets, cross_entropy(0.1), size)
        else:
            losses = cross_entropy(0.1)(head(states), targets)
        losses.sum().backward()
        found.append((losses.detach(), states.grad, head.weight.grad.clone()))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_in_chunks_never_holds_the_logits_of_all() -> None:
    seen: list[int] = []

    def head(states: torch.Tensor) -> torch.Tensor:
        seen.append(len(states))
        return states @ torch.ones(4, 9)

    in_chunks(head, torch.ones(25, 4, requires_grad=True), torch.zeros(25, dtype=torch.long), cross_entropy(), 10)
    assert seen == [10, 10, 5]
