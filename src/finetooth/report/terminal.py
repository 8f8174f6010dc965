"""The summary at the end of a run."""

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from finetooth.report import words

CLASSES_TOLD = 20  # more rows than this push the scores off the screen


def show(report: Mapping[str, Any], console: Console) -> None:
    """Prints what was tuned, the verdict, the scores, the diagnosis, what it took, and the seal."""
    rows, test = report["rows"], report["test"]
    console.print(Text(words.title(report), style="bold"))
    parts = ", ".join(f"{words.count(rows[part])} {part}" for part in ("train", "validation", "test"))
    console.print(Text(f"{words.line(PurePath(report['data']['source']).name)}: {parts} rows"))

    console.print(Text(f"\n{words.verdict(report)}\n"))

    part, detail = words.shown(report)
    strongest = report["baselines"][report["strongest"]]
    columns = [*(["test"] if test is not None else []), "validation", f"strongest baseline, {part}"]
    scores = grid("metric", *columns)
    for name, value in report["validation"].items():
        cells = [words.score(value), words.score(strongest[part][name]) if name in strongest[part] else ""]
        if test is not None:
            cells.insert(0, words.interval(test[name]) if name in test else "")
        scores.add_row(Text(words.metric(name)), *cells, style="bold" if name == report["goal"]["metric"] else "")
    console.print(scores)
    _missing(test or {}, console)

    if "classes" in detail:
        _show_classes(detail["classes"], part, console)
    elif "labels" in detail:
        _show_labels(detail["labels"], part, console)
    elif "points" in detail:
        _show_values(detail, part, console)
    elif "types" in detail:
        _show_types(detail, part, console)
    if report.get("written"):  # runs of earlier versions know of none
        _show_written(report["written"], console)

    for item in report["diagnosis"]:
        mark = Text(f"{item['name']}: ", style="bold yellow" if item["severity"] == "warning" else "bold")
        console.print(mark.append(words.line(f"{item['says']} {item['advice']}"), style="not bold default"))

    spent = ", ".join(f"{step} {words.duration(seconds)}" for step, seconds in report["seconds"].items())
    cost = "" if report["cost"] is None else f"; cost {report['cost']:.4g}"
    console.print(Text(f"\ntook {spent}; peak memory {words.size(report['peak_memory_bytes'])}{cost}"))
    if not rows["test"]:
        console.print(Text("seal: no rows were set aside for a test"))
    elif test is None:
        sealed = words.count(report["seal"]["rows"], "test row")
        console.print(Text(f"seal: {sealed} unopened. When every choice is made: {words.evaluate(report)}"))
    else:
        console.print(Text(f"seal: {words.opened(report)}; ledger head {(report['seal']['head'] or 'none')[:16]}"))


def _show_classes(classes: Sequence[Mapping[str, Any]], part: str, console: Console) -> None:
    largest = sorted(classes, key=lambda row: -row["rows"])[:CLASSES_TOLD]
    table = grid(f"class ({part} rows)", "precision", "recall", "F1", "rows", "predicted")
    for row in largest:
        quality = [words.score(row[key]) for key in ("precision", "recall", "f1")]
        counts = [words.count(row[key]) for key in ("rows", "predicted")]
        table.add_row(Text(words.clip(row["label"], 40)), *quality, *counts)
    console.print(table)
    left = len(classes) - len(largest)
    if left:
        console.print(Text(f"The {CLASSES_TOLD} largest classes; {left} more are in report.html.\n"))


def _show_written(said: Mapping[str, Any], console: Console) -> None:
    written = grid(f"what it writes ({words.count(said['rows'])} test rows)", "before", "after", "difference")
    for name in said["measures"]:
        told = [words.interval(said[name][when]) for when in ("before", "after")]
        written.add_row(Text(words.metric(name)), *told, words.signed(said[name]["difference"]))
    console.print(written)


def _show_labels(labels: Sequence[Mapping[str, Any]], part: str, console: Console) -> None:
    table = grid(f"label ({part} rows)", "precision", "recall", "F1", "rows", "given", "threshold")
    for row in sorted(labels, key=lambda row: -row["rows"])[:CLASSES_TOLD]:
        quality = [words.score(row[key]) for key in ("precision", "recall", "f1")]
        counts = [words.count(row[key]) for key in ("rows", "predicted")]
        table.add_row(Text(words.clip(row["label"], 40)), *quality, *counts, words.score(row["threshold"]))
    console.print(table)
    if len(labels) > CLASSES_TOLD:
        left = len(labels) - CLASSES_TOLD
        console.print(Text(f"The {CLASSES_TOLD} largest labels; {left} more are in report.html.\n"))


