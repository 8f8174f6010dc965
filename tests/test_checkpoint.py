"""Checkpoints: whole or nothing, damage named, the newest whole one found, the best one kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from finetooth import checkpoint
from finetooth.backbones import Layers
from finetooth.errors import RunError
from finetooth.history import Epoch
from finetooth.loop import State


def make_state(step: int, width: int = 3) -> State:
    torch.manual_seed(step)
    net = nn.Sequential(nn.Linear(width, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    optimizer = torch.optim.AdamW(net.parameters(), fused=True)
    net(torch.randn(5, width)).sum().backward()
    optimizer.step()
    epoch = Epoch(step, 1.0, 0.5, {"accuracy": 0.9}, 1e-3, 1.0, (1.0, 0.0), 2.0, 30.0)
    return State(net, Layers((), {}, {}), optimizer, step=step, history=[epoch])


def test_what_is_loaded_is_what_was_saved(tmp_path: Path) -> None:
    saved, loaded = make_state(3), make_state(9)
    saved.sums.add(1.5, 4.0, 4, 0.25, 0.1)
    saved.seconds = 12.5
    path = checkpoint.save(saved, tmp_path)
    checkpoint.load(path, loaded)
    assert (loaded.step, loaded.history, loaded.sums) == (saved.step, saved.history, saved.sums)
    assert loaded.seconds == 12.5
    for (name, a), b in zip(saved.net.state_dict().items(), loaded.net.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    for one, other in zip(saved.net.parameters(), loaded.net.parameters(), strict=True):
        a, b = saved.optimizer.state[one], loaded.optimizer.state[other]
        assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
    assert checkpoint.weights_at(tmp_path, 3).keys() == checkpoint.weights_at(tmp_path, 3).keys()
    assert sorted(p.suffix for p in path.iterdir()) == [".json", ".json", ".safetensors", ".safetensors"]


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "a bit of the weights": (lambda p: _flip(p / "net.safetensors"), "net.safetensors"),
    "a bit of the moments": (lambda p: _flip(p / "optimizer.safetensors"), "optimizer.safetensors"),
    "a bit of the rest": (lambda p: _flip(p / "state.json"), "state.json"),
    "cut weights": (lambda p: (p / "net.safetensors").write_bytes(b"x"), "net.safetensors"),
    "missing moments": (lambda p: (p / "optimizer.safetensors").unlink(), "optimizer.safetensors is missing"),
    "missing manifest": (lambda p: (p / "manifest.json").unlink(), "manifest.json is missing"),
    "cut manifest": (lambda p: (p / "manifest.json").write_text('{"net.sa'), "manifest.json is missing or not"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_named_and_the_one_before_is_taken(tmp_path: Path, kind: str) -> None:
    spoil, words = DAMAGE[kind]
    older, newer = checkpoint.save(make_state(3), tmp_path), checkpoint.save(make_state(12), tmp_path)
    assert checkpoint.newest(tmp_path) == (newer, [])
    spoil(newer)
    with pytest.raises(RunError, match=words.split(" is")[0]):
        checkpoint.load(newer, make_state(1))
    found, passed = checkpoint.newest(tmp_path)
    assert found == older and len(passed) == 1 and words in passed[0]


def test_a_file_swapped_in_from_another_step_is_refused(tmp_path: Path) -> None:
    older, newer = checkpoint.save(make_state(3), tmp_path), checkpoint.save(make_state(12), tmp_path)
    (newer / "net.safetensors").write_bytes((older / "net.safetensors").read_bytes())
    assert checkpoint.newest(tmp_path)[0] == older


def test_a_half_made_checkpoint_does_not_count_and_is_cleared(tmp_path: Path) -> None:
    checkpoint.save(make_state(3), tmp_path)
    half = tmp_path / ".making-00000012"
    half.mkdir()
    (half / "net.safetensors").write_bytes(b"half")
    assert checkpoint.newest(tmp_path)[0] == tmp_path / "00000003"
    checkpoint.keep(tmp_path, {3})
    assert [p.name for p in tmp_path.iterdir()] == ["00000003"]


def test_another_networks_weights_are_refused(tmp_path: Path) -> None:
    path = checkpoint.save(make_state(3), tmp_path)
    before = make_state(5, width=7)
    with pytest.raises(RunError, match="another network"):
        checkpoint.load(path, before)


def test_saving_twice_at_one_step_replaces(tmp_path: Path) -> None:
    checkpoint.save(make_state(3), tmp_path)
    changed = make_state(3)
    changed.history = []
    path = checkpoint.save(changed, tmp_path)
    assert json.loads((path / "state.json").read_text())["history"] == []
    assert checkpoint.damage(path) is None
