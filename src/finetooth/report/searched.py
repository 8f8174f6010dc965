"""What a search came to: as a page, as a table in the terminal, and at the head of the best plan."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from finetooth.report import words
from finetooth.report.page import template

TOLD = 10  # trials in the terminal
WIDE = 200  # characters of a line that no terminal shows
ENOUGH = 20  # trials; with fewer, what mattered is guessed from too little

Content = Mapping[str, Any]


def page(content: Content) -> str:
    """A page that needs no network, from the content of report.json and nothing else."""
    from finetooth.report import landscape  # matplotlib takes a second to import; only the page needs it

    keys = list(content["space"])
    return template("search.html.j2").render(
        content=content,
        title=title(content),
        answer=answer(content),
        caution=caution(content),
        counted=counted(content),
        commands=commands(content),
        goal=words.metric(content["goal"]["metric"]),
        ranked=ranked(content),
        keys=keys,
        mattered=mattered(content),
        history=Markup(landscape.history(content)),
        importance=Markup(landscape.importance(content)) if content["importance"] else None,
        parallel=Markup(landscape.parallel(content)) if len(keys) > 1 else None,
        slices=[(key, Markup(landscape.slices(content, key, f"s{n}"))) for n, key in enumerate(keys)],
        dimensions={key: dimension(content["space"][key]) for key in keys},
        settings=[row for row in words.settings(content["plan"], {}) if row[0] not in keys],
    )


def title(content: Content) -> str:
    """The best score, and of how many."""
    name, best = words.metric(content["goal"]["metric"]), content["best"]
    return (
        f"{name[0].upper()}{name[1:]} {words.score(best['score'])}, the best of {words.count(_ended(content), 'trial')}"
    )


def answer(content: Content) -> str:
    """The best score, with what, against the plan as it stood."""
    name, best, base = words.metric(content["goal"]["metric"]), content["best"], content["base"]
    rows = content["rows"]
    where = f"the {words.count(rows['validation'], 'validation row')}"
    if content["folds"]:
        of = rows["train"] + rows["validation"]
        where = f"average over {content['folds']} folds of the {words.count(of, 'row')} that are not sealed"
    scores = f"{name} {words.score(best['score'])} on {where}"
    if base is not None and base["number"] == best["number"]:
        return f"No trial did better than the plan as it stands: {scores}."
    told = f"With {with_(best['values'])}, trial {best['number']} has {scores}"
    if base is None:
        own = " and ".join(f"{key} {words.value(value)}" for key, value in content["outside"].items())
        return f"{told}; the plan as it stands was not tried, since its {own} lies outside the space."
    if base["state"] != "complete":
        return f"{told}; the plan as it stands {'failed' if base['state'] == 'failed' else 'was given up'}."
    return f"{told}; the plan as it stands has {words.score(base['score'])}."


def caution(content: Content) -> str:
    """What the score is not."""
    many = words.count(_ended(content), "trial")
    return (
        f"The score was picked as the best of {many} on rows that also chose each trial's epoch, so it is optimistic; "
        f"what it is worth is told by training with best.yaml and opening the seal once."
    )


def counted(content: Content) -> str:
    """How many trials ended in which way, and what that took."""
    counts, wanted = content["counts"], content["wanted"]
    told = [f"{words.count(counts['complete'], 'trial')} came to the end"]
    told += [f"{counts['pruned']} were given up ({words.line(content['prune'])})"] if counts["pruned"] else []
    told += [f"{counts['failed']} failed"] if counts["failed"] else []
    again = content["taken_over"]
    told += [f"{again} had values that were tried before, and were not trained again"] if again else []
    looks = sum(len(trial["looks"]) for trial in content["trials"] if trial["twin"] is None)
    left = wanted - sum(counts.values())
    until = f"; {left} of {wanted} are left, --resume goes on with them" if left else ""
    took = f"{words.count(looks, 'look')} at validation rows, {words.duration(content['seconds'])} of training"
    return f"{', '.join(told)}: {took}{until}."


def commands(content: Content) -> list[str]:
    """What makes a run of the best plan, and what tells its worth."""
    quoted = [words.line(shlex.quote(text)) for text in (content["data"]["source"], content["model"])]
    rows = f" --rows {content['limit']}" if content["limit"] else ""
    best = shlex.quote(words.line(f"{content['path']}/best.yaml"))
    train = f"finetooth train {quoted[0]} --model {quoted[1]} --plan {best}{rows} --out RUN"
    return [train, "finetooth evaluate RUN"]


def opening(content: Content) -> str:
    """The comment at the head of best.yaml."""
    lines = [answer(content), caution(content), *commands(content)]
    return "".join(f"# {words.line(line)}\n" for line in lines)


def mattered(content: Content) -> str:
    """How far the importances can be trusted."""
    if content["importance"] is None:
        return "Too few different scores to tell which key mattered."
    told = sum(trial["state"] == "complete" and trial["twin"] is None for trial in content["trials"])
    if told < ENOUGH:
        return (
            f"From {words.count(told, 'trial')} this is a guess: below about {ENOUGH} the shares change from search to "
            f"search."
        )
    return f"From {words.count(told, 'trial')}."


def ranked(content: Content) -> list[Mapping[str, Any]]:
    """The trials, the best first; then those given up, by the look they came to, then those that failed."""
    sign = -1 if content["goal"]["better"] == "higher" else 1
    order = {"complete": 0, "pruned": 1, "failed": 2}
    return sorted(content["trials"], key=lambda t: (order[t["state"]], sign * (t["score"] or 0.0), t["number"]))


def show_search(content: Content, console: Console) -> None:
    """The two sentences, the best trials as a table, how many there were, which key mattered, and how to go on."""
    console.print(Text(words.line(title(content)), style="bold"))
    console.print(Text(f"\n{words.line(answer(content))} {caution(content)}\n"))
    grid = Grid(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("trial", words.metric(content["goal"]["metric"]), *content["space"], "looks", "took"):
        grid.add_column(Text(name), justify="right", overflow="fold")
    for trial in [t for t in ranked(content) if t["state"] == "complete"][:TOLD]:
        own = content["base"] is not None and trial["number"] == content["base"]["number"]
        cells = [words.clip(words.value(value), 30) for value in trial["values"].values()]
        took = f"as {trial['twin']}" if trial["twin"] is not None else words.duration(trial["seconds"])
        number = f"{trial['number']}{' (plan)' if own else ''}"
        grid.add_row(*map(Text, (number, words.score(trial["score"]), *cells, str(len(trial["looks"])), took)))
    if not console.is_terminal:
        console.width = WIDE
    console.print(grid)
    console.print(Text(counted(content)))
    shares = content["importance"] or {}
    told = ", ".join(f"{key} {share:.0%}" for key, share in shares.items())
    console.print(Text(f"what mattered: {told}. {mattered(content)}" if told else mattered(content)))
    console.print(Text("\n".join(["", *commands(content)])))


def with_(values: Mapping[str, Any]) -> str:
    """The values of a trial as people say them."""
    told = [f"{key} {words.clip(words.value(value), 40)}" for key, value in values.items()]
    return " and ".join([", ".join(told[:-1]), told[-1]] if len(told) > 1 else told)


def dimension(told: Mapping[str, Any]) -> str:
    """A range or choices as people read them."""
    if "choices" in told:
        return ", ".join(words.clip(words.value(choice), 40) for choice in told["choices"])
    scale = ", by its logarithm" if told["log"] else ""
    return f"{words.value(told['low'])} to {words.value(told['high'])}{scale}"


def _ended(content: Content) -> int:
    return sum(content["counts"].values())
