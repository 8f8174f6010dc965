"""The report as one self-contained page."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from finetooth.report import words

TEXT_TOLD = 300  # characters of one input of a wrong answer
WATCHED = 2  # metrics told of each evaluation
COVERAGES = (1.0, 0.9, 0.8, 0.5)  # shares of the rows for which the text says how accurate the surest answers are

Estimate = Mapping[str, Any]


def html(report: Mapping[str, Any]) -> str:
    """A page that needs no network, from the content of report.json and nothing else."""
    from finetooth.report import figures  # matplotlib takes a second to import; only the page needs it

    part, detail = words.shown(report)
    calibration, classes = report["calibration"], "classes" in detail
    surest = [] if calibration is None else calibration["abstention"][part]
    return template("template.html.j2").render(
        report=report,
        title=words.title(report),
        what=words.what(report),
        answer=words.answer(report),
        judgement=words.judgement(report),
        besides=words.besides(report),
        evaluate=words.evaluate(report),
        opened=words.opened(report),
        ruler=ruler(report),
        goal=report["goal"]["metric"],
        part=part,
        detail=detail,
        tuned=tuned(report),
        baselines=baselines(report, part),
        differences=differences(report["verdict"]),
        worst=report["detail"]["validation"]["worst"],
        text_told=TEXT_TOLD,
        settings=list(words.settings(report["plan"], report["reasons"])),
        depths=list(depths(report["epochs"])),
        losses=Markup(figures.losses(report)),
        metric_curve=Markup(figures.metric(report)),
        watched=[name for name in report["validation"] if name != "loss"][:WATCHED],
        confusion=Markup(figures.confusion(detail)) if classes else None,
        scatter=Markup(figures.scatter(detail)) if "points" in detail else None,
        roc=Markup(figures.roc(detail)) if classes and detail["roc"] else None,
        precision_recall=Markup(figures.precision_recall(detail)) if classes and detail["precision_recall"] else None,
        reliability=None if calibration is None else Markup(figures.reliability(calibration[part])),
        abstention=None if calibration is None else Markup(figures.abstention(surest)),
        surest=[point(surest, share) for share in COVERAGES if surest],
    )


@cache  # read once: in a search or a cross-validation there are many pages
def template(name: str) -> Template:
    """A page's template: what it is given is escaped, what it is not given is an error; `words` are its filters."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    told = ("metric", "score", "interval", "signed", "p_value", "p_equals", "baseline", "number", "count", "duration")
    environment.filters |= {name: getattr(words, name) for name in (*told, "size", "clip", "line", "value")}
    environment.filters |= {"ends": ends, "at": at}
    return environment.get_template(name)


def tuned(report: Mapping[str, Any]) -> Estimate:
    """The tuned model's primary score: on the test rows with its interval once they are opened, else on validation."""
    name = report["goal"]["metric"]
    if report["test"] is None:
        return {"value": report["validation"][name], "low": None, "high": None}
    found: Estimate = report["test"][name]
    return found


def baselines(report: Mapping[str, Any], part: str) -> list[dict[str, Any]]:
    """Each baseline with its primary score on the rows of this part, the strongest on validation rows first."""
    name, sign = report["goal"]["metric"], 1 if report["goal"]["better"] == "higher" else -1
    found = [
        {**baseline, "name": key, "value": baseline[part].get(name), "validated": baseline["validation"].get(name)}
        for key, baseline in report["baselines"].items()
    ]
    return sorted(found, key=lambda row: (row["name"] != report["strongest"], -sign * (row["validated"] or 0.0)))


def differences(verdict: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The tuned model less each baseline, the one that the verdict is about first."""
    if verdict is None:
        return []
    primary = {"name": verdict["against"], "adjusted": None, "primary": True}
    primary |= {key: verdict[key] for key in ("p_value", "smallest")} | {"difference": words.difference(verdict)}
    others = [
        {"name": name, "primary": False, **other, "difference": words.difference(other)}
        for name, other in verdict["others"].items()
    ]
    return [primary, *others]


def ruler(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The marks on a scale from 0 to 1; none where the primary metric has another scale."""
    name, strongest = report["goal"]["metric"], report["strongest"]
    part, _ = words.shown(report)
    guess = {"value": report["baselines"][strongest][part].get(name), "low": None, "high": None}
    told = {"guess": ("strongest baseline", guess), part: ("tuned model", tuned(report))}
    known = all(e["value"] is not None and 0 <= e["value"] <= 1 for _, e in told.values())
    if not known or report["goal"]["better"] == "lower":
        return []
    return [
        {"kind": kind, "says": says, "text": words.interval(e), "anchor": _anchor(e), **e}
        for kind, (says, e) in told.items()
    ]


def _anchor(estimate: Estimate) -> str:
    """Where the text of a mark starts, so that it stays on the ruler on a narrow screen."""
    value = estimate["value"]
    return "start" if value < 1 / 3 else "end" if value > 2 / 3 else "middle"


def ends(estimates: Iterable[Estimate], *also: float | None) -> tuple[float, float]:
    """The least and the greatest of all that is to be drawn on one scale, with a little room on either side."""
    told = [e[key] for e in estimates for key in ("value", "low", "high") if e.get(key) is not None]
    told += [value for value in also if value is not None]
    least, most = (min(told), max(told)) if told else (0.0, 1.0)
    room = (most - least) / 20 or 0.5
    return least - room, most + room


def at(value: float, scale: tuple[float, float]) -> str:
    """The place of a value on a scale, as CSS has it."""
    return f"{100 * (value - scale[0]) / (scale[1] - scale[0]):.1f}%"


def point(curve: Sequence[Sequence[float]], share: float) -> Sequence[float]:
    """The point of a curve that is nearest to this share."""
    return min(curve, key=lambda told: abs(told[0] - share))


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
