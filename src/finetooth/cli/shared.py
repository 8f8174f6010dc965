"""What several verbs share: their options, and how they talk to people and to programs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from finetooth.history import Step

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars

    from finetooth.metrics import Metric
    from finetooth.plan import Plan

Input = Annotated[str | None, typer.Option("--input", metavar="COL", help="The column with the text.")]
Label = Annotated[str | None, typer.Option("--label", metavar="COL", help="The column with the label.")]
Group = Annotated[str | None, typer.Option("--group", metavar="COL", help="Rows of one group stay in one part.")]
Id = Annotated[str | None, typer.Option("--id", metavar="COL", help="The column with a unique id.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output, nothing else there.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Say nothing but errors.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show where an unforeseen error came from.")]
AllowCode = Annotated[
    list[str] | None,
    typer.Option("--allow-code", metavar="MODULE", help="Let the plan name things in this module."),
]
PlanFile = Annotated[str | None, typer.Option("--plan", metavar="FILE", help="A plan in YAML.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set a value of the plan; may be repeated."),
]


class Talk:
    """People's output goes to standard error, bars on a terminal only; programs' output is one JSON object."""

    def __init__(self, *, json: bool, quiet: bool) -> None:
        from rich.console import Console

        self.json, self.quiet = json, quiet
        self.console: Console = Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)
        self._bars: Bars | None = None
        self._began = self._told = time.monotonic()

    def __enter__(self) -> Talk:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def say(self, text: str) -> None:
        """One line for people."""
        if self.console.is_terminal:
            self.console.print(text, style="dim", markup=False)
        else:
            self.console.print(f"{time.strftime('%H:%M:%S')} {text}", markup=False)

    def step(self, step: Step) -> None:
        """A bar with the time left on a terminal; otherwise a line every half minute and at each evaluation."""
        if self.console.is_terminal:
            self._bar(step)
        if step.ended is not None:
            scores = ", ".join(f"{name} {step.ended.scores[name]:.4f}" for name in ("loss", "accuracy", "macro_f1"))
            self.say(
                f"epoch {step.ended.epoch:g}: training loss {step.ended.loss:.4f}, validation {scores}, "
                f"{step.ended.rows_per_second:.0f} rows/s"
            )
        elif not self.console.is_terminal and time.monotonic() - self._told > 30:
            spent = time.monotonic() - self._began
            left = spent / step.step * (step.steps - step.step)
            self.say(f"step {step.step} of {step.steps}, loss {step.loss:.4f}, about {left:.0f} s left")
            self._told = time.monotonic()

    def _bar(self, step: Step) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        if self._bars is None:
            self._bars = Progress(
                TextColumn("training"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("loss {task.fields[loss]:.3f}"),
                TimeRemainingColumn(),
                TextColumn("left"),
                console=self.console,
                transient=True,
            )
            self._bars.start()
            self._bars.add_task("training", total=step.steps, loss=step.loss)
        self._bars.update(self._bars.task_ids[0], completed=step.step, loss=step.loss)
        if step.step == step.steps:
            self._bars.stop()

    def result(self, content: Mapping[str, Any]) -> None:
        """The answer for programs."""
        if self.json:
            print(json.dumps(content, ensure_ascii=False))
            sys.stdout.flush()


def allowed_metrics(plan: Plan, allowed: Iterable[str]) -> list[Metric]:
    """The user's own metric, when the plan names one as module:name and the module is allowed."""
    from finetooth.errors import PlanError
    from finetooth.metrics import Metric

    module, colon, name = plan.metric_for_best_model.partition(":")
    if not colon:
        return []
    if module not in allowed:
        raise PlanError(
            f"metric_for_best_model: {module}:{name} is code of yours; add --allow-code {module} to have it run."
        )
    from importlib import import_module

    sys.path.insert(0, "")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise PlanError(f"metric_for_best_model: {module}:{name} cannot be had: {error}") from error
    if not isinstance(found, Metric):
        raise PlanError(
            f"metric_for_best_model: {module}:{name} is a {type(found).__name__}, expected a finetooth.Metric, which "
            f'knows its direction: Metric("{name}", "higher", of=...).'
        )
    # Under the name that the plan knows it by.
    return [Metric(plan.metric_for_best_model, found.better, found.of)]
