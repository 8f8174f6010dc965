"""The frozen-prefix store: what the frozen part of a network makes of each row, computed once and kept on disk.

Rows lie one after the other without padding, in an order and in chunks that are a function of the rows alone, so that
no batch-mate ever changes what is stored. The key is the digest of all that a stored number depends on: the weights
below the cut as they now are, the architecture, the depth, the precision, the tokens. Epochs, folds, trials, processes
and later runs that ask for the same thing find it there.
"""

from __future__ import annotations

import json
import os
import shutil
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from finetooth import machine
from finetooth.backbones import Cut, Layers, cut, difference, evaluating, in_bits, packed, ragged
from finetooth.batches import BUDGETS, by_tokens
from finetooth.durable import write_text
from finetooth.errors import RunError
from finetooth.locks import alone, taken
from finetooth.packaged import cache
from finetooth.progress import Progress
from finetooth.seeds import Keys
from finetooth.tasks import Encoded, Task, for_network

Ask = Callable[[Mapping[str, Tensor], Keys], Tensor]  # inputs and the keys of their rows -> logits

VERSION = 2  # of the layout, and of what goes into the key
SHARE = 0.5  # of the free disk, at most
CHECKED = 8  # rows on which stored and computed are compared
EXACT = 1e-4  # share of how far rows differ, that may come of nothing but another order of sums
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.1}  # and of other roundings
SECONDS = 2.0  # of building that a crash may cost
LOCK = "lock"  # the file that whoever builds a store has to itself
WORDS = {torch.float32: torch.int32, torch.bfloat16: torch.int16}  # what numpy can write


@dataclass(frozen=True)
class Store:
    """The states of some rows at a cut. A row is found by its key; `starts` are in numbers, one more than rows."""

    path: Path
    keys: Keys  # sorted
    place: NDArray[np.int64]  # in the file, of each key
    starts: NDArray[np.int64]
    shape: tuple[int, ...]  # of one token's state, or of a row's where rows are not made of tokens
    dtype: torch.dtype
    ragged: bool

    @property
    def bytes(self) -> int:
        """The size of the file."""
        return int(self.starts[-1]) * self.dtype.itemsize

    def read(self, keys: Keys, mask: Tensor | None = None) -> Tensor:
        """The states of these rows, (sequences, longest, ...), with zeros where the `mask` has no token.

        A row has one sequence or, where it is read in windows, several, one behind the other.
        """
        places = self.place[np.searchsorted(self.keys, keys)]
        each = int(np.prod(self.shape))
        sizes = (self.starts[places + 1] - self.starts[places]) // each
        apart = self.ragged and mask is not None and len(mask) > len(keys)
        # Rows of several sequences come one behind the other first, and then into the places that the mask has.
        shape = (int(sizes.sum()),) if apart else (len(keys), int(sizes.max()))
        found = torch.zeros((*shape, *self.shape), dtype=WORDS[self.dtype])
        buffer, wide, ends = found.numpy(), self.dtype.itemsize, np.cumsum(sizes)
        # Reading, not mapping: what the system keeps of the file in memory is its own, and is not counted as ours.
        for i, (place, size) in enumerate(zip(places.tolist(), sizes.tolist(), strict=True)):
            there = buffer[ends[i] - size : ends[i]] if apart else buffer[i, :size]
            row = there.view(np.uint8).reshape(-1).data
            if os.preadv(self._file, [row], int(self.starts[place]) * wide) != row.nbytes:
                raise RunError(f"{self.path}: ends too soon; remove {self.path.parent} and train again.")
        states = found.view(self.dtype)
        if apart:
            assert mask is not None, "only a mask tells sequences"
            spread = torch.zeros((*mask.shape, *self.shape), dtype=self.dtype)
            spread[mask.cpu().bool()] = states
            return spread
        if self.ragged:
            return states
        # Maps of an image in the order in which convolutions are quick.
        order = torch.channels_last if states.ndim == 5 else torch.preserve_format
        return states[:, 0].clone(memory_format=order)

    @cached_property
    def _file(self) -> int:
        file = os.open(self.path, os.O_RDONLY)
        weakref.finalize(self, os.close, file)
        return file


