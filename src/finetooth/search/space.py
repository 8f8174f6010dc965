"""The space: which keys of the plan may vary, and between what.

A range is text, the same in YAML and behind `--set`: `1e-5..1e-3:log`, `0..4`, `0..0.3`; choices are a list.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import yaml

from finetooth.errors import PlanError, nearest
from finetooth.plan import LATER, SYNONYMS, Plan, Use

NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
RANGE = re.compile(rf"\s*({NUMBER})\s*\.\.\s*({NUMBER})\s*(?::\s*(\w+))?\s*")
DIGITS = 4  # of a proposed number: nobody needs more, and a plan with fewer is easier to read
EXAMPLE = "for example 1e-5..1e-3:log, 0..4 or [16, 32, 64]"

_AFTERWARDS = "it does not move the score that is searched for"
FIXED = {
    "split": "the rows would be dealt anew for each trial, and scores on other rows do not compare",
    "data": "the rows would be read anew for each trial, and scores on other rows do not compare",
    "task": "one search is about one task",
    "seed": "the seed that came out best would be luck; train --seeds N tells how much seeds matter",
    "metric_for_best_model": "scores by different metrics do not compare",
    "eval_every": "the trial with the most looks at the validation rows would have the most chances",
    "max_seconds": "a run that ends by the clock cannot be repeated",
    "rate": "a function cannot be written as a range or a list",
    **dict.fromkeys(("threshold", "calibrate", "keep", "slices", "cost_per_hour", "save_every"), _AFTERWARDS),
}

Values = Mapping[str, Any]  # a value for each key that varies


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; whole ones, or ones that are dealt by their logarithm."""

    low: float
    high: float
    log: bool
    whole: bool

    def __contains__(self, value: Any) -> bool:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and self.low <= value <= self.high and (not self.whole or value == int(value))

    def __str__(self) -> str:
        return f"{self.low:.15g}..{self.high:.15g}{':log' if self.log else ''}"

    def value(self, given: Any) -> Any:
        """A number of the range as the plan takes it."""
        return int(given) if self.whole else float(given)

    def rounded(self, value: Any) -> Any:
        """A proposal with few digits, still inside."""
        return value if self.whole else min(max(float(f"{value:.{DIGITS}g}"), self.low), self.high)

    def points(self) -> Sequence[Any] | None:
        """Every value; None where there is no end of them."""
        return range(int(self.low), int(self.high) + 1) if self.whole else None

    def distribution(self, distributions: Any) -> Any:
        """As Optuna has it."""
        if self.whole:
            return distributions.IntDistribution(int(self.low), int(self.high), log=self.log)
        return distributions.FloatDistribution(self.low, self.high, log=self.log)

    def stored(self, value: Any) -> Any:
        """A value as Optuna keeps it."""
        return value


@dataclass(frozen=True)
class Choices:
    """Any of these values; Optuna knows each by its JSON."""

    values: tuple[Any, ...]

    def __contains__(self, value: Any) -> bool:
        return any(_same(value, choice) for choice in self.values)

    def __str__(self) -> str:
        return json.dumps(list(self.values))

    def value(self, given: Any) -> Any:
        """The choice that equals `given`, or whose JSON it is."""
        return next(choice for choice in self.values if given == json.dumps(choice) or _same(given, choice))

    def rounded(self, value: Any) -> Any:
        """A choice is as it is."""
        return value

    def points(self) -> Sequence[Any] | None:
        """Every value."""
        return self.values

    def distribution(self, distributions: Any) -> Any:
        """As Optuna has it."""
        return distributions.CategoricalDistribution([json.dumps(choice) for choice in self.values])

    def stored(self, value: Any) -> Any:
        """A value as Optuna keeps it."""
        return json.dumps(value)


def _same(one: Any, other: Any) -> bool:
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


