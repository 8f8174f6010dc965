"""finetooth compare."""

from __future__ import annotations

from typing import Annotated

import typer

from finetooth.cli import shared


def compare(
    first: Annotated[str, typer.Argument(metavar="RUN", help="A run directory.")],
    second: Annotated[str, typer.Argument(metavar="RUN", help="Another one, of the same rows.")],
    test: Annotated[bool, typer.Option("--test", help="On the sealed rows: opens both runs' seals.")] = False,
    allow_code: shared.AllowCode = None,
    json: shared.Json = False,
    quiet: shared.Quiet = False,
    debug: shared.Debug = False,
) -> None:
    """Whether one run is better than another on the same rows, and how sure that is."""
    from finetooth.run import Run

    opened = Run.open(first)
    metrics = shared.own_code(opened.plan, allow_code)[1] if allow_code else []
    with shared.Talk(json=json, quiet=quiet) as talk:
        from finetooth.compare import compare as weigh
        from finetooth.report import show_comparison

        content = weigh(opened, second, test=test, metrics=metrics)
        show_comparison(content, talk.console)
        talk.result(content)
