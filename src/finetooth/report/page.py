"""The report as one self-contained page."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from finetooth.report import words

TEXT_TOLD = 300  # characters of one input of a wrong answer


def html(report: Mapping[str, Any]) -> str:
    """A page that needs no network, from the content of report.json and nothing else."""
    from finetooth.report import figures  # matplotlib takes a second to import; only the page needs it

    part, detail = words.shown(report)
    return template("template.html.j2").render(
        report=report,
        title=words.title(report),
        what=words.what(report),
        verdict=words.verdict(report),
        evaluate=words.evaluate(report),
        opened=words.opened(report),
        verdict_metric=words.verdict_metric(report),
        part=part,
        detail=detail,
        worst=report["detail"]["validation"]["worst"],
        text_told=TEXT_TOLD,
        settings=list(words.settings(report["plan"], report["reasons"])),
        depths=list(depths(report["epochs"])),
        losses=Markup(figures.losses(report)),
        metric_curve=Markup(figures.metric(report)),
        confusion=Markup(figures.confusion(detail)),
        roc=Markup(figures.roc(detail)) if detail["roc"] else None,
        precision_recall=Markup(figures.precision_recall(detail)) if detail["precision_recall"] else None,
    )


def template(name: str) -> Template:
    """A page's template: what it is given is escaped, what it is not given is an error; `words` are its filters."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    told = ("metric", "score", "interval", "number", "count", "duration", "size", "clip", "line")
    environment.filters |= {name: getattr(words, name) for name in told}
    return environment.get_template(name)


def depths(epochs: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Which depths learned at what rate, evaluations with equal rates taken together."""
    for rates, group in groupby(epochs, key=lambda epoch: list(epoch["rates"])):
        same = list(group)
        runs = [("frozen" if rate == 0 else f"at {rate:.3g}", len(list(run))) for rate, run in groupby(rates)]
        yield {
            "first": same[0]["epoch"],
            "last": same[-1]["epoch"],
            "rates": rates,
            "says": ", ".join(f"{n} layers {rate}" if n > 1 else f"1 layer {rate}" for rate, n in runs),
        }
