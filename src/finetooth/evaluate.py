"""Open the seal: a run's test rows, or other labelled rows, scored by the tuned model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from finetooth import ledger, machine
from finetooth.baselines import Reader, Rows
from finetooth.conclude import as_it_was, asked_again
from finetooth.converse import Replies, answered, compared
from finetooth.errors import RunError
from finetooth.metrics import Metric, units_of
from finetooth.packaged import cache
from finetooth.perturb import OF_WORDS, PERTURBATIONS, perturbed, perturbed_words, robustness
from finetooth.perturb_images import IMAGE_PERTURBATIONS, perturbed_images
from finetooth.predict import exact, predict, preferred
from finetooth.readers import HUB, read
from finetooth.report import detail, opened, up_to_date, with_intervals, write_report
from finetooth.run import WEIGHTS, Run
from finetooth.slices import refuse_unknown
from finetooth.slices import slices as by_slice
from finetooth.table import Answers, Split, Table
from finetooth.tags import Tags
from finetooth.tasks import Encoded, Preference, Task, Writing, named, places, reading


def evaluate(
    run: Run | str | Path, table: Table | None = None, *, metrics: Sequence[Metric] = (), slices: Sequence[str] = ()
) -> dict[str, Any]:
    """Open the seal on the run's test rows, score the tuned model on them in fp32 (answers in words as the run does),
    and write the report anew.

    `table` is the run's own data, where it has moved; `slices` are columns to tell the scores by, besides the plan's.
    The opening is entered in the ledger of the run and in the user's, where openings are counted by test rows: fifty
    runs on the same ones are fifty openings. Returns the content of report.json. Raises RunError when the test rows are
    not those that were sealed.
    """
    run = ended(run)
    split = run.split
    if not split.test:
        raise RunError(f"{run.path}: the run was made without test rows (split.test: 0), so there is nothing to open.")
    table = table or reread(run)
    if difference := _difference(table, split):
        raise RunError(
            f"{table.source}: these are not the {len(split.test):,} test rows that were sealed when the run began: "
            f"{difference}. Put the data back as they were; other rows are scored with `finetooth evaluate RUN DATA`."
        )
    refuse_unknown(table, slices)
    clock, known = perf_counter(), known_metrics(run, metrics)
    beside = [each for each in run.other_seeds.values() if each.finished]
    for each in [*beside, *([Run(run.scratch)] if Run(run.scratch).finished else [])]:
        each.refuse_other_model()
    # Before the seal is opened: a model that does not load has seen nothing. Answers in words have no other baseline.
    task = _task(run)
    tuned, untouched = _tuned(run), _untuned(run) if task.kind == "texts" else None
    _enter(run, f"evaluate {run.path.resolve().name}")
    precision = exact(task, run.plan.precision)
    test = _encoded(run, tuned[1], untouched, table, split.test, precision)
    run.write_predictions("test", _answers(run, tuned, test, precision))
    for other in beside:
        other.write_predictions("test", _answers(other, _tuned(other), test, precision))
    missing = dict[str, str]()
    if untouched is None:
        others, missing = asked_again(run, table, _rows(run, table, split.test))
    elif isinstance(task, Preference):
        others = {"untuned": task.untuned(test.ids)}
    else:
        others = {"untuned": _answers(run, untouched, test, precision)}
    for name, p in others.items():
        run.write_predictions(f"test-{name}", p)
    report = opened(run.json("report.json"), run, table, known, others, missing)
    goal = known[report["goal"]["metric"]]
    if untouched is None:
        report |= _looked_into(run, tuned, table, goal, slices)
    else:
        report |= _conversed(run, untouched, tuned, table, test, goal, slices)
    kept = run.json("machine.json")
    kept["seconds"]["evaluate"] += perf_counter() - clock
    run.write("machine.json", {**kept, "peak_memory_bytes": max(kept["peak_memory_bytes"], machine.peak_memory())})
    return _written(run, report)


def evaluate_rows(run: Run | str | Path, table: Table, *, metrics: Sequence[Metric] = ()) -> dict[str, Any]:
    """Score the tuned model on other labelled rows, in fp32, with intervals; the run's own scores stay as they are.

    Says how many of the rows have the inputs of rows that the run was trained on, chosen by, or keeps sealed; sealed
    ones among them count as an opening.
    """
    run = ended(run)
    _task(run).refuse_strange(table, run.json("data.json")["names"])
    seen = {part: sum(c in digests for c in table.contents) for part, digests in _contents(run).items()}
    p = answers(run, table, table.ids)
    return {
        "run": str(run.path),
        "data": table.source,
        "rows": len(table),
        "rows_of_the_run": seen,
        "openings": run.json("report.json")["seal"]["openings"],
        "scores": with_intervals(p, known_metrics(run, metrics), table.groups_of(p.ids)),
        "detail": detail(p, table),
    }


def answers(
    run: Run | str | Path, table: Table, ids: Sequence[str], *, precision: Literal["fp32", "bf16", "int8"] = "fp32"
) -> Answers:
    """What the tuned model says of these rows of the table.

    Sealed rows among them count as an opening when their labels are there to be compared with.
    """
    run = ended(run)
    tuned, untouched = _tuned(run), _untuned(run) if isinstance(_task(run), Preference) else None
    # A whole conversation holds its answers, and has no label beside them.
    whole = table.columns.talk and table.columns.label is None
    _count_sealed(run, table, [i for i in ids if whole or table.labels[table.position[i]] is not None])
    p = _answers(run, tuned, _encoded(run, tuned[1], untouched, table, ids, precision), precision)
    return replace(p, places=places(table, ids, tuned[1])) if isinstance(p, Tags) else p


def replies(
    run: Run | str | Path,
    table: Table,
    ids: Sequence[str],
    tokens: int | None = None,
    *,
    precision: Literal["fp32", "bf16", "int8"] = "fp32",
) -> Replies:
    """What the tuned model, which answers in words, writes to these rows, at most so many tokens each.

    Sealed rows among them count as an opening. Raises RunError where it answers otherwise, and for int8.
    """
    run = ended(run)
    task = _task(run)
    if not isinstance(task, Writing):
        raise RunError(f"{run.path}: its task is {run.plan.task}, which writes nothing; ask for its answers instead.")
    if precision == "int8":
        raise RunError(
            f"precision int8: is for answers that are one of several; {run.plan.task} writes its own, in fp32 or bf16."
        )
    net, tokenizer = _tuned(run)
    _count_sealed(run, table, ids)
    length, room = int(run.plan.max_length), tokens or task.longest
    return Replies(list(ids), answered(task, net, tokenizer, table, ids, length, room, precision))


def _count_sealed(run: Run, table: Table, ids: Sequence[str]) -> None:
    """Sealed rows among these count as an opening."""
    sealed = _contents(run)["test"]
    if looked_at := sum(table.contents[table.position[i]] in sealed for i in ids):
        _enter(run, f"{looked_at} of the sealed rows in {Path(table.source).name}")
        _written(run, run.json("report.json"))


def _looked_into(
    run: Run, tuned: tuple[Any, Any], table: Table, goal: Metric, columns: Sequence[str]
) -> dict[str, Any]:
    """Where the model is weak: the goal by kinds of rows, and on rows that were spoiled a little."""
    p, plan, rows = run.predictions("test"), run.plan, _rows(run, table, run.split.test)
    reader = Reader(*tuned, rows.task, int(plan.max_length), plan.precision)
    test = replace(rows, encoded=reader.encoded(rows))
    # The rows as they are in the same precision: no rounding is taken for what a perturbation costs.
    clean = p if plan.precision == "fp32" else reader.predict(test).ruled(p.decisions)
    answered, changed = {}, {}
    for name, spoiled, other in _spoiled(test):
        said = clean.said.copy()
        if len(other):
            said[other] = reader.predict(spoiled.take(other)).said
        answered[name], changed[name] = clean.about(clean.ids, clean.labels, said), len(other)
    lengths: dict[str, int] = {}
    if test.encoded is not None and not test.images:  # images are all of one size
        lengths = dict(zip(test.ids, test.encoded.whole.tolist(), strict=True))
    return {
        "slices": by_slice(p, table, lengths, goal, columns=[*plan.slices, *columns]),
        "robustness": robustness(goal, clean, answered, changed, units_of(table.groups_of(p.ids), len(p.ids))),
    }


def _conversed(
    run: Run,
    untouched: tuple[Any, Any],
    tuned: tuple[Any, Any],
    table: Table,
    test: Encoded,
    goal: Metric,
    columns: Sequence[str],
) -> dict[str, Any]:
    """The same where answers are in words: the goal by kinds of rows, and what both models write."""
    p, plan, task = run.predictions("test"), run.plan, _task(run)
    tokens = test.whole if isinstance(task, Preference) else test.counts
    assert isinstance(task, Writing), "answers in words are written"
    lengths = dict(zip(test.ids, tokens.tolist(), strict=True))
    said = compared(task, untouched, tuned, table, p.ids, int(plan.max_length), plan.precision)
    found = by_slice(p, table, lengths, goal, columns=[*plan.slices, *columns])
    return {"slices": found, "robustness": None, "written": said}


def _task(run: Run) -> Task:
    """The run's task, which reads long texts as the run did."""
    plan = run.plan
    return reading(named(plan.task), plan.long)