def _show_types(detail: Mapping[str, Any], part: str, console: Console) -> None:
    what = "tag" if detail["scheme"] == "plain" else "type"
    table = grid(f"{what} ({part} rows)", "precision", "recall", "F1", "true", "found")
    for row in sorted(detail["types"], key=lambda row: -row["rows"])[:CLASSES_TOLD]:
        quality = [words.score(row[key]) for key in ("precision", "recall", "f1")]
        counts = [words.count(row[key]) for key in ("rows", "predicted")]
        table.add_row(Text(words.clip(row["label"], 40)), *quality, *counts)
    console.print(table)
    if (left := len(detail["types"]) - CLASSES_TOLD) > 0:
        console.print(Text(f"The {CLASSES_TOLD} commonest {what}s; {left} more are in report.html.\n"))
    if detail["unread"]:
        cut = words.count(detail["unread"], "word")
        console.print(Text(f"{cut} of {words.count(detail['words'])} were cut and not read; they count as wrong.\n"))


def _show_values(detail: Mapping[str, Any], part: str, console: Console) -> None:
    thirds = grid(f"truth ({part} rows)", "rows", "off by", "too high by")
    for third in detail["thirds"]:
        numbers = [words.number(third[key]) for key in ("mae", "bias")]
        thirds.add_row(
            f"{words.number(third['low'])} to {words.number(third['high'])}", words.count(third["rows"]), *numbers
        )
    console.print(thirds)
    if detail["interval"] is not None:
        half, covered = (words.number(detail["interval"][key]) for key in ("half", "covered"))
        console.print(
            Text(f"prediction interval: {half} to either side holds the truth of {covered} of the {part} rows\n")
        )


def show_scores(scored: Mapping[str, Any], console: Console) -> None:
    """Prints how the model did on other rows than its own test rows."""
    console.print(
        Text(words.line(f"{scored['run']} on {scored['data']}: {words.count(scored['rows'], 'row')}"), "bold")
    )
    for part, count in scored["rows_of_the_run"].items():
        if count:
            console.print(Text(f"{words.count(count)} of them are {part} rows of the run itself", style="bold yellow"))
    if scored["openings"]:
        console.print(Text(f"seal: the run's test rows have been opened {scored['openings']} times"))
    scores = grid("metric", "score")
    for name, interval in scored["scores"].items():
        scores.add_row(Text(words.metric(name)), words.interval(interval))
    console.print(scores)
    _missing(scored["scores"], console)


def show_comparison(content: Mapping[str, Any], console: Console) -> None:
    """Prints two runs beside each other on the same rows, and whether one is shown to be better."""
    first, second = (words.clip(run, 24) for run in content["runs"])
    primary, metric = content["primary"], words.metric(content["metric"])
    console.print(Text(f"{first} and {second} on the same {words.count(content['rows'], 'row')}", style="bold"))
    console.print(Text(f"\n{words.line(content['says'])}\n"))
    scores = grid("metric", first, second, "difference", "p", "adjusted p")
    for name, row in content["scores"].items():
        values = [words.interval(row["first"]), words.interval(row["second"]), words.signed(words.difference(row))]
        chances = [words.p_value(row["p_value"]), words.p_value(row["adjusted"])]
        style = "bold" if name == content["metric"] else ""
        scores.add_row(Text(words.metric(name)), *values, *chances, style=style)
    console.print(scores)
    _missing({name: words.difference(row) for name, row in content["scores"].items()}, console)
    told = [
        f"A difference above 0 favours {first}. The comparison by {metric} was chosen beforehand: "
        f"{words.signed(words.difference(primary))}, {words.p_equals(primary['p_value'])}."
    ]
    if primary["mcnemar"] is not None:
        told.append(f"McNemar's exact test: {words.p_equals(primary['mcnemar'])}.")
    if primary["smallest"] is not None:
        told.append(f"A true difference of {words.score(primary['smallest'])} would be shown 80 times out of 100.")
    console.print(Text(" ".join(told)))


def _missing(estimates: Mapping[str, Mapping[str, Any]], console: Console) -> None:
    for sentence in words.missing(estimates):
        console.print(Text(sentence))


def grid(first: str, *others: str) -> Table:
    """A table of numbers, right-aligned, whose first column is told in full."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, overflow="fold")
    for name in others:
        table.add_column(Text(name), justify="right", no_wrap=True)
    return table
