"""State to and from disk.

A checkpoint is a directory named by its step: weights and optimizer as safetensors, the rest as JSON, and a manifest
with the size and SHA-256 of each file, written last. It is made under another name and renamed when it is whole, so
that a crash at any moment leaves either all of it or nothing that counts. What can be computed (rates, order, dropout)
is not in it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from hashlib import file_digest
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from finetooth.durable import sync, sync_all
from finetooth.errors import RunError
from finetooth.history import Epoch, Sums
from finetooth.loop import State

MANIFEST = "manifest.json"


def save(state: State, folder: Path, job: str = "") -> Path:
    """Write `state` below `folder`, durably, for the job of this digest. Returns the checkpoint's directory."""
    target, making = folder / f"{state.step:08d}", folder / f".making-{state.step:08d}"
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    save_file(_weights(state.net), making / "net.safetensors")
    save_file(_moments(state), making / "optimizer.safetensors")
    rest = {
        "job": job,
        "step": state.step,
        "seconds": state.seconds,
        "history": [e.line() for e in state.history],
        "sums": asdict(state.sums),
    }
    (making / "state.json").write_text(json.dumps(rest, indent=1))
    files = {f.name: {"bytes": f.stat().st_size, "sha256": _digest(f)} for f in sorted(making.iterdir())}
    (making / MANIFEST).write_text(json.dumps(files, indent=1))
    sync_all(making)
    if target.exists():
        shutil.rmtree(target)
    making.rename(target)
    sync(folder)
    sync(folder.parent)
    return target


def load(path: Path, state: State) -> None:
    """Put the checkpoint at `path` into `state`. Raises RunError, naming the file, when it is damaged or foreign."""
    if fault := damage(path):
        raise RunError(f"{path}: {fault}")
    weights = load_file(path / "net.safetensors")
    ours = _weights(state.net)
    if ours.keys() != weights.keys() or any(ours[name].shape != weights[name].shape for name in ours):
        raise RunError(f"{path}: its weights are another network's than the plan's model.")
    put(state.net, weights)
    rest = json.loads((path / "state.json").read_text())
    state.step, state.seconds = rest["step"], rest["seconds"]
    state.history = history_of(path)
    state.sums = Sums(**rest["sums"])
    _restore_moments(state, load_file(path / "optimizer.safetensors"))


def history_of(path: Path) -> list[Epoch]:
    """The evaluations before this checkpoint, which has to be whole."""
    return [Epoch.of(line) for line in json.loads((path / "state.json").read_text())["history"]]


def damage(path: Path) -> str | None:
    """What is wrong with a checkpoint's files, in a clause; None when every one is as the manifest has it."""
    try:
        files: dict[str, dict[str, Any]] = json.loads((path / MANIFEST).read_text())
    except (OSError, ValueError):
        return f"{MANIFEST} is missing or not readable; the checkpoint was not finished"
    for name, expected in files.items():
        file = path / name
        if not file.is_file():
            return f"{name} is missing"
        if file.stat().st_size != expected["bytes"] or _digest(file) != expected["sha256"]:
            return f"{name} is not as it was written"
    return None


def newest(folder: Path, job: str = "") -> tuple[Path | None, list[str]]:
    """The newest whole checkpoint of this job below `folder`, and a sentence for each newer one passed over."""
    passed: list[str] = []
    for path in sorted(folder.glob("[0-9]*"), reverse=True):
        fault = damage(path)
        if fault is None and json.loads((path / "state.json").read_text())["job"] == job:
            return path, passed
        fault = fault or "it belongs to another run"
        passed.append(f"checkpoint {path.name} was passed over: {fault}")
    return None, passed


def keep(folder: Path, steps: set[int]) -> None:
    """Remove every checkpoint but those of `steps`, and what a crash left half made."""
    for path in folder.iterdir():
        if path.name.startswith(".making-") or (path.name.isdigit() and int(path.name) not in steps):
            shutil.rmtree(path)


def weights_at(folder: Path, step: int) -> dict[str, Tensor]:
    """The weights of the checkpoint of one step. Raises RunError when it is missing or damaged."""
    path = folder / f"{step:08d}"
    if fault := damage(path):
        raise RunError(f"{path}: {fault}. Give the command again with --resume: it starts over where it must.")
    weights: dict[str, Tensor] = load_file(path / "net.safetensors")
    return weights


def put(net: nn.Module, weights: dict[str, Tensor]) -> None:
    """Copy weights as `weights_at` gives them into `net`."""
    with torch.no_grad():
        for name, tensor in _weights(net).items():
            tensor.copy_(weights[name])


def _weights(net: nn.Module) -> dict[str, Tensor]:
    """Every parameter and lasting buffer once; tied ones under their first name."""
    seen: set[int] = set()
    named: dict[str, Tensor] = {}
    for name, tensor in net.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            named[name] = tensor.detach()
    return named


def _slots(state: State) -> Iterator[tuple[str, nn.Parameter]]:
    names = {id(p): name for name, p in state.net.named_parameters()}
    for group in state.optimizer.param_groups:
        for parameter in group["params"]:
            yield names[id(parameter)], parameter


def _moments(state: State) -> dict[str, Tensor]:
    return {
        f"{kind}/{name}": tensor
        for name, parameter in _slots(state)
        for kind, tensor in state.optimizer.state.get(parameter, {}).items()
    }


def _restore_moments(state: State, moments: dict[str, Tensor]) -> None:
    state.optimizer.state.clear()
    kinds = {key.partition("/")[0] for key in moments}
    for name, parameter in _slots(state):
        own = {kind: moments[f"{kind}/{name}"] for kind in sorted(kinds) if f"{kind}/{name}" in moments}
        if own:
            device = parameter.device
            state.optimizer.state[parameter] = {kind: tensor.to(device) for kind, tensor in own.items()}


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return file_digest(file, "sha256").hexdigest()
