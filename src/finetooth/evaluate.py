"""Open the seal: a run's test rows, or other labelled rows, scored by the tuned model."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import file_digest
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

from finetooth import ledger, machine
from finetooth.backbones import load_tuned
from finetooth.errors import DataError, RunError
from finetooth.metrics import Metric
from finetooth.packaged import cache
from finetooth.predict import predict
from finetooth.readers import HUB, read
from finetooth.report import detail, opened, up_to_date, with_intervals, write_report
from finetooth.run import Run
from finetooth.table import Predictions, Split, Table
from finetooth.tasks import TASKS


def evaluate(run: Run | str | Path, table: Table | None = None, *, metrics: Sequence[Metric] = ()) -> dict[str, Any]:
    """Open the seal on the run's test rows, score the tuned model on them in fp32, and write the report anew.

    `table` is the run's own data, where it has moved. The opening is entered in the ledger of the run and in the
    user's, where openings are counted by test rows: fifty runs on the same ones are fifty openings. Returns the
    content of report.json. Raises RunError when the test rows are not those that were sealed.
    """
    run = _ended(run)
    split = run.split
    if not split.test:
        raise RunError(f"{run.path}: the run was made without test rows (split.test: 0), so there is nothing to open.")
    table = table or reread(run)
    if not holds_seal(table, split):
        raise RunError(
            f"{table.source}: these are not the {len(split.test):,} test rows that were sealed when the run began; "
            f"some were changed or are missing. Score other rows with `finetooth evaluate RUN DATA`."
        )
    clock, known = perf_counter(), _metrics(run, metrics)
    tuned = load_tuned(run.model)  # before the seal is opened: a model that does not load has seen nothing
    _enter(run, f"evaluate {run.path.resolve().name}")
    run.write_predictions("test", _answers(run, tuned, table, split.test, "fp32"))
    report = opened(run.json("report.json"), run, table, known)
    kept = run.json("machine.json")
    kept["seconds"]["evaluate"] += perf_counter() - clock
    run.write("machine.json", {**kept, "peak_memory_bytes": max(kept["peak_memory_bytes"], machine.peak_memory())})
    return _written(run, report)


def evaluate_rows(run: Run | str | Path, table: Table, *, metrics: Sequence[Metric] = ()) -> dict[str, Any]:
    """Score the tuned model on other labelled rows, in fp32, with intervals; the run's own scores stay as they are.

    Says how many of the rows have the inputs of rows that the run was trained on, chosen by, or keeps sealed; sealed
    ones among them count as an opening.
    """
    run = _ended(run)
    known = set(run.json("data.json")["names"])
    strange = [i for i, label in enumerate(table.labels) if label not in known]
    if strange:
        raise DataError(
            f"{table.place(strange[0])}: the label {table.labels[strange[0]]!r} is not one that the model knows "
            f"({', '.join(sorted(known)[:8])}); {len(strange):,} rows are like it."
        )
    seen = {part: sum(c in digests for c in table.contents) for part, digests in _contents(run).items()}
    p = answers(run, table, table.ids)
    return {
        "run": str(run.path),
        "data": table.source,
        "rows": len(table),
        "rows_of_the_run": seen,
        "openings": run.json("report.json")["seal"]["openings"],
        "scores": with_intervals(p, _metrics(run, metrics)),
        "detail": detail(p, table),
    }


def answers(
    run: Run | str | Path, table: Table, ids: Sequence[str], *, precision: Literal["fp32", "bf16"] = "fp32"
) -> Predictions:
    """What the tuned model says of these rows of the table.

    Sealed rows among them count as an opening when their labels are there to be compared with.
    """
    run = _ended(run)
    tuned, sealed = load_tuned(run.model), _contents(run)["test"]
    rows = [table.position[i] for i in ids]
    looked_at = sum(table.contents[r] in sealed and table.labels[r] is not None for r in rows)
    if looked_at:
        _enter(run, f"{looked_at} of the sealed rows in {Path(table.source).name}")
        _written(run, run.json("report.json"))
    return _answers(run, tuned, table, ids, precision)


def _answers(run: Run, tuned: tuple[Any, Any], table: Table, ids: Sequence[str], precision: str) -> Predictions:
    (net, tokenizer), plan, device = tuned, run.plan, machine.device()
    task, names = TASKS[plan.task], run.json("data.json")["names"]
    encoded = task.encode(table, ids, names, tokenizer, int(plan.max_length))
    return predict(net.to(device), task, encoded, names, pad=tokenizer.pad_token_id, precision=precision, device=device)


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
    """Whether the table holds every sealed row, unchanged."""
    return all(row_id in table.position for row_id in split.test) and table.digest(split.test) == split.digest


def _ended(run: Run | str | Path) -> Run:
    run = run if isinstance(run, Run) else Run.open(run)
    if not run.finished:
        raise RunError(f"{run.path}: training has not ended; go on with it by adding --resume to its command.")
    return run


def _metrics(run: Run, further: Sequence[Metric]) -> dict[str, Metric]:
    return {**TASKS[run.plan.task].metrics, **{metric.name: metric for metric in further}}


def _enter(run: Run, purpose: str) -> None:
    """One more opening of these test rows, in the user's ledger first, since it is the one that counts."""
    split = run.split
    with open(run.model / "model.safetensors", "rb") as weights:
        model = file_digest(weights, "sha256").hexdigest()
    before, head = ledger.read(run.ledger), run.json("report.json")["seal"]["head"]
    # The ledger may be ahead of the report, where an evaluation was stopped on its way, but never behind it.
    if head is not None and head not in {entry["digest"] for entry in before}:
        raise RunError(f"{run.ledger}: the opening that the report names is not in it; openings were taken away.")
    entry = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "purpose": purpose,
        "test": split.digest,
        "model": model,
        "opening": before[-1]["opening"] + 1 if before else 1,
    }
    users = ledger.append(cache() / "ledger" / f"{split.digest}.jsonl", entry)
    ledger.append(run.ledger, {**entry, "opening": users["opening"]})