def _rows(run: Run, table: Table, ids: Sequence[str]) -> Rows:
    return Rows.of(table, ids, run.json("data.json")["names"], _task(run))


def _spoiled(test: Rows) -> Iterator[tuple[str, Rows, NDArray[np.int64]]]:
    """Each perturbation by name, the rows under it, and which of them it changed."""
    every = np.arange(len(test.ids))
    if test.encoded is not None and test.encoded.pixels is not None:
        for name in IMAGE_PERTURBATIONS:
            pixels = perturbed_images(test.encoded.pixels, test.ids, name)
            yield name, replace(test, encoded=replace(test.encoded, pixels=pixels)), every
        return
    if test.task.kind == "tags":
        for name in OF_WORDS:
            words = perturbed_words(test.words, test.ids, name)
            inputs = [(json.dumps(row, ensure_ascii=False),) for row in words]
            changed = [now != before for now, before in zip(words, test.words, strict=True)]
            yield name, replace(test, inputs=inputs, encoded=None), every[changed]
        return
    for name in PERTURBATIONS:
        texts = [perturbed(column, test.ids, name) for column in zip(*test.inputs, strict=True)]
        spoiled = replace(test, inputs=[*zip(*texts, strict=True)], encoded=None)
        yield (
            name,
            spoiled,
            every[[now != tuple(before) for now, before in zip(spoiled.inputs, test.inputs, strict=True)]],
        )