@dataclass(frozen=True)
class Space:
    """What varies: a Range or Choices for each key of the plan."""

    keys: Mapping[str, Range | Choices]

    @staticmethod
    def of(given: Mapping[str, Any], plan: Plan) -> Space:
        """Read each range or list, and try its ends or members in the plan. Raises PlanError, naming the key."""
        if not given:
            raise PlanError(f"nothing varies: give a range with --space or --set KEY=RANGE, {EXAMPLE}.")
        named: dict[str, Any] = {}
        for key, text in given.items():
            name = SYNONYMS.get(str(key), str(key))
            _refuse_key(name)
            if name in named:
                raise PlanError(f"{name}: stands twice in the space; keep one of the two.")
            named[name] = text
        # The other keys that vary are left out: one value may fit only some of theirs, which a trial then tells.
        rest = {key: value for key, value in dict(plan).items() if key not in named}

        def tried(key: str, value: Any) -> Any:
            return getattr(Plan(**{**rest, key: value}), key)

        return Space({key: _dimension(key, text, tried) for key, text in named.items()})

    @staticmethod
    def read(path: str | Path | None, ranges: Mapping[str, Any], plan: Plan) -> Space:
        """A Space from a YAML file, if any, and from ranges, which go before."""
        given: Any = {}
        if path is not None:
            try:
                given = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
            except FileNotFoundError:
                raise PlanError(f"{path}: no such file with a space.") from None
            except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
                raise PlanError(f"{path}: not readable as YAML: {error}") from None
            if not isinstance(given, dict):
                kind = type(given).__name__
                raise PlanError(f"{path}: found a {kind}, expected a range or a list for each key, {EXAMPLE}.")
        return Space.of({**given, **ranges}, plan)

    @property
    def size(self) -> int | None:
        """How many combinations there are; None where there is no end of them."""
        whole = 1
        for key in self.keys.values():
            points = key.points()
            if points is None:
                return None
            whole *= len(points)
        return whole

    def points(self) -> Iterator[Values]:
        """Every combination. Raises PlanError where there is no end of them."""
        every: list[Sequence[Any]] = []
        for key, dimension in self.keys.items():
            points = dimension.points()
            if points is None:
                raise PlanError(
                    f"{key}: found the range {dimension}, in which there is no end of values to go through; write "
                    f"those of the grid as a list, for example [1e-5, 3e-5, 1e-4], or choose another tuner."
                )
            every.append(points)
        return (dict(zip(self.keys, point, strict=True)) for point in product(*every))

    def inside(self, plan: Plan) -> Values | None:
        """The values that this plan, resolved, has itself; None where one of them lies outside."""
        if self.outside(plan):
            return None
        return {key: dimension.value(getattr(plan, key)) for key, dimension in self.keys.items()}

    def outside(self, plan: Plan) -> list[str]:
        """The keys whose value in this plan lies outside."""
        return [key for key, dimension in self.keys.items() if getattr(plan, key) not in dimension]

    def applied(self, plan: Plan, values: Values) -> Plan:
        """The plan with these values. Raises PlanError where they contradict each other."""
        return Plan(**{**dict(plan), **values})

    def rounded(self, values: Values) -> Values:
        """A proposal as it is tried."""
        return {key: dimension.rounded(values[key]) for key, dimension in self.keys.items()}

    def same(self, one: Values, other: Values) -> bool:
        """Whether both say the same."""
        return all(_same(one[key], other[key]) for key in self.keys)

    def distributions(self, distributions: Any) -> dict[str, Any]:
        """As Optuna has them."""
        return {key: dimension.distribution(distributions) for key, dimension in self.keys.items()}

    def stored(self, values: Values) -> dict[str, Any]:
        """Values as Optuna keeps them."""
        return {key: dimension.stored(values[key]) for key, dimension in self.keys.items()}

    def values(self, stored: Values) -> Values:
        """The values that `stored` made, or that Optuna proposes."""
        return {key: dimension.value(stored[key]) for key, dimension in self.keys.items()}

    def text(self) -> dict[str, Any]:
        """As `of` takes it, ready for YAML or JSON."""
        return {key: str(d) if isinstance(d, Range) else list(d.values) for key, d in self.keys.items()}


