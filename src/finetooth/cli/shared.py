"""What several verbs share: their options, and how they talk to people and to programs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer

from finetooth.history import Step

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.status import Status

    from finetooth.metrics import Metric
    from finetooth.plan import Plan

Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="A .csv, .tsv, .json, .jsonl, .parquet or .conll file, a folder, hub:owner/name, or a YAML mix of them.",
    ),
]
Model = Annotated[
    str,
    typer.Option(
        "--model", metavar="M", help="A directory, a Hub id, or minilm, mpnet, smollm2 or efficientnet-lite0."
    ),
]
Input = Annotated[str | None, typer.Option("--input", metavar="COL", help="The column with the text.")]
Label = Annotated[
    str | None, typer.Option("--label", metavar="COL", help="The column with the label; several of 0 and 1.")
]
Group = Annotated[str | None, typer.Option("--group", metavar="COL", help="Rows of one group stay in one part.")]
Time = Annotated[
    str | None, typer.Option("--time", metavar="COL", help="The column with the time; the latest rows are the test.")
]
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
        self._status: Status | None = None
        self._told = time.monotonic()
        self._storing = self.counted("computing once what stays the same")
        self._first: tuple[int, float] | None = None  # the first step seen, not the run's first where it goes on

    def __enter__(self) -> Talk:
        return self

    def __exit__(self, *_: object) -> None:
        for live in (self._bars, self._status):
            if live is not None:
                live.stop()

    def say(self, text: str) -> None:
        """One line for people."""
        if self.console.is_terminal:
            self.console.print(text, style="dim", markup=False)
        else:
            self.console.print(f"{time.strftime('%H:%M:%S')} {text}", markup=False)

    def stage(self, name: str) -> None:
        """What is being done: on a terminal at once, else where half a minute has passed without a word."""
        if self.console.is_terminal:
            self._status = self._status or self.console.status("")
            self._status.update(name)
            self._status.start()
        elif time.monotonic() - self._told > 30:
            self.say(name)
            self._told = time.monotonic()

    def counted(self, name: str) -> Callable[[int, int], None]:
        """Tells of work that is counted, with the time left, as `stage` does."""
        began = time.monotonic()

        def told(done: int, whole: int) -> None:
            left = (time.monotonic() - began) * (whole - done) / max(done, 1)
            self.stage(f"{name}, {done / max(whole, 1):.0%}, about {left:.0f} s left")

        return told

    def stored(self, done: int, rows: int) -> None:
        """As `counted` tells; what is frozen now may be more or less than before."""
        if done == 0:
            self._stop_bars()
            self._storing = self.counted("computing once what stays the same")
        else:
            self._storing(done, rows)

    def step(self, step: Step) -> None:
        """A bar with the time left on a terminal; otherwise a line every half minute and at each evaluation."""
        if step.step == 1 or self._first is None:
            self._stop_bars()  # of the run before, which may have stopped early
            self._first = (step.step, time.monotonic())
        if self._status is not None:
            self._status.stop()
        if self.console.is_terminal:
            self._bar(step)
        if step.ended is not None:
            first = [name for name in step.ended.scores if name != "loss"][:2]
            scores = ", ".join(f"{name} {step.ended.scores[name]:.4f}" for name in ("loss", *first))
            self.say(
                f"epoch {step.ended.epoch:g}: training loss {step.ended.loss:.4f}, validation {scores}, "
                f"{step.ended.rows_per_second:.0f} rows/s"
            )
        elif not self.console.is_terminal and time.monotonic() - self._told > 30:
            pace = (time.monotonic() - self._first[1]) / max(step.step - self._first[0], 1)
            left = pace * (step.steps - step.step)
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
        self._bars.update(self._bars.task_ids[0], total=step.steps, completed=step.step, loss=step.loss)
        if step.step == step.steps:
            self._stop_bars()

    def _stop_bars(self) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    def foretell(self, foretold: Mapping[str, Any]) -> None:
        """What a dry run found."""
        self.say(
            f"the run: {foretold['steps']:,} steps, about {foretold['seconds']['prepare']:.0f} s to prepare and "
            f"{foretold['seconds']['train']:.0f} s to train, {foretold['peak_memory_bytes'] / 1e9:.1f} GB of memory, "
            f"{foretold['disk_bytes'] / 1e9:.2f} GB of disk ({foretold['disk_free_bytes'] / 1e9:.0f} GB are free)"
        )

    def table(self, content: Any) -> None:
        """What was asked for: to standard output, unless a program reads that."""
        from rich.console import Console

        if not self.quiet:
            console = self.console if self.json else Console(highlight=False)
            if not console.is_terminal:
                console.width = 200
            console.print(content)

    def result(self, content: Mapping[str, Any]) -> None:
        """The answer for programs."""
        if self.json:
            print(json.dumps(content, ensure_ascii=False, allow_nan=False))
            sys.stdout.flush()


def own_code(plan: Plan, allowed: Iterable[str]) -> tuple[Plan, list[Metric]]:
    """The plan with the functions that it names as module:name, and its metric, where the module is allowed.

    Raises PlanError, naming the flag, where it is not, for a metric that does not know its direction, and for a task
    that is not there.
    """
    from finetooth.errors import PlanError
    from finetooth.metrics import Metric
    from finetooth.plan import Use
    from finetooth.tasks import named

    if plan.task != "auto":  # said before a row is read
        named(plan.task)

    def found(key: str, use: str) -> Any:
        module, _, name = use.partition(":")
        if module not in allowed:
            raise PlanError(f"{key}: {use} is code of yours; add --allow-code {module} to have it run.")
        # The module may lie in the current folder, which later imports have no business in.
        sys.path.insert(0, "")
        try:
            return getattr(import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise PlanError(f"{key}: {use} cannot be had: {error}") from error
        finally:
            sys.path.remove("")

    own = {key: value for key in ("rate", "schedule", "loss") if isinstance(value := getattr(plan, key), Use)}
    plan = plan.model_copy(update={key: found(key, value.use) for key, value in own.items()})
    augment = [found("augment", part.use) if isinstance(part, Use) else part for part in plan.augment]
    plan = plan.model_copy(update={"augment": augment})
    goal = plan.metric_for_best_model
    if ":" not in goal:
        return plan, []
    metric = found("metric_for_best_model", goal)
    if not isinstance(metric, Metric):
        raise PlanError(
            f"metric_for_best_model: {goal} is a {type(metric).__name__}, expected a finetooth.Metric, which knows its "
            f'direction: Metric("{goal.partition(":")[2]}", "higher", of=...).'
        )
    # Under the name that the plan knows it by.
    return plan, [Metric(goal, metric.better, metric.of)]
