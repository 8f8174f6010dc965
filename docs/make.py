"""Write what the code knows better than we do: docs/cli.md and docs/plan.schema.json. `--check` only compares."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import typer
from typer.testing import CliRunner

from finetooth.cli.app import VERBS, app
from finetooth.plan import Plan

HERE = Path(__file__).parent


def cli() -> str:
    """Every verb's help, as it is printed."""
    pages = ["# The command line\n\nWritten by `make docs` from the program itself.\n"]
    for words in ([], *([verb] for verb in VERBS)):
        printed = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "100", "TERMINAL_WIDTH": "100"}).output
        lines = "\n".join(line.rstrip() for line in printed.strip("\n").splitlines())
        lines = lines.replace("Usage: root", "Usage: finetooth")
        pages.append(f"## {' '.join(['finetooth', *words])}\n\n```\n{lines}\n```\n")
    return "\n".join(pages)


def schema() -> str:
    """The JSON schema of a plan."""
    return json.dumps(Plan.model_json_schema(), indent=1) + "\n"


def main() -> None:
    made = {HERE / "cli.md": cli(), HERE / "plan.schema.json": schema()}
    stale = [path for path, text in made.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv[1:]:
        if stale:
            sys.exit(f"out of date: {', '.join(path.name for path in stale)}; run `make docs` and commit the result")
        return
    for path, text in made.items():
        path.write_text(text, encoding="utf-8")
        typer.echo(f"wrote {path.relative_to(HERE.parent)}")


if __name__ == "__main__":
    main()