def _tuned(run: Run) -> tuple[Any, Any]:
    """The network and tokenizer of the run. Raises RunError when they are not those that training left."""
    tuned: tuple[Any, Any] = _task(run).tuned(run.model)
    run.refuse_other_model()
    return tuned


def _untuned(run: Run) -> tuple[Any, Any]:
    """The network and tokenizer that the run tuned, before that. Raises UserError where they cannot be had."""
    untouched = as_it_was(run)
    return untouched.net, untouched.tokenizer


def _encoded(
    run: Run, tokenizer: Any, untouched: tuple[Any, Any] | None, table: Table, ids: Sequence[str], precision: str
) -> Encoded:
    """These rows as the run's networks read them; of two answers with what the one before tuning prefers."""
    task, device = _task(run), machine.device()
    encoded = task.encode(table, ids, run.json("data.json")["names"], tokenizer, int(run.plan.max_length))
    if not isinstance(task, Preference):
        return encoded
    assert untouched is not None, "it was loaded before the rows were looked at"
    net, how = untouched[0].to(device), {"pad": tokenizer.pad_token_id, "precision": precision, "device": device}
    return replace(encoded, targets=preferred(net, task, encoded, **how))


def _answers(run: Run, tuned: tuple[Any, Any], encoded: Encoded, precision: str) -> Answers:
    (net, tokenizer), device, names = tuned, machine.device(), run.json("data.json")["names"]
    how: dict[str, Any] = {"pad": tokenizer.pad_token_id, "precision": precision, "device": device}
    return predict(net.to(device), _task(run), encoded, names, **how).ruled(run.decisions)


