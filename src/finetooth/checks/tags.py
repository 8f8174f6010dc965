"""Tags of words: their scheme, signs out of place, types too rare to be learnt, tags that are numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from finetooth.checks.base import Sample, clipped, rows_of
from finetooth.checks.labels import CHARTED, FEW
from finetooth.errors import DataError
from finetooth.findings import Finding
from finetooth.labels import told
from finetooth.tags import Scheme


def tags(sample: Sample) -> Iterator[Finding]:
    """What the tags are and how many of each kind, which are out of place, and of which there are few."""
    if sample.kind != "tags":
        return
    table, parts = sample.table, sample.part
    try:
        known = [i for i, row in enumerate(table.tags) if row and not (sample.sealed and parts[i] == "test")]
    except DataError as error:
        yield sample.finding("tags", "error", str(error), "Mend this row, or take it out.", count=1)
        return
    if not known:
        return
    rows = [table.tags[i] or [] for i in known]
    names = sorted({tag for row in rows for tag in row})
    scheme, number = Scheme.of(names), {name: i for i, name in enumerate(names)}
    numbers = np.array([number[tag] for row in rows for tag in row], dtype=np.int64)
    lengths = np.array([len(row) for row in rows])
    owner, first = np.repeat(np.arange(len(rows)), lengths), np.zeros(len(numbers), dtype=bool)
    first[np.cumsum(lengths) - lengths] = True
    if scheme.marks:
        kinds, begins, _ = scheme.entities(numbers, first).T
        where, what = owner[begins], "entities"
    else:
        kinds, where, what = numbers, owner, "words"
    counts = Counter(scheme.kinds[kind] for kind in kinds.tolist())
    yield sample.finding(
        "tags",
        "info",
        f"{len(numbers):,} words in {rows_of(len(rows))} have tags: {told(table)}.",
        "Nothing has to be done if that is what was meant.",
        count=len(rows),
        chart={
            "kind": "bars",
            "title": f"{what} of each kind",
            "bars": [[clipped(name, 60), n] for name, n in counts.most_common(CHARTED)],
        },
    )
    wrong = scheme.misplaced(numbers, first)
    if wrong.any():
        torn = np.unique(owner[wrong])
        at = int(np.flatnonzero(wrong)[0])
        yield sample.finding(
            "illegal tags",
            "warning",
            f"{rows_of(int(wrong.sum()), 'word')} in {rows_of(len(torn))} with a tag out of place in "
            f"{scheme.name}, the first '{names[numbers[at]]}' in {table.place(known[owner[at]])}.",
            "They are read as seqeval and conlleval do, an entity beginning where none was begun; mend them if that is "
            "not what was meant.",
            [known[row] for row in torn],
        )
    training = [row for row, i in enumerate(known) if parts[i] == "train"]
    trained = Counter(scheme.kinds[kind] for kind in kinds[np.isin(where, training)].tolist())
    rare = [name for name in scheme.kinds if trained[name] < FEW]
    if rare and sample.split is not None:
        shown = ", ".join(f"'{clipped(name, 60)}' ({trained[name]})" for name in rare[:8])
        more = f" and {len(rare) - 8} more" if len(rare) > 8 else ""
        yield sample.finding(
            "few tags",
            "warning",
            f"Fewer than {FEW} training {what} of {shown}{more}.",
            "Tag more rows with these, or merge them with others.",
            count=len(rare),
        )
    if all(name.isdigit() for name in names):
        yield sample.finding(
            "tags without names",
            "warning",
            f"The tags are numbers ({', '.join(names[:6])}): what they mean is not known, nor whether they mark "
            f"entities, so they count as plain tags.",
            "Write the names in their place; a data set that the library datasets has saved brings them along.",
            count=len(rows),
        )
