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
from finetooth.readers import read
from finetooth.report import detail, opened, with_intervals, write_report
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
    clock = perf_counter()
    _enter(run, f"evaluate {run.path.resolve().name}")
    run.write_predictions("test", answers(run, table, split.test))
    kept = run.json("machine.json")
    kept["seconds"]["evaluate"] += perf_counter() - clock
    run.write("machine.json", {**kept, "peak_memory_bytes": max(kept["peak_memory_bytes"], machine.peak_memory())})
    report = opened(run.json("report.json"), run, table, _metrics(run, metrics))
    write_report(run, report)
    return report


def evaluate_rows(run: Run | str | Path, table: Table, *, metrics: Sequence[Metric] = ()) -> dict[str, Any]:
    """Score the tuned model on other labelled rows, in fp32, with intervals; the run's report stays as it is.

    Says how many of the rows the model was trained on or chosen by; sealed rows among them count as an opening.
    """
    run = _ended(run)
    known = set(run.json("data.json")["names"])
    strange = sorted({str(label) for label in table.labels if label not in known})
    if strange:
        raise DataError(
            f"{table.source}: the label {', '.join(repr(s) for s in strange[:3])} is not one that the model knows "
            f"({', '.join(sorted(known)[:8])})."
        )
    ids, split = set(table.ids), run.split
    seen = {part: len(ids.intersection(getattr(split, part))) for part in ("train", "validation", "test")}
    if seen["test"]:
        _enter(run, f"evaluate {Path(table.source).name}, {seen['test']} of the sealed rows in it")
    p = answers(run, table, table.ids)
    return {
        "run": str(run.path),
        "data": table.source,
        "rows": len(table),
        "rows_of_the_run": seen,
        "scores": with_intervals(p, _metrics(run, metrics)),
        "detail": detail(p, table),
    }


def answers(
    run: Run | str | Path, table: Table, ids: Sequence[str], *, precision: Literal["fp32", "bf16"] = "fp32"
) -> Predictions:
    """What the tuned model says of these rows of the table."""
    run, device = _ended(run), machine.device()
    names, plan = run.json("data.json")["names"], run.plan
    task = TASKS[plan.task]
    net, tokenizer = load_tuned(run.model)
    encoded = task.encode(table, ids, names, tokenizer, int(plan.max_length))
    return predict(net.to(device), task, encoded, names, pad=tokenizer.pad_token_id, precision=precision, device=device)


def reread(run: Run) -> Table:
    """The data that the run was made from, read again. Raises RunError when it is no longer where it was."""
    source, columns = run.json("data.json")["source"], run.columns
    if not Path(source).exists():
        raise RunError(
            f"{run.path}: its data, {source}, is no longer there; if it moved, name it: `finetooth evaluate RUN DATA`."
        )
    return read(source, input=",".join(columns.input), label=columns.label, group=columns.group, id=columns.id)


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
    entry = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "purpose": purpose,
        "test": split.digest,
        "model": model,
    }
    users = cache() / "ledger" / f"{split.digest}.jsonl"
    openings = len(ledger.append(users, entry))
    ledger.append(run.ledger, {**entry, "opening": openings})