def _written(run: Run, report: dict[str, Any]) -> dict[str, Any]:
    """The report with the present count of openings, written."""
    report = up_to_date(report, run)
    write_report(run, report)
    return report


def _contents(run: Run) -> dict[str, set[str]]:
    """The digests of the inputs of each part."""
    return {part: set(digests) for part, digests in run.split.contents.items()}


def reread(run: Run) -> Table:
    """The data that the run was made from, read again. Raises RunError when it is no longer where it was."""
    source, columns = run.json("data.json")["source"], run.columns
    if not source.startswith(HUB) and not Path(source).exists():
        raise RunError(
            f"{run.path}: its data, {source}, is no longer there; if it moved, name it: `finetooth evaluate RUN DATA`."
        )
    rest: dict[str, Any] = {role: name for role, name in columns.roles().items() if role != "input"}
    return read(source, input=",".join(columns.input), **rest)


def holds_seal(table: Table, split: Split) -> bool:
    """Whether the table holds every sealed row, unchanged, and in a test part of its own no other."""
    return _difference(table, split) is None


def _difference(table: Table, split: Split) -> str | None:
    """How the table's test rows differ from the sealed ones, in a clause; None when they do not."""
    sealed = set(split.test)
    if missing := sum(row_id not in table.position for row_id in sealed):
        return f"{missing:,} of them are not there, or not with this text"
    if table.digest(sealed) != split.digest:
        return "each is there, but of some the label, or what else stands in the row, was changed"
    added = [i for i, part in enumerate(table.parts) if part == "test" and table.ids[i] not in sealed]
    return f"{len(added):,} were added to the test part ({table.place(added[0])})" if added else None


def ended(run: Run | str | Path) -> Run:
    """A run whose training has ended. Raises RunError."""
    run = run if isinstance(run, Run) else Run.open(run)
    if run.folds.is_dir():
        raise RunError(
            f"{run.path}: is a cross-validation, which keeps no model; train one with `finetooth train DATA --plan "
            f"{run.path / 'plan.yaml'}`."
        )
    if not run.finished:
        raise RunError(f"{run.path}: training has not ended; go on with it by adding --resume to its command.")
    run.refuse_tampering()
    return run


def known_metrics(run: Run, further: Sequence[Metric]) -> dict[str, Metric]:
    """The metrics of the run's task by name, and further ones."""
    task, names = _task(run), run.json("data.json")["names"]
    return {**task.metrics(names), **{metric.name: metric for metric in further}}


def _enter(run: Run, purpose: str) -> None:
    """One more opening of these test rows, in the user's ledger, the one that counts, and in the run's.

    An edited ledger is refused. A user's ledger that is gone, or that lacks its last lines, is not: a run that came
    from another machine looks the same, and so does a cache that was emptied. The count then goes on from what the
    run itself knows, so that it never goes back; what only other runs knew is no longer in it.
    """
    digest = run.split.digest
    entry = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "purpose": purpose,
        "test": digest,
        "model": run.sealed[WEIGHTS],
    }
    ledger.append(run.ledger, entry, cache() / "ledger" / f"{digest}.jsonl")
