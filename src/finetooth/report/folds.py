"""What cross-validation came to, told: in sentences, as a page, in the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from markupsafe import Markup
from rich.console import Console
from rich.text import Text

from finetooth.decide import FEWEST
from finetooth.report import words
from finetooth.report.page import template
from finetooth.report.terminal import grid

TOLD = 600  # characters of an input
ANSWERS = {
    "better": "Better than the stronger baseline on the same folds",
    "worse": "Worse than the stronger baseline on the same folds",
    "not shown": "Not shown to be better than the stronger baseline",
    "too few": "Too few folds to tell",
}

Report = Mapping[str, Any]


def title(report: Report) -> str:
    """What was validated, on what."""
    rows, source = words.count(report["rows"]["dealt"], "row"), words.line(PurePath(report["data"]["source"]).name)
    times = f", dealt {words.count(report['repeats'], 'time')}" if report["repeats"] > 1 else ""
    return f"{words.line(report['model'])} on {rows} of {source} in {words.count(report['folds'], 'fold')}{times}"


def judgement(report: Report) -> str:
    """Two sentences: how the tuned model does over the folds, and against the stronger baseline on the same ones."""
    name, found, count = report["goal"]["metric"], report["verdict"], len(report["each"])
    over, other = report["scores"][name], report["baselines"][found["against"]]
    told = (
        f"Over {words.count(count, 'fold')} its {words.metric(name)} is {words.interval(over)} on average, with a "
        f"standard deviation of {words.score(over['spread'])} between folds and {words.score(over['worst'])} on the "
        f"worst."
    )
    against = f"the stronger baseline ({other['says']}), which scores {words.score(other['scores'][name])} there"
    if found["answer"] == "too few":
        return f"{told} Whether it is better than {against}, cannot be told: {found['how']}."
    said = {"not shown": "not shown to be better"}.get(found["answer"], found["answer"])
    gap = f"{words.signed(words.difference(found))}, {words.p_equals(found['p_value'])}"
    return f"{told} It is {said} than {against}: the difference is {gap}."


def besides(report: Report) -> Iterator[str]:
    """What these scores must not hide."""
    time = report["plan"]["data"]["time"]
    if chosen(report):
        last = words.score(report["scores"][report["goal"]["metric"]]["last"])
        yield (
            f"Each fold's own rows chose its epoch, which flatters a little; at the last epoch, which nobody chose, "
            f"the mean is {last}."
        )
    if report["repeats"] > 1:
        yield (
            f"The rows were dealt {words.count(report['repeats'], 'time')}, each time with another training seed. What "
            f"is said of rows out of fold is the average of as many models, as a rule a little better than one."
        )
    if time is not None:
        yield (
            f"Each fold is judged by a model that saw earlier rows alone (by {words.line(time)}): the first of the "
            f"{report['folds']} folds only trains, later models learn from more rows, and the interval is a rough one."
        )
    for note in report["notes"]:
        yield f"{words.line(note[0].upper() + note[1:])}."
    if report["rows"]["test"]:
        sealed = words.count(report["rows"]["test"], "test row")
        yield f"The {sealed} set aside at the beginning stay sealed: nothing here was computed from them."


def chosen(report: Report) -> bool:
    """Whether there was an epoch to choose: with one evaluation there is not."""
    return any(len(fold["epochs"]) > 1 for fold in report["each"])


def temperature(report: Report) -> str:
    """What temperature the predictions out of fold give."""
    found, rows = report["calibration"], words.count(report["calibration"]["rows"], "row")
    if found["rows"] < FEWEST:
        return f"A temperature was not fitted: {rows} out of fold are fewer than {FEWEST}."
    if found["temperature"] == 1.0:
        return f"Temperature 1: the probabilities are as honest as {rows} out of fold can tell."
    before, after = found["before"], found["after"]
    return (
        f"Temperature {words.number(found['temperature'])}, fitted on {rows} out of fold: loss "
        f"{words.score(before['loss'])} before, {words.score(after['loss'])} after; calibration error "
        f"{words.score(before['ece']['value'])} before, {words.score(after['ece']['value'])} after."
    )


def rule(report: Report) -> str:
    """What the decision rule of the plan would gain."""
    found = report["decisions"]
    before, after = (words.score(found["validation"][when]) for when in ("before", "after"))
    if found["goal"] == "cost":
        return f"Deciding by the plan's costs, a row costs {after} on average; the likeliest class would cost {before}."
    if "thresholds" in found:
        return (
            f"A threshold for each label moves {words.metric(found['goal'])} from {before} to {after}, on rows that "
            f"the thresholds were not fitted on."
        )
    return (
        f"A weight for each class moves {words.metric(found['goal'])} from {before} to {after}, on rows that the "
        f"weights were not fitted on."
    )


def labels(report: Report) -> str:
    """How many labels may be wrong."""
    found = report["suspects"]
    if not found["count"]:
        return "No label is contradicted so surely that it should be looked at."
    shown = len(found["rows"])
    listed = "all are listed" if shown == found["count"] else f"the {shown} most suspicious are listed"
    return (
        f"{words.count(found['count'], 'label')} may be wrong: models that did not see the row lean to another class; "
        f"{listed}. No label was changed."
    )


def page(report: Report) -> str:
    """A page that needs no network, from the content of report.json and nothing else."""
    from finetooth.report import figures  # matplotlib takes a second to import; only the page needs it

    name = report["goal"]["metric"]
    return template("validated.html.j2").render(
        report=report,
        title=title(report),
        answer=ANSWERS[report["verdict"]["answer"]],
        judgement=judgement(report),
        besides=list(besides(report)),
        temperature=None if report["calibration"] is None else temperature(report),
        rule=None if report["decisions"] is None else rule(report),
        labels=None if report["suspects"] is None else labels(report),
        goal=name,
        chosen=chosen(report),
        text_told=TOLD,
        folds=[(words.fold(fold, report["repeats"]), fold) for fold in report["each"]],
        differences={key: words.difference(other) for key, other in report["baselines"].items()},
        settings=list(words.settings(report["plan"], report["reasons"])),
        dots=Markup(figures.fold_dots(report)),
        metric_curves=Markup(figures.fold_curves(report, f"eval_{name}", f"validation {words.metric(name)}", "goal")),
        loss_curves=Markup(figures.fold_curves(report, "eval_loss", "validation loss", "loss")),
        confusion=None if report["classes"] is None else Markup(figures.confusion(report["classes"])),
        reliability=None if report["calibration"] is None else Markup(figures.reliability(report["calibration"])),
        scatter=Markup(figures.scatter(report["detail"])) if "points" in report.get("detail", {}) else None,
    )


def show_validated(report: Report, console: Console) -> None:
    """Prints the verdict, the scores over the folds and out of fold, each fold, and what else these rows tell."""
    goal, against = report["goal"]["metric"], report["verdict"]["against"]
    console.print(Text(title(report), style="bold"))
    console.print(Text(f"\n{' '.join([judgement(report), *besides(report)])}\n"))
    scores = grid("metric", "mean over folds", "spread", "worst", "out of fold")
    for name, over in report["scores"].items():
        cells = [words.interval(over), words.score(over["spread"]), words.score(over["worst"])]
        style = "bold" if name == goal else ""
        scores.add_row(Text(words.metric(name)), *cells, words.interval(report["pooled"][name]), style=style)
    console.print(scores)
    each = grid("fold", "rows", "epoch", words.metric(goal), "last epoch", words.baseline(against))
    for fold in report["each"]:
        cells = [words.count(fold["rows"]["validation"]), f"{fold['chosen']['epoch']:g}"]
        cells += [words.score(found[goal]) for found in (fold["scores"], fold["last"], fold["baselines"][against])]
        each.add_row(words.fold(fold, report["repeats"]), *cells)
    console.print(each)
    told = [*words.missing(report["pooled"])]
    told += [temperature(report), labels(report)] if report["calibration"] is not None else []
    told += [rule(report)] if report["decisions"] is not None else []
    for sentence in told:
        console.print(Text(sentence))
    spent = ", ".join(f"{step} {words.duration(seconds)}" for step, seconds in report["seconds"].items())
    console.print(Text(f"\ntook {spent}; peak memory {words.size(report['peak_memory_bytes'])}"))
