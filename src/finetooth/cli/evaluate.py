"""finetooth evaluate."""

from __future__ import annotations

from typing import Annotated

import typer

from finetooth.cli import shared


def evaluate(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run directory.")],
    data: Annotated[
        str | None, typer.Argument(metavar="[DATA]", help="Other labelled rows, instead of the test rows.")
    ] = None,
    slice: Annotated[
        list[str] | None, typer.Option("--slice", metavar="COLUMN", help="Tell the scores by this column too.")
    ] = None,
    input: shared.Input = None,
    label: shared.Label = None,
    group: shared.Group = None,
    time: shared.Time = None,
    id: shared.Id = None,
    allow_code: shared.AllowCode = None,
    json: shared.Json = False,
    quiet: shared.Quiet = False,
    debug: shared.Debug = False,
) -> None:
    """Open the seal on the run's own test rows; with DATA, score other labelled rows."""
    from finetooth.errors import UserError
    from finetooth.readers import read
    from finetooth.run import Run

    opened = Run.open(run)
    columns = opened.columns
    table = None
    if data is not None:
        table = read(
            data,
            input=input or ",".join(columns.input),
            label=label or columns.label,
            group=group or columns.group,
            time=time or columns.time,
            id=id or columns.id,
        )
    metrics = shared.own_code(opened.plan, allow_code)[1] if allow_code else []
    with shared.Talk(json=json, quiet=quiet) as talk:
        for finding in table.found if table is not None else ():
            talk.say(finding.told())
        from finetooth import evaluate as judge
        from finetooth.evaluate import evaluate_rows, holds_seal
        from finetooth.report import show, show_scores

        if table is None or holds_seal(table, opened.split):
            if table is not None:
                talk.say(f"{data} holds the run's own sealed test rows: this opens the seal, as without DATA")
            report = judge(opened, table, metrics=metrics, slices=slice or ())
            show(report, talk.console)
            talk.say(f"report: {opened.path / 'report.html'}")
        elif slice:
            raise UserError("--slice tells the run's own test scores by a column; leave it away with other DATA.")
        else:
            report = evaluate_rows(opened, table, metrics=metrics)
            show_scores(report, talk.console)
        talk.result({"run": str(opened.path), **report})
