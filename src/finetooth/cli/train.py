"""finetooth train."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from finetooth.cli import shared


def train(
    data: shared.Data,
    model: shared.Model,
    out: Annotated[str, typer.Option("--out", metavar="RUN", help="The run directory to make.")],
    plan: shared.PlanFile = None,
    set: shared.Settings = None,
    rows: Annotated[
        int | None, typer.Option("--rows", min=2, help="Start small: train on at most so many rows.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")] = False,
    seeds: Annotated[
        int, typer.Option("--seeds", min=1, help="Train with so many training seeds, and tell the spread.")
    ] = 1,
    scratch: Annotated[
        bool, typer.Option("--scratch", help="Train the same network from scratch too, to compare with.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Two steps, then what the run will take.")] = False,
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
    """Tune a pre-trained model on labelled rows. The test rows stay sealed until `evaluate`."""
    from finetooth.errors import UserError
    from finetooth.plan import Plan
    from finetooth.readers import read

    if dry_run and (seeds > 1 or scratch):
        raise UserError("--dry-run foretells one run; leave --seeds and --scratch away.")
    chosen = Plan.read(plan, set or ())
    chosen, metrics = shared.own_code(chosen, allow_code or ())
    table = read(data, **chosen.data.columns(input=input, label=label, group=group, time=time, id=id))
    with shared.Talk(json=json, quiet=quiet) as talk:
        talk.say(f"{len(table):,} rows read from {data}")
        from finetooth import rehearse
        from finetooth import train as tune

        options: dict[str, Any] = {"model": model, "out": out, "rows": rows, "metrics": metrics, "progress": talk}
        if dry_run:
            foretold = rehearse(table, chosen, **options)
            talk.foretell(foretold)
            talk.result(foretold)
            return
        run = tune(table, chosen, resume=resume, seeds=seeds, scratch=scratch, **options)
        from finetooth.report import show

        report = run.json("report.json")
        show(report, talk.console)
        talk.say(f"report: {run.path / 'report.html'}")
        talk.result({"run": str(run.path), **report})
