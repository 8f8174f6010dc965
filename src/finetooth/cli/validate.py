"""finetooth validate."""

from __future__ import annotations

from typing import Annotated

import typer

from finetooth.cli import shared


def validate(
    data: shared.Data,
    model: shared.Model,
    out: Annotated[str, typer.Option("--out", metavar="DIR", help="The directory to make.")],
    folds: Annotated[int, typer.Option("--folds", metavar="K", help="Into how many folds the rows are dealt.")],
    repeats: Annotated[
        int,
        typer.Option("--repeats", metavar="R", help="Deal the rows so many times, each with another training seed."),
    ] = 1,
    plan: shared.PlanFile = None,
    set: shared.Settings = None,
    rows: Annotated[
        int | None,
        typer.Option("--rows", min=2, help="Start small: at most so many rows of training and of validation."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after the folds that are finished.")] = False,
    jobs: Annotated[int, typer.Option("--jobs", metavar="N", min=1, help="So many processes share the folds.")] = 1,
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
    """Cross-validate a plan on the rows that are not sealed: how good it is, how sure, and which labels look wrong."""
    from finetooth.plan import Plan
    from finetooth.readers import read

    chosen = Plan.read(plan, set or ())
    chosen, metrics = shared.own_code(chosen, allow_code or ())
    table = read(data, **chosen.data.columns(input=input, label=label, group=group, time=time, id=id))
    with shared.Talk(json=json, quiet=quiet) as talk:
        talk.say(f"{len(table):,} rows read from {data}")
        from finetooth import validate as cross
        from finetooth.report import show_validated

        report = cross(
            table,
            chosen,
            model=model,
            out=out,
            folds=folds,
            repeats=repeats,
            rows=rows,
            resume=resume,
            jobs=jobs,
            metrics=metrics,
            progress=talk,
        )
        show_validated(report, talk.console)
        talk.say(f"report: {out}/report.html")
        talk.result({"run": out, **report})
