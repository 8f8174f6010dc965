"""Tags of words in the report: type by type, what is taken for what, and sentences with mistakes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from finetooth.metrics.entities import counted
from finetooth.table import Table
from finetooth.tags import Tags

WORST = 20  # rows listed, those with the surest mistake first
CONFUSED = 12  # pairs of tags
SHOWN = 6  # mistakes of a row
NOTHING = "none"


def detail(p: Tags, table: Table) -> dict[str, Any]:
    """Scores of each type, the tags most often taken for each other, the worst rows, and what was not read."""
    return {
        "scheme": p.scheme.name,
        "types": by_type(p),
        "confused": _confused(p),
        "words": len(p.truth),
        "unread": int((~p.read).sum()),
        "commonest": float(np.bincount(p.truth).max() / len(p.truth)),
        "worst": _worst(p, table),
    }


def by_type(p: Tags) -> list[dict[str, Any]]:
    """Precision, recall and F1 of each type of entity, or of each plain tag; how many there are, and are found."""
    right, true, found = (each.sum(axis=0) for each in counted(p))
    return [
        {
            "label": kind,
            "precision": float(right[k] / max(found[k], 1)),
            "recall": float(right[k] / max(true[k], 1)),
            "f1": float(2 * right[k] / max(true[k] + found[k], 1)),
            "rows": int(true[k]),
            "predicted": int(found[k]),
        }
        for k, kind in enumerate(p.scheme.kinds)
    ]


def _confused(p: Tags) -> list[dict[str, Any]]:
    wrong = np.flatnonzero((p.decided != p.truth) & p.read)
    pairs = Counter(zip(p.truth[wrong].tolist(), p.decided[wrong].tolist(), strict=True))
    ranked = sorted(pairs.items(), key=lambda pair: (-pair[1], pair[0]))[:CONFUSED]
    return [{"label": p.names[true], "predicted": p.names[given], "words": n} for (true, given), n in ranked]


def _worst(p: Tags, table: Table) -> list[dict[str, Any]]:
    """Rows with mistakes, the surest first; `mistakes` are runs of words, what they are, and what they are given."""
    found: dict[int, list[dict[str, Any]]] = {}
    for row, start, end, label, given, sure in _mistakes(p):
        words = table.words[table.position[p.ids[row]]] or []
        told = {"words": " ".join(words[start:end]), "label": label, "predicted": given, "probability": sure}
        found.setdefault(row, []).append(told)
    order = sorted(found, key=lambda row: (-max(m["probability"] or 0.0 for m in found[row]), p.ids[row]))
    return [
        {
            "id": p.ids[row],
            "text": " ".join(table.words[table.position[p.ids[row]]] or []),
            "mistakes": found[row][:SHOWN],
            "more": max(len(found[row]) - SHOWN, 0),
        }
        for row in order[:WORST]
    ]


def _mistakes(p: Tags) -> Iterator[tuple[int, int, int, str, str, float | None]]:
    """(row, first word, word after the last, what it is, what it is given, how surely) of each mistake, in order."""
    if not p.scheme.marks:
        for word in np.flatnonzero((p.decided != p.truth) & p.read).tolist():
            row = int(p.row_of(np.array(word)))
            start = word - int(p.starts[row])
            yield row, start, start + 1, p.names[p.truth[word]], p.names[p.decided[word]], float(p.sure[word])
        return
    true, found = ({(begin, end): kind for kind, begin, end in spans.tolist()} for spans in p.spans)
    places = sorted({place for place in {**true, **found} if true.get(place) != found.get(place)})
    for begin, end in places:
        row = int(p.row_of(np.array(begin)))
        first = int(p.starts[row])
        label, given = (
            NOTHING if (kind := of.get((begin, end))) is None else p.scheme.kinds[kind] for of in (true, found)
        )
        sure = float(p.sure[begin:end].mean()) if given != NOTHING else None
        yield row, begin - first, end - first, label, given, sure
