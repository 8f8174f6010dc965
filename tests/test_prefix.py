"""The frozen-prefix store: what was kept is what would be computed, whoever asks, and whatever happened meanwhile."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf
from torch import Tensor

import finetooth as ft
from finetooth import machine
from finetooth import prefix as prefix_module
from finetooth.backbones import Cut
from finetooth.errors import Interrupted, PlanError
from finetooth.loop import State, fit
from finetooth.plan import Plan
from finetooth.prefix import stores
from finetooth.prepare import Job, Material
from finetooth.progress import Progress, Silent
from finetooth.readers import read
from tests import tiny

PLAN = {"epochs": 3, "batch_size": 16, "precision": "fp32", "learning_rate": 1e-3, "freeze": 2}
KINDS = ["bert", "roberta", "distilbert", "mpnet", "electra", "deberta-v2", "modernbert"]


class Listener(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


class Press(Listener):
    """Somebody who presses Ctrl-C while a store is built, the so-manieth of them."""

    def __init__(self, store: int) -> None:
        super().__init__()
        self.left = store

    def stored(self, done: int, rows: int) -> None:
        self.left -= done == 0
        if 0 < done < rows and self.left == 0:
            self.left = -1
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins without a store."""
    monkeypatch.setenv("FINETOOTH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def job_of(reviews: Path, tmp_path: Path) -> Callable[..., Job]:
    """A Job on the small reviews with a three-block model of the given kind; keywords are keys of the plan."""

    def make(kind: str = "bert", rows: int | None = None, **plan: object) -> Job:
        folder = tmp_path / kind
        if not folder.exists():
            tiny.save_model(folder, tiny.config(kind, blocks=3))
        chosen = Plan.of({**PLAN, **plan})
        return Material.of(read(reviews), chosen, str(folder), rows=rows).job(chosen, progress=Listener())

    return make


def run(job: Job, steps: int | None = None) -> State:
    state = job.state()
    for step in fit(state, job.batches, job.recipe, job.scores):
        if step.step == steps:
            break
    return state


def learnt_alike(one: State, other: State) -> None:
    """The weights of two runs agree, but for key biases, whose true gradient is zero."""
    for name, tensor in weights(one).items():
        if "key.bias" not in name:
            torch.testing.assert_close(weights(other)[name], tensor, atol=1e-4, rtol=1e-3, msg=name)


def said(job: Job) -> str:
    return "\n".join(job.progress.said)  # type: ignore[attr-defined]


def weights(state: State) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in state.net.named_parameters()}


def states_of(folder: Path) -> dict[str, bytes]:
    return {path.name: (path / "states").read_bytes() for path in folder.iterdir()}


# Stored equals computed


