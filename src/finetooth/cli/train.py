"""finetooth train."""

from __future__ import annotations

from typing import Annotated

import typer

from finetooth.cli import shared


def train(
    data: Annotated[str, typer.Argument(metavar="DATA", help="A .csv, .tsv, .jsonl or .parquet file, or a folder.")],
    model: Annotated[str, typer.Option("--model", metavar="M", help="A directory, a Hub id, or minilm.")],
    out: Annotated[str, typer.Option("--out", metavar="RUN", help="The run directory to make.")],
    plan: shared.PlanFile = None,
    set: shared.Settings = None,
    rows: Annotated[
        int | None, typer.Option("--rows", min=2, help="Start small: train on at most so many rows.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")] = False,
    input: shared.Input = None,
    label: shared.Label = None,
    group: shared.Group = None,
    id: shared.Id = None,
    allow_code: shared.AllowCode = None,
    json: shared.Json = False,
    quiet: shared.Quiet = False,
    debug: shared.Debug = False,
) -> None:
    """Tune a pre-trained model on labelled rows. The test rows stay sealed until `evaluate`."""
    from finetooth.plan import Plan
    from finetooth.readers import read

    chosen = Plan.read(plan, set or ())
    metrics = shared.allowed_metrics(chosen, allow_code or ())
    table = read(data, **chosen.data.columns(input=input, label=label, group=group, id=id))
    with shared.Talk(json=json, quiet=quiet) as talk:
        talk.say(f"{len(table):,} rows read from {data}")
        from finetooth.train import train as tune

        run = tune(
            table,
            chosen,
            model=model,
            out=out,
            rows=rows,
            resume=resume,
            metrics=metrics,
            progress=talk,
        )
        from finetooth.report import show

        report = run.json("report.json")
        show(report, talk.console)
        talk.say(f"report: {run.path / 'report.html'}")
        talk.result({"run": str(run.path), **report})