@dataclass(frozen=True)
class Prefix:
    """For one run: which rows are stored, how, where, and who is told.

    `limit` is how many bytes all stores may take together; None keeps none.
    """

    layers: Layers
    task: Task
    rows: Encoded
    pad: int
    limit: int | None
    progress: Progress
    folder: Path
    told: set[Path] = field(default_factory=set)  # the stores of which was said that they are there

    def ask(self, net: nn.Module, frozen: Callable[[int], bool], build: bool) -> Ask:
        """How `net` is asked while these depths stay frozen: above a store, which is built or, if not, may be there.

        Where there is none, or none can be, all of the net is asked, which says so where somebody could have expected
        more.
        """

        def whole(inputs: Mapping[str, Tensor], keys: Keys) -> Tensor:
            return self.task.logits(net, inputs)

        if self.limit is None or not any(map(frozen, range(self.layers.deepest))):
            return whole
        few = self._spread()
        inputs = self._inputs(net, few)
        found = cut(net, self.layers, inputs, frozen)
        if found is None:
            if frozen(self.layers.deepest) and frozen(self.layers.deepest - 1):
                self._tell_why_not("this network cannot be cut into two")
            return whole
        with torch.inference_mode(), evaluating(net):
            state = found.prefix(net, inputs)
        of_tokens = ragged(inputs, state)
        # The cut itself, for the same batch and without what the padding came to, is exact.
        seen = inputs["attention_mask"].reshape(*state.shape[:2], *[1] * (state.ndim - 2)) if of_tokens else 1
        gap = difference(net, found, inputs, state * seen)
        if not gap <= EXACT or (not of_tokens and "attention_mask" in inputs):
            self._tell_why_not(
                f"asked from block {found.blocks + 1} on, the network says something else than as a whole (by "
                f"{gap:.2g} of what tells rows apart)"
            )
            return whole
        try:
            store = self._laid_out(net, found, state, of_tokens)
            if store is None or not (build or _finished(store)):
                return whole
            self._build(store, net, found)
            self.told.add(store.path)
            kept = store.read(self.rows.keys[few], inputs.get("attention_mask")).to(state.device)
        except OSError as error:
            self._tell_why_not(f"{self.folder}: {error.strerror}")
            return whole
        # What is stored was computed in other company.
        rounding = difference(net, found, inputs, kept)
        if not rounding <= TOLERANCE[store.dtype]:
            _take_away(store.path.parent)
            self._tell_why_not(
                f"what was stored is not what the network computes now (by {rounding:.2g} of what tells rows apart)"
            )
            return whole

        def stored(inputs: Mapping[str, Tensor], keys: Keys) -> Tensor:
            def above(**inputs: Tensor) -> Any:
                return found.suffix(net, inputs, store.read(keys, inputs.get("attention_mask")).to(state.device))

            return self.task.logits(above, inputs)

        return stored

    def _tell_why_not(self, why: str) -> None:
        self.progress.say(f"what is frozen is computed again each time: {why}")

    def _laid_out(self, net: nn.Module, found: Cut, state: Tensor, of_tokens: bool) -> Store | None:
        """The store as it will lie on the disk; None, and a word, where it would take more than it may."""
        shape = tuple(state.shape[2:] if of_tokens else state.shape[1:])
        lengths = np.diff(self.rows.offsets) if of_tokens else np.ones(len(self.rows), dtype=np.int64)
        order = np.concatenate(self._chunks())
        starts = np.concatenate([[0], np.cumsum(lengths[order])]) * int(np.prod(shape))
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order))
        by_key = np.argsort(self.rows.keys)
        name = self._name(net, found)
        store = Store(
            self.folder / name / "states", self.rows.keys[by_key], place[by_key], starts, shape, state.dtype, of_tokens
        )
        blocks = f"{found.blocks} of {self.layers.deepest - 1} blocks"
        if _finished(store):
            os.utime(store.path)
            if store.path not in self.told:
                self.progress.say(f"frozen, and in the store already: {blocks} ({store.bytes / 1e6:,.0f} MB)")
            return store
        assert self.limit is not None
        self.folder.mkdir(parents=True, exist_ok=True)
        if store.bytes > min(self.limit, SHARE * shutil.disk_usage(self.folder).free):
            self._tell_why_not(
                f"a store of {blocks} would take {store.bytes / 1e9:.2f} GB, more than cache "
                f"({self.limit / 1e9:.2f} GB) or half of the free disk"
            )
            return None
        return store

    def _build(self, store: Store, net: nn.Module, found: Cut) -> None:
        """Fill the store, or what a crash left of it undone; if another process is at it, wait and take its."""
        folder = store.path.parent
        if _finished(store):
            return
        _make_room(self.folder, (self.limit or 0) - store.bytes, folder)
        folder.mkdir(parents=True, exist_ok=True)
        with alone(folder / LOCK, lambda: self.progress.stored(0, len(self.rows))):
            if _finished(store):
                return
            clock, chunks, journal = monotonic(), self._chunks(), folder / "chunks"
            ends = store.starts[np.cumsum([0, *map(len, chunks)])] * store.dtype.itemsize
            there = store.path.stat().st_size if store.path.exists() else 0
            noted = int(journal.read_text()) if journal.exists() else 0
            done = min(noted, int(np.searchsorted(ends, there, side="right")) - 1)
            self.progress.say(
                f"computing once what is frozen: {found.blocks} of {self.layers.deepest - 1} blocks, "
                f"{len(self.rows):,} rows, {store.bytes / 1e6:,.0f} MB"
            )
            rows = np.cumsum([0, *map(len, chunks)]).tolist()
            quick = packed(net, lambda: self._inputs(net, self._spread()[:2]))
            with open(store.path, "ab") as file, torch.inference_mode(), evaluating(net), quick:
                file.truncate(int(ends[done]))
                self.progress.stored(0, rows[-1] - rows[done])
                for number, chunk in enumerate(chunks[done:], start=done + 1):
                    inputs = self._inputs(net, chunk)
                    state = found.prefix(net, inputs)
                    kept = state[inputs["attention_mask"].bool()] if store.ragged else state
                    file.write(kept.contiguous().view(WORDS[store.dtype]).cpu().numpy().data)
                    if monotonic() - clock > SECONDS or number == len(chunks):
                        file.flush()
                        os.fsync(file.fileno())
                        write_text(journal, str(number))
                        clock = monotonic()
                    self.progress.stored(rows[number] - rows[done], rows[-1] - rows[done])
            write_text(folder / "finished", str(store.bytes))

    def _chunks(self) -> list[NDArray[np.int64]]:
        """The rows as they lie in the store, cut into what is computed at once."""
        by_key = np.argsort(self.rows.keys, kind="stable")
        return [by_key[chunk] for chunk in by_tokens(self.rows.lengths[by_key], BUDGETS[machine.device()])]

    def _inputs(self, net: nn.Module, rows: NDArray[np.int64]) -> dict[str, Tensor]:
        device = next(net.parameters()).device
        inputs, _ = self.task.collate(self.rows, rows, self.pad)
        return {name: each.to(device) for name, each in for_network(inputs).items()}

    def _spread(self) -> NDArray[np.int64]:
        """Some rows, from the shortest to the longest."""
        order = np.argsort(self.rows.lengths, kind="stable")
        return order[np.unique(np.linspace(0, len(order) - 1, CHECKED).astype(np.int64))]

    def _name(self, net: Any, found: Cut) -> str:
        """The digest of all that the stored numbers depend on."""
        total, depth = sha256(), self.layers.deepest - found.blocks
        config = {k: v for k, v in net.config.to_dict().items() if not k.startswith(HEAD) and "drop" not in k}
        about = [VERSION, *map(version, ("torch", "transformers", "finetooth")), net.config._attn_implementation]
        about += [machine.device(), found.stack, found.blocks, BUDGETS, config]
        total.update(json.dumps(about, sort_keys=True, default=str).encode())
        below = [(n, p.detach()) for n, p in net.named_parameters() if self.layers.parameters[n] >= depth]
        below += [(n, b) for n, b in net.named_buffers() if self.layers.modules[n.rpartition(".")[0]] >= depth]
        # Of matrices of few bits the scales too, which are neither.
        few = [(n, m) for n, m in net.named_modules() if self.layers.modules.get(n, -1) >= depth and in_bits(m)]
        below += [(f"{n}.{key}", each) for n, m in few for key, each in m.state_dict().items()]
        for name, tensor in below:
            total.update(f"{name} {tensor.dtype}".encode())
            total.update(tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
        by_key = np.argsort(self.rows.keys, kind="stable")
        total.update(self.rows.keys[by_key].data)
        ordered = self.rows.take(by_key)
        total.update(ordered.tokens.data)
        total.update(ordered.offsets.data)
        if ordered.windows is not None:
            total.update(ordered.windows.flat.data)
        if ordered.types is not None:
            total.update(ordered.types.data)
        if ordered.pixels is not None:
            total.update(ordered.pixels.content)
        return total.hexdigest()[:32]


HEAD = ("id2label", "label2id", "num_labels", "problem_type", "_", "transformers_version", "dtype", "architectures")


def stores() -> Path:
    """The folder of the stores, in the user's cache."""
    return cache() / "prefix"


def _finished(store: Store) -> bool:
    try:
        return (store.path.parent / "finished").exists() and store.path.stat().st_size == store.bytes
    except FileNotFoundError:  # another process makes room
        return False


def _make_room(folder: Path, left: int, keep: Path) -> None:
    """Take away the stores that were not used for longest, until the others take at most `left` bytes."""
    others = []
    for path in folder.iterdir():
        with suppress(FileNotFoundError, NotADirectoryError):  # another process makes room too
            about = (path / "states").stat()
            if path != keep and not taken(path / LOCK):
                others.append((about.st_mtime, about.st_size, path))
    others.sort()
    while others and sum(size for _, size, _ in others) > left:
        _take_away(others.pop(0)[2])


def _take_away(folder: Path) -> None:
    """Remove a store. Who is still reading it goes on doing so: the file lives as long as it is open."""
    (folder / "finished").unlink(missing_ok=True)  # first, so that nobody takes what is left for a store
    shutil.rmtree(folder, ignore_errors=True)
