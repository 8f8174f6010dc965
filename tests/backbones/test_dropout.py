"""Dropout that draws faster: the share, the mean, the generator."""

from __future__ import annotations

import pytest
import torch

from finetooth.backbones.dropout import Dropout


def test_dropout_drops_its_share_and_keeps_the_mean() -> None:
    for share in (0.0, 0.1, 0.5, 0.9):
        torch.manual_seed(0)
        values = torch.ones(1_000_003, requires_grad=True)
        found = Dropout(share)(values)
        assert float((found == 0).double().mean()) == pytest.approx(share, abs=0.003)
        assert float(found.double().mean().detach()) == pytest.approx(1.0, abs=0.01)
        found.sum().backward()
        assert torch.equal(values.grad, found.detach()), "the gradient goes where the value went"


def test_dropout_is_a_function_of_torchs_generator_alone() -> None:
    values, layer = torch.ones(7, 11, 13), Dropout(0.3)
    torch.manual_seed(5)
    one, two = layer(values), layer(values)
    torch.manual_seed(5)
    assert torch.equal(one, layer(values)) and not torch.equal(one, two)
    assert torch.equal(layer.eval()(values), values)


def test_what_is_dropped_in_one_place_says_nothing_of_another() -> None:
    torch.manual_seed(0)
    kept = (Dropout(0.5)(torch.ones(64, 4096)) > 0).double()
    together = torch.corrcoef(kept)
    assert float((together - torch.eye(64)).abs().max()) < 0.08
    ahead = (kept[:, 1:] * kept[:, :-1]).mean()
    assert float(ahead) == pytest.approx(0.25, abs=0.005)
