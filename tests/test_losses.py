"""Losses: one number per row, equal to their definitions."""

from __future__ import annotations

import pytest
import torch

from finetooth.losses import LOSSES, cross_entropy, focal
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
    for make in LOSSES.values():
        assert make()(LOGITS.bfloat16(), TARGETS).dtype == torch.float32


def test_gradients_stay_finite_where_a_row_is_quite_sure() -> None:
    for make in LOSSES.values():
        sure = torch.tensor([[80.0, -80.0], [-80.0, 80.0]], requires_grad=True)
        make()(sure, torch.tensor([0, 0])).sum().backward()
        assert sure.grad is not None and sure.grad.isfinite().all()