@pytest.mark.parametrize("kind", KINDS)
def test_a_stored_run_is_a_plain_one_with_dropout_on(kind: str, job_of) -> None:
    plain, stored = (job_of(kind, cache=cache, epochs=6, dropout=0.1) for cache in ("off", "auto"))
    one, other = run(plain), run(stored)
    assert one.step >= 70 and list(stores().iterdir()), said(stored)
    before = dict(job_of(kind).backbone.net.named_parameters())
    moved = {name for name, tensor in weights(one).items() if not torch.equal(tensor, before[name])}
    assert moved
    for name, tensor in weights(one).items():
        # The true gradient of a key's bias is zero: what Adam makes of it is noise.
        if (
            "key.bias" not in name
            and ".k.bias" not in name
            and "k_lin.bias" not in name
            and "key_proj.bias" not in name
        ):
            torch.testing.assert_close(weights(other)[name], tensor, atol=1e-4, rtol=1e-3, msg=name)
    said_by = [job.look(state.net).probabilities for job, state in ((plain, one), (stored, other))]
    np.testing.assert_allclose(*said_by, atol=1e-4)
    assert [e.scores["accuracy"] for e in one.history] == [e.scores["accuracy"] for e in other.history]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_store_that_is_there_gives_the_very_run_that_built_it(precision: str, job_of) -> None:
    first, again = (run(job_of(precision=precision)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(weights(first).values(), weights(again).values(), strict=True))
    assert len(list(stores().iterdir())) == 1


def test_each_row_is_stored_as_it_is_computed_alone(job_of) -> None:
    job = job_of("mpnet")
    run(job, 1)
    net = job.backbone.net
    (folder,) = stores().iterdir()
    pad = job.backbone.tokenizer.pad_token_id
    cut = Cut("mpnet.encoder.layer", 2, "mpnet.embeddings", 0)
    ask = prefix_module.Prefix(job.backbone.layers, job.task, job.rows, pad, 1 << 30, Listener(), stores())
    net.eval()
    with torch.inference_mode():
        inputs, _ = job.task.collate(job.rows, np.array([0]), pad)
        store = ask._laid_out(net, cut, cut.prefix(net, inputs), of_tokens=True)
        assert store is not None and store.path.parent == folder
        some = np.array([5, 0, 17, 3])
        read = store.read(job.rows.keys[some])
        for i, row in enumerate(some):
            alone = cut.prefix(net, job.task.collate(job.rows, np.array([row]), pad)[0])[0]
            torch.testing.assert_close(read[i, : len(alone)], alone, atol=1e-5, rtol=1e-4)
            assert not read[i, len(alone) :].any(), "padding is zeros"


def test_batch_mates_and_order_of_the_file_change_nothing(reviews: Path, job_of, tmp_path: Path) -> None:
    run(job_of(), 1)
    lines = reviews.read_text().splitlines()
    turned = tmp_path / "turned.csv"
    turned.write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    plan = Plan.of(PLAN)
    job = Material.of(read(turned), plan, str(tmp_path / "bert")).job(plan, progress=Listener())
    run(job, 1)
    assert "in the store already" in said(job)


# When there is one, and when not


def test_folds_share_one_store(job_of, reviews: Path, tmp_path: Path) -> None:
    from finetooth.splits import kfold

    job_of()
    plan, table = Plan.of(PLAN), read(reviews)
    material = Material.of(table, plan, str(tmp_path / "bert"))
    for fold in kfold(table, material.split, 3):
        job = material.job(plan.model_copy(update={"learning_rate": 1e-4}), split=fold, progress=Listener())
        run(job, 1)
    assert len(list(stores().iterdir())) == 1


def test_no_test_row_is_stored(job_of) -> None:
    job = job_of()
    assert set(job.rows.ids) == {*job.split.train, *job.split.validation}


def test_the_head_alone_learns_from_what_leaves_the_last_block(job_of) -> None:
    plain, stored = (job_of(freeze="all", cache=cache, learning_rate="auto") for cache in ("off", "auto"))
    one, other = run(plain), run(stored)
    for a, b in zip(weights(one).values(), weights(other).values(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)
    assert "3 of 3 blocks" in said(stored)


def test_what_is_trained_and_frozen_later_is_stored_as_it_then_is(job_of) -> None:
    def late(depth: int, epoch: float) -> float:
        return float(depth <= 1 or epoch < 1)

    rate = {"rate": late, "freeze": "auto", "epochs": 3}
    plain, stored = (job_of(cache=cache, **rate) for cache in ("off", "auto"))
    learnt_alike(run(plain), run(stored))
    assert said(stored).count("computing once") == 1
    # Another learning rate leaves other weights below the cut: what the first run stored is not taken for theirs.
    third = job_of(**rate, learning_rate=2e-3)
    run(third)
    assert said(third).count("computing once") == 1


def test_gradual_unfreezing_stores_each_depth_that_lasts(job_of) -> None:
    plan = {"unfreeze_every": 1.0, "freeze": "auto", "epochs": 4}
    plain, stored = (job_of(cache=cache, **plan) for cache in ("off", "auto"))
    learnt_alike(run(plain), run(stored))
    assert [f"{n} of 3 blocks, " in said(stored) for n in (3, 2, 1)] == [True] * 3
    short = job_of(**{**plan, "unfreeze_every": 0.25})
    run(short)
    assert "computing once" not in said(short), "a depth of a quarter of an epoch is not worth a store"


def test_a_network_that_cannot_be_cut_takes_the_plain_path_and_says_so(job_of) -> None:
    job = job_of("albert", freeze=1)
    assert run(job).history and "cannot be cut into two" in said(job)
    assert not stores().exists()


def test_a_budget_that_is_too_small_takes_the_plain_path_and_says_what_it_would_need(job_of) -> None:
    job = job_of(cache=1000)
    assert run(job).history and "more than cache" in said(job)
    assert not list(stores().iterdir())


def test_states_that_are_not_by_token_are_not_stored(job_of, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """XLNet holds (tokens, rows, width): taken for one state a row, they would be laid out wrongly."""
    small = {"d_model": 16, "n_layer": 3, "n_head": 2, "d_inner": 32, "vocab_size": 40, "pad_token_id": 0}
    tiny.save_model(tmp_path / "xlnet", tf.XLNetConfig(**small))
    monkeypatch.setattr(tiny, "config", lambda kind, blocks: None)
    job = job_of("xlnet")
    assert run(job).history and not stores().exists(), said(job)
    assert "computed again each time" in said(job)


def test_a_cache_that_cannot_be_written_takes_the_plain_path(job_of, tmp_path: Path) -> None:
    job = job_of()
    (tmp_path / "cache").write_text("a file where the folder would be")
    assert run(job).history and "computed again each time" in said(job)


def test_a_store_without_its_states_is_built_again(job_of) -> None:
    run(job_of(), 1)
    (file,) = stores().glob("*/states")
    file.unlink()
    job = job_of()
    run(job, 1)
    assert "computing once" in said(job) and file.exists()


def test_a_network_that_cannot_compute_in_bf16_learns_in_fp32(job_of, tmp_path: Path) -> None:
    small = {"hidden_size": 16, "num_hidden_layers": 3, "intermediate_size": 32, "max_position_embeddings": 64}
    tiny.save_model(tmp_path / "fnet", tf.FNetConfig(**small, vocab_size=40, pad_token_id=0))
    job = job_of("fnet", precision="auto", freeze=0)
    assert job.plan.precision == "fp32" and (not machine.fast_bf16() or "bf16" in job.reasons["precision"])
    with pytest.raises(PlanError, match="cannot compute in bf16; set precision to fp32"):
        job_of("fnet", precision="bf16")


def test_a_full_disk_takes_the_plain_path(job_of, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(prefix_module, "write_text", full)
    job = job_of()
    assert run(job).history and "No space left on device" in said(job)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_cut_that_is_wrong_is_caught(kind: str, precision: str, job_of, monkeypatch: pytest.MonkeyPatch) -> None:
    """The states of one block are put in at the next."""
    suffix = Cut.suffix
    monkeypatch.setattr(
        Cut, "suffix", lambda cut, net, inputs, state: suffix(replace(cut, blocks=cut.blocks + 1), net, inputs, state)
    )
    job = job_of(kind, precision=precision, freeze=1)
    assert run(job).history and "says something else than as a whole" in said(job)
    assert not stores().exists(), "nothing is stored at a cut that is wrong"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_right_cut_is_not_taken_for_a_wrong_one(kind: str, precision: str, job_of) -> None:
    for freeze in (1, 2, 3):
        job = job_of(kind, precision=precision, freeze=freeze)
        run(job, 1)
        assert "computing once" in said(job) and "something else" not in said(job), said(job)


# Keys


@pytest.mark.parametrize("change", ["weights below", "tokens", "depth", "precision", "rows"])
def test_what_the_states_depend_on_makes_another_store(change: str, job_of, monkeypatch: pytest.MonkeyPatch) -> None:
    run(job_of(), 1)
    plan: dict[str, Any] = {"depth": {"freeze": 1}, "precision": {"precision": "bf16"}, "rows": {"rows": 50}}.get(
        change, {}
    )
    plan |= {"max_length": 6} if change == "tokens" else {}
    job = job_of(**plan)
    if change == "weights below":
        with torch.no_grad():
            job.backbone.net.bert.embeddings.word_embeddings.weight[7, 0] += 1e-3
    run(job, 1)
    assert len(list(stores().iterdir())) == 2 and "computing once" in said(job)


@pytest.mark.parametrize("change", ["weights above", "dropout", "learning rate", "seed"])
def test_what_they_do_not_depend_on_does_not(change: str, job_of) -> None:
    run(job_of(), 1)
    plan: dict[str, Any] = {"dropout": {"dropout": 0.3}, "learning rate": {"learning_rate": 1e-5}, "seed": {"seed": 5}}
    job = job_of(**plan.get(change, {}))
    if change == "weights above":
        with torch.no_grad():
            job.backbone.net.bert.encoder.layer[2].output.dense.weight += 1e-3
    run(job, 1)
    assert len(list(stores().iterdir())) == 1 and "in the store already" in said(job)


# Crashes and neighbours

BUILD = """
import os, signal, sys
from finetooth import prefix, durable
from finetooth.plan import Plan
from finetooth.prepare import Material
from finetooth.progress import Silent
from finetooth.readers import read
from finetooth.loop import fit
prefix.SECONDS = 0.0
prefix.BUDGETS["cpu"] = 64
whole, at, seen = prefix.write_text, int(sys.argv[3]), 0
def counting(path, text):
    global seen
    seen += 1
    if seen == at:
        os.kill(os.getpid(), signal.SIGKILL)
    whole(path, text)
prefix.write_text = counting
class Say(Silent):
    def say(self, text): print(text, flush=True)
plan = Plan.of({plan!r})
job = Material.of(read(sys.argv[1]), plan, sys.argv[2]).job(plan, progress=Say())
next(iter(fit(job.state(), job.batches, job.recipe, job.scores)))
print("whole")
"""


def build(reviews: Path, model: Path, at: int) -> subprocess.Popen[str]:
    code = BUILD.replace("{plan!r}", repr(PLAN))
    command = [sys.executable, "-c", code, str(reviews), str(model), str(at)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ.copy())


@pytest.mark.parametrize("store", [1, 2])
def test_ctrl_c_ends_the_building_of_a_store_and_the_run_goes_on_as_if_it_had_not(
    store: int, reviews: Path, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the first step, and where thawing asks for another store in the middle."""
    monkeypatch.setitem(prefix_module.BUDGETS, "cpu", 64)
    plan = Plan.of({**PLAN, "epochs": 3, "freeze": "embeddings", "unfreeze_every": 1.0})

    def go(out: str, progress: Progress, resume: bool = False) -> ft.Run:
        table = read(reviews)
        return ft.train(table, plan, model=str(tiny_bert), out=tmp_path / out, progress=progress, resume=resume)

    whole = go("whole", listening := Listener())
    assert sum("computing once" in line for line in listening.said) >= 2
    shutil.rmtree(stores())
    with pytest.raises(Interrupted, match=f"stopped after step {whole.epochs[0].step if store == 2 else 0};"):
        go("out", Press(store))
    assert not all((path / "finished").exists() for path in stores().iterdir())
    run = go("out", Listener(), resume=True)
    assert (run.model / "model.safetensors").read_bytes() == (whole.model / "model.safetensors").read_bytes()


def test_ctrl_c_ends_the_building_of_a_store_in_validation_and_search_too(
    reviews: Path, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(prefix_module.BUDGETS, "cpu", 64)
    table, plan, press = read(reviews), Plan.of({**PLAN, "epochs": 1}), Press(1)
    with pytest.raises(Interrupted, match="after 0 of 3 folds"):
        ft.validate(table, plan, model=str(tiny_bert), out=tmp_path / "folds", folds=3, progress=press)
    press.left = 1
    space = {"learning_rate": [1e-3, 2e-3]}
    with pytest.raises(Interrupted, match="in the middle of a trial"):
        ft.search(table, plan, space, model=str(tiny_bert), out=tmp_path / "search", tuner="grid", progress=press)


def test_what_every_fold_and_trial_has_to_say_of_the_store_is_said_once(reviews: Path, tmp_path: Path) -> None:
    tiny.save_model(tmp_path / "albert", tiny.config("albert"))
    table, plan, listening = read(reviews), Plan.of({**PLAN, "epochs": 1, "freeze": 1}), Listener()
    ft.validate(table, plan, model=str(tmp_path / "albert"), out=tmp_path / "folds", folds=3, progress=listening)
    assert sum("computed again each time" in line for line in listening.said) == 1, listening.said


def test_a_store_whose_building_was_killed_is_finished_and_the_same(
    job_of, reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(prefix_module.BUDGETS, "cpu", 64)
    run(job_of(), 1)
    whole = states_of(stores())
    for path in stores().rglob("*"):
        if path.is_file():
            path.unlink()
    for at in (1, 3, 10):
        process = build(reviews, tmp_path / "bert", at)
        process.communicate(timeout=120)
        assert process.returncode == -signal.SIGKILL
    job = job_of()
    run(job, 1)
    assert "computing once" in said(job)
    assert states_of(stores()) == whole


def test_two_processes_at_once_build_one_store(job_of, reviews: Path, tmp_path: Path) -> None:
    job_of()
    both = [build(reviews, tmp_path / "bert", -1) for _ in range(2)]
    told = [process.communicate(timeout=120)[0] for process in both]
    assert all(process.returncode == 0 and "whole" in text for process, text in zip(both, told, strict=True))
    assert len(list(stores().iterdir())) == 1
    assert len(states_of(stores())) == 1


def test_the_stores_that_were_not_used_for_longest_make_room(job_of) -> None:
    sizes = []
    for age, freeze in ((300, 1), (200, 2)):
        run(job_of(freeze=freeze), 1)
        newest = max((path / "states" for path in stores().iterdir()), key=lambda path: path.stat().st_mtime)
        sizes.append(newest.stat().st_size)
        os.utime(newest, (time.time() - age, time.time() - age))
    first = min(stores().iterdir(), key=lambda path: (path / "states").stat().st_mtime)
    run(job_of(freeze=3, cache=int(2.5 * sizes[0])), 1)
    assert not first.exists() and len(list(stores().iterdir())) == 2
    assert sum((path / "states").stat().st_size for path in stores().iterdir()) <= 2.5 * sizes[0]


def test_a_store_that_ends_too_soon_is_built_again(job_of) -> None:
    run(job_of(), 1)
    (file,) = stores().glob("*/states")
    whole = file.read_bytes()
    file.write_bytes(whole[:-100])
    job = job_of()
    run(job, 1)
    assert "computing once" in said(job) and file.read_bytes() == whole


def stopping(depth: int, epoch: float) -> float:
    """Freezing from below while the run goes on, the lowest block from the start (Brock et al. 2017, FreezeOut)."""
    return float(depth < 3 and epoch < {0: 9.0, 1: 0.7, 2: 0.4}[depth])


@pytest.mark.parametrize(("epochs", "kept"), [(1, [1]), (4, [1, 2, 3])])
def test_what_stops_on_the_way_leaves_the_store_below_it_in_use(job_of, epochs: int, kept: list[int]) -> None:
    plan = {"freeze": "auto", "rate": stopping, "epochs": epochs}
    plain, stored = (job_of(cache=cache, **plan) for cache in ("off", "auto"))
    learnt_alike(run(plain), run(stored))
    # What stops within the last pass is asked of each row once more at most, and pays for no store.
    assert [n for n in (1, 2, 3) if f"computing once what is frozen: {n} of 3 blocks" in said(stored)] == kept
    assert "in the store already" not in said(stored), "the same store again is nothing to be told"
    assert "computed again" not in said(stored)


def test_what_thaws_within_a_pass_is_not_stored_and_what_lies_below_it_is(job_of) -> None:
    """The second block opens after one epoch, the lowest half of one later."""
    plan = {"unfreeze_every": 0.5, "freeze": "auto", "epochs": 3}
    plain, stored = (job_of(cache=cache, **plan) for cache in ("off", "auto"))
    learnt_alike(run(plain), run(stored))
    assert said(stored).count("computing once") == 1 and "2 of 3 blocks" in said(stored)
