"""Which column is the input, which the label: by flag, else by convention, else refused with the list."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import pyarrow as pa

from finetooth.errors import DataError, listed, nearest, shown
from finetooth.table import ASKED, TALKS, Columns

INPUTS = ("text", "sentence")
PAIRS = (("text", "text_pair"), ("sentence1", "sentence2"), ("premise", "hypothesis"), ("question1", "question2"))
LABELS = ("label", "target")
OTHERWISE = ("source", "target", "text", "summary")  # names that columns of labelled texts have too
WORDS = ("tokens", "words")  # columns that hold lists of words
TAGS = ("tags", "ner_tags", "labels", "label")  # and lists with a tag for each
CHOSEN, REJECTED = "chosen", "rejected"  # columns of two answers, of which the first is preferred
PROMPTS = (("prompt",), ("question",), ("instruction", "input"), ("instruction",), ("input",))  # what they answer
NAME = re.compile(r"[^\W\d][\w.:#%/()-]*( [\w.:#%/()-]+){0,3}")  # a word or a few
LOOKED_AT = 1000  # rows


def choose(
    source: str,
    names: Sequence[str],
    *,
    input: str | None,
    label: str | None,
    group: str | None,
    id: str | None,
    time: str | None,
    weights: str | None,
    labelled: bool,
) -> Columns:
    """The roles of the columns `names`; raises DataError when a flag names none of them or the guess is not certain."""

    def named(flag: str, value: str) -> str:
        if value not in names:
            hint = nearest(value, [shown(name) for name in names[:100]])
            raise DataError(f"{source}: there is no column '{value}' for --{flag}; {hint}")
        return value

    def guessed(flag: str, known: Sequence[str], required: bool) -> str | None:
        found = [name for name in names if name.lower() in known]
        if len(found) == 1:
            return found[0]
        if len(found) != 1 and not required:
            return None
        why = (
            f"both {' and '.join(map(shown, found))} could be"
            if found
            else f"no column is named {' or '.join(known)}, so none is"
        )
        raise DataError(f"{source}: {why} the {flag}. Say which with --{flag} COLUMN; the columns are {listed(names)}.")

    inputs: list[str | None]
    if not input and not label and (talk := _talk(names)):
        input, label = talk
    if not input and not any(name.lower() in INPUTS for name in names):
        input = guessed("input", WORDS, False)
    if input:
        inputs = [named("input", part.strip()) for part in input.split(",")]
    else:
        pairs = [[name for half in pair for name in names if name.lower() == half] for pair in PAIRS]
        pair = next((found for found in pairs if len(found) == 2), None)
        inputs = [*pair] if pair else [guessed("input", INPUTS, True)]
    talks = [*inputs] == [name for name in names if name.lower() in TALKS][:1]
    # Several columns of 0 and 1 are the labels of which any may be true.
    several = [name.strip() for name in label.split(",")] if label and label not in names else []
    # Of two answers that are preferred or not the one is the label, or whole conversations end with them.
    rejected = next((name for name in names if name.lower() == REJECTED), None)
    whole = rejected is not None and not label and [name and name.lower() for name in inputs] == [CHOSEN]
    needed = labelled and not several and not talks
    known = TAGS if [name and name.lower() in WORDS for name in inputs] == [True] else LABELS
    chosen = named("label", label) if label and not several else None
    if not (chosen or whole):
        chosen = guessed("label", known, needed)
    if several:
        chosen = ",".join(named("label", name) for name in several)
    if len(set(inputs)) < len(inputs):
        doubled = next(name for i, name in enumerate(inputs) if name in inputs[:i])
        raise DataError(f"{source}: --input names the column '{doubled}' twice.")
    both = next((name for name in (chosen, *several) if name in inputs), None)
    if both is not None:
        raise DataError(f"{source}: the column '{both}' cannot be both the input and the label.")
    return Columns(
        input=tuple(name for name in inputs if name),
        label=chosen,
        group=named("group", group) if group else None,
        id=named("id", id) if id else None,
        time=named("time", time) if time else None,
        weights=named("weights", weights) if weights else None,
        rejected=rejected if whole or (chosen or "").lower() == CHOSEN else None,
    )


def _talk(names: Sequence[str]) -> tuple[str, str | None] | None:
    """The columns of conversations, or of a prompt and its answer, where they have the usual names.

    Not where one of them, or another column, has a name that speaks of labelled texts: a source may be a file's name.
    """
    known = {name.lower(): name for name in names}
    if {CHOSEN, REJECTED} <= known.keys() and not ({*INPUTS} & known.keys() and {*LABELS} & known.keys()):
        asked = next((asked for asked in PROMPTS if known.keys() >= {*asked}), None)
        return (",".join(known[name] for name in asked), known[CHOSEN]) if asked else (known[CHOSEN], None)
    whole = [known[name] for name in TALKS if name in known]
    if whole:
        return whole[0], None
    for asked, answer in ASKED:
        others = known.keys() - {*asked, answer}
        strange = {*INPUTS, *LABELS} & others if {*asked, answer} & {*OTHERWISE} else set()
        if answer in known and all(name in known for name in asked) and not strange:
            return ",".join(known[name] for name in asked), known[answer]
    return None


def unnamed(source: str, data: pa.Table, flags: Iterable[str | None]) -> DataError | None:
    """What to say when the first line, which gave the names of the columns, is evidently a row itself; None where it
    holds one of the names to be expected, or nothing speaks for it."""
    names: list[str] = data.column_names
    expected = {
        *INPUTS,
        *LABELS,
        *TALKS,
        *(name for asked, answer in ASKED for name in (*asked, answer)),
        *WORDS,
        *(name.strip().lower() for flag in flags if flag for name in flag.split(",")),
    }
    if expected & {name.lower() for name in names}:
        return None
    if not any(NAME.fullmatch(name) and len(name) <= 40 for name in names):
        evidence = "none of it looks like a name"
    else:
        again = (n for i, n in enumerate(names) if n in data.column(i).slice(0, LOOKED_AT).to_pylist())
        name = next(again, None)
        if name is None:
            return None
        evidence = f"'{shown(name)}' stands again below"
    return DataError(
        f"{source}, line 1: found what seems to be a row ({listed(names)}: {evidence}), expected the names of the "
        f"columns. Put a line with names above it, such as text,label; or, if these are names, say which column is "
        f"which with --input and --label."
    )
