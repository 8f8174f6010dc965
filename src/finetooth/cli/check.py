"""finetooth check."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from finetooth.cli import shared


def check(
    data: Annotated[str, typer.Argument(metavar="DATA", help="Rows to look through.")],
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="TARGET", help="Unlabelled rows of the place where the model will work."),
    ] = None,
    fix: Annotated[
        str | None,
        typer.Option("--fix", metavar="OUT", help="Write the cleaned rows here, and a log that can undo it."),
    ] = None,
    html: Annotated[str | None, typer.Option("--html", metavar="FILE", help="Write a page to review the rows.")] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="M", help="Ask this model too: what it would cut, which labels look wrong."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 when a finding is an error.")] = False,
    plan: shared.PlanFile = None,
    set: shared.Settings = None,
    input: shared.Input = None,
    label: shared.Label = None,
    group: shared.Group = None,
    time: shared.Time = None,
    id: shared.Id = None,
    json: shared.Json = False,
    quiet: shared.Quiet = False,
    debug: shared.Debug = False,
) -> None:
    """Look through the rows: copies, leaks, wrong labels, giveaways, and what else spoils a tuning. Changes nothing."""
    from pathlib import Path

    from finetooth.check import check as look
    from finetooth.durable import write_text
    from finetooth.errors import DataError
    from finetooth.plan import Plan
    from finetooth.readers import read
    from finetooth.repair import fix as repair
    from finetooth.report.checked import numbers, page, show_checked

    chosen = Plan.read(plan, set or ())
    columns = chosen.data.columns(input=input, label=label, group=group, time=time, id=id)
    with shared.Talk(json=json, quiet=quiet) as talk:
        table = read(data, **columns, labelled=False)
        talk.say(f"{len(table):,} rows read from {data}")
        target = None if against is None else read(against, input=",".join(table.columns.input), labelled=False)
        more: dict[str, Any] = {}
        if model is not None:
            from finetooth.predict import asked

            most = None if chosen.max_length == "auto" else int(chosen.max_length)
            more = asked(table, model, max_length=most, progress=talk.counted("reading with the model"))
        checked = look(table, against=target, progress=talk.stage, **more, **chosen.split.model_dump())
        content = numbers(checked)
        if not json:
            show_checked(content, talk.console)
        if html is not None:
            try:
                write_text(Path(html), page(content))
            except OSError as error:
                raise DataError(f"--html {html}: cannot be written: {error.strerror or error}.") from error
            talk.say(f"page: {html}")
        elif checked.findings:
            talk.say("which rows: --html FILE writes a page with them, --json has them all")
        if fix is not None:
            changes, log = repair(checked, Path(fix))
            dropped, changed = (sum(change.action == action for change in changes) for action in ("drop", "change"))
            talk.say(f"{fix}: {dropped:,} rows left out, {changed:,} cells changed; each is in {log}")
            content["fixed"] = {"out": fix, "log": str(log), "dropped": dropped, "changed": changed}
        talk.result(content)
    if strict and checked.errors:
        raise typer.Exit(1)
