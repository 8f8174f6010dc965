"""Write what the code knows better than we do: cli.md, plan.md and plan.schema.json. `--check` only compares."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import typer
from pydantic.fields import FieldInfo
from typer.testing import CliRunner

from finetooth.cli.app import VERBS, app
from finetooth.plan import LATER, PRESETS, SYNONYMS, Plan, sections_of

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


def plan() -> str:
    """A table of the plan's keys, from the words that stand beneath them in plan.py."""
    lines = [
        "# The plan\n",
        "Written by `make docs` from `src/finetooth/plan.py`. Keys go into a YAML file (`--plan FILE`) or behind",
        "`--set` (`--set epochs=3 --set split.preset=70-15-15`); every one may be left away. What stands at `auto` is",
        "decided from the rows, the model and the machine, and written with its reason into the run's `plan.yaml`,",
        "which `--plan` takes.",
        f"\nHugging Face's names are accepted: {', '.join(f'`{a}` for `{b}`' for a, b in SYNONYMS.items())},",
        "`bf16: true` and `fp32: true` for `precision`.",
        "\n| key | default | meaning |\n|---|---|---|",
    ]
    for name, field in Plan.model_fields.items():
        sections = sections_of(field)
        if not sections or field.default is None:
            lines.append(_row(name, field))
        below = {key: inner for section in reversed(sections) for key, inner in section.model_fields.items()}
        lines += [_row(f"{name}.{key}", inner) for key, inner in below.items()]
    lines.append(f"\n`split.preset` sets the three shares at once: {', '.join(PRESETS)}.")
    lines.append(f"\nKeys that are to come, and refused until then: {', '.join(f'`{key}`' for key in LATER)}.")
    return "\n".join(lines) + "\n"


def _row(name: str, field: FieldInfo) -> str:
    default = "null" if field.default is None else str(field.default).lower()
    said = " ".join(str(field.description).split())  # a cell is one line
    return f"| `{name}` | `{default}` | {said} |"


def schema() -> str:
    """The JSON schema of a plan."""
    return json.dumps(Plan.model_json_schema(), indent=1) + "\n"


def main() -> None:
    made = {HERE / "cli.md": cli(), HERE / "plan.md": plan(), HERE / "plan.schema.json": schema()}
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