def parted(settings: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """What `--set` says should vary, by key, and the settings that fix a value."""
    ranges: dict[str, Any] = {}
    fixed: list[str] = []
    for setting in settings:
        key, equals, text = setting.partition("=")
        try:
            value = yaml.safe_load(text) if equals else None
        except yaml.YAMLError:
            value = None  # the plan says what is wrong with it
        # A path may hold two points as well, and the plan's slices are a list in themselves.
        varies = isinstance(value, list) or (isinstance(value, str) and ".." in value and "/" not in value)
        if varies and key.strip() != "slices":
            ranges[key.strip()] = value
        else:
            fixed.append(setting)
    return ranges, fixed


def _refuse_key(name: str) -> None:
    first = name.partition(".")[0]
    if first in LATER:
        raise PlanError(f"'{name}' is not in this version of finetooth; leave it away.")
    if first not in Plan.model_fields:
        raise PlanError(f"unknown key '{name}': {nearest(name, Plan.model_fields.keys() - FIXED.keys())}")
    if first in FIXED:
        raise PlanError(f"{name}: cannot vary in a search: {FIXED[first]}. Give it one value, with --set or --plan.")
    if first != name:
        raise PlanError(f"{name}: '{first}' has no keys below it.")


def _dimension(key: str, given: Any, tried: Callable[[str, Any], Any]) -> Range | Choices:
    if isinstance(given, list | tuple):
        return _choices(key, given, tried)
    if isinstance(given, str) and ".." in given:
        return _range(key, given, tried)
    raise PlanError(
        f"{key}: found {given!r}, expected a range or a list, {EXAMPLE}; what stays as it is belongs into --plan or "
        f"behind --set."
    )


def _choices(key: str, given: Sequence[Any], tried: Callable[[str, Any], Any]) -> Choices:
    values: list[Any] = []
    for each in given:
        value = tried(key, each)
        if callable(value) or isinstance(value, Use):
            raise PlanError(f"{key}: found {each!r}; functions of one's own cannot vary, give one with --plan.")
        if any(_same(value, other) for other in values):
            raise PlanError(f"{key}: {json.dumps(value)} stands twice among the choices; leave one away.")
        values.append(value)
    if len(values) < 2:
        raise PlanError(
            f"{key}: found {json.dumps(values)}, expected two choices or more; one value is fixed with --set."
        )
    return Choices(tuple(values))


def _range(key: str, text: str, tried: Callable[[str, Any], Any]) -> Range:
    found = RANGE.fullmatch(text)
    if found is None:
        raise PlanError(f"{key}: found {text!r}, expected a range like 1e-5..1e-3, with :log behind it or without.")
    low, high, scale = found.groups()
    if scale not in (None, "log"):
        raise PlanError(
            f"{key}: found ':{scale}' behind the range {low}..{high}; the one scale that can be named: log."
        )
    kinds = set(_kinds(Plan.model_fields[key].annotation))
    if not kinds & {int, float}:
        raise PlanError(f"{key}: found the range {text}, but its values are no numbers; give a list of choices.")
    made = Range(float(low), float(high), scale == "log", whole=float not in kinds)
    if made.low >= made.high:
        raise PlanError(f"{key}: found {text}, expected two ends, the smaller one first.")
    if made.log and made.low <= 0:
        raise PlanError(f"{key}: found {text}; on a logarithmic scale the smaller end has to lie above 0.")
    for end in (made.low, made.high):
        if made.whole and end != int(end):
            raise PlanError(f"{key}: found {end:g} as an end of {text}, expected a whole number.")
        tried(key, made.value(end))
    return made


def _kinds(annotation: Any) -> Iterator[Any]:
    """The types that a key's value may have."""
    if get_origin(annotation) is Annotated:
        yield from _kinds(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for arm in get_args(annotation):
            yield from _kinds(arm)
    else:
        yield annotation
