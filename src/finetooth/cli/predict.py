"""finetooth predict."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from finetooth.cli import shared

Precision = Literal["auto", "fp32", "bf16", "int8"]


def predict(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run directory.")],
    data: Annotated[str, typer.Argument(metavar="DATA", help="Rows to predict; they need no label.")],
    out: Annotated[str, typer.Option("--out", metavar="FILE", help="A .csv, .tsv, .jsonl or .parquet file to write.")],
    precision: Annotated[
        Precision,
        typer.Option(
            "--precision",
            help="Of the matrix products; int8 is a little quicker than bf16 and turns up to 4 answers in a hundred.",
        ),
    ] = "auto",
    input: shared.Input = None,
    id: shared.Id = None,
    json: shared.Json = False,
    quiet: shared.Quiet = False,
    debug: shared.Debug = False,
) -> None:
    """Write the tuned model's answer and probabilities for every row, in the rows' own order."""
    from pathlib import Path

    from finetooth.errors import UserError, nearest
    from finetooth.readers import read
    from finetooth.run import Run
    from finetooth.writers import WRITERS, write

    if Path(out).suffix not in WRITERS:
        raise UserError(f"--out {out}: {nearest(Path(out).suffix, WRITERS)}")
    opened = Run.open(run)
    columns = opened.columns
    with shared.Talk(json=json, quiet=quiet) as talk:
        table = read(data, input=input or ",".join(columns.input), id=id, labelled=False)
        for finding in table.found:
            talk.say(finding.told())
        from finetooth.evaluate import answers, replies
        from finetooth.machine import fast_bf16
        from finetooth.tasks import named

        kind = named(opened.plan.task).kind
        if kind == "numbers" and precision not in ("auto", "fp32"):
            raise UserError(
                f"--precision {precision}: would leave three digits of a number; {opened.plan.task} takes fp32."
            )
        chosen = ("bf16" if fast_bf16() and kind != "numbers" else "fp32") if precision == "auto" else precision
        p: Any = (replies if kind == "texts" else answers)(opened, table, table.ids, precision=chosen)
        write(Path(out), p, table)
        talk.say(f"{len(table):,} rows predicted in {chosen}: {out}")
        talk.result(
            {
                "run": str(opened.path),
                "out": out,
                "rows": len(table),
                "precision": chosen,
                "predicted": p.summary(),
            }
        )
