"""finetooth search."""

from __future__ import annotations

from typing import Annotated

import typer

from finetooth.cli import shared


def search(
    data: shared.Data,
    model: shared.Model,
    out: Annotated[str, typer.Option("--out", metavar="DIR", help="The directory to make.")],
    space: Annotated[
        str | None, typer.Option("--space", metavar="FILE", help="A range or a list for each key that varies, in YAML.")
    ] = None,
    set: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=RANGE", help="1e-5..1e-3:log, 0..4 or [16, 32]; one VALUE fixes it. May be repeated."
        ),
    ] = None,
    trials: Annotated[
        int | None, typer.Option("--trials", metavar="N", help="How many; a grid goes through all without it.")
    ] = None,
    tuner: Annotated[str, typer.Option("--tuner", help="What proposes values: bayes, gp, random or grid.")] = "bayes",
    folds: Annotated[
        int | None, typer.Option("--folds", metavar="K", help="Score by the mean over K folds of what is not sealed.")
    ] = None,
    prune: Annotated[
        str, typer.Option("--prune", help="What gives up a poor trial: none, median, halving or hyperband.")
    ] = "none",
    minutes: Annotated[
        float | None, typer.Option("--minutes", metavar="T", min=0, help="Begin no trial after so many minutes.")
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", metavar="N", min=1, help="So many processes share the work.")] = 1,
    storage: Annotated[
        str | None, typer.Option("--storage", metavar="URL", help="Keep the study in this storage of Optuna's.")
    ] = None,
    rows: Annotated[
        int | None, typer.Option("--rows", min=2, help="Start small: train on at most so many rows.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a search that was stopped.")] = False,
    plan: shared.PlanFile = None,
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
    """Try values of the plan, and tell which score best on the validation rows. The test rows stay sealed."""
    from finetooth.plan import Plan
    from finetooth.readers import read

    with shared.Talk(json=json, quiet=quiet) as talk:
        from finetooth.report.searched import show_search
        from finetooth.search import Space, parted
        from finetooth.search import search as seek

        ranges, fixed = parted(set or ())
        chosen, metrics = shared.own_code(Plan.read(plan, fixed), allow_code or ())
        varied = Space.read(space, ranges, chosen)
        table = read(data, **chosen.data.columns(input=input, label=label, group=group, time=time, id=id))
        talk.say(f"{len(table):,} rows read from {data}")
        for finding in table.found:
            talk.say(finding.told())
        content = seek(
            table,
            chosen,
            varied,
            model=model,
            out=out,
            trials=trials,
            tuner=tuner,
            folds=folds,
            prune=prune,
            minutes=minutes,
            jobs=jobs,
            storage=storage,
            rows=rows,
            resume=resume,
            metrics=metrics,
            progress=talk,
        )
        show_search(content, talk.console)
        talk.say(f"report: {content['path']}/report.html")
        talk.result(content)
