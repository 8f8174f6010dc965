"""Any of several labels in the report: label by label, and the rows that are farthest from theirs."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score

from finetooth.table import AnyOf, Table

WORST = 20  # rows listed, the farthest off first


def detail(p: AnyOf, table: Table) -> dict[str, Any]:
    """Scores of each label, and the worst rows."""
    return {"labels": by_label(p), "worst": _worst(p, table)}


def by_label(p: AnyOf) -> list[dict[str, Any]]:
    """Precision, recall and F1 at its threshold, average precision (None where no row has it), rows and given."""
    right, rows, given = ((each == 1).sum(axis=0) for each in (p.labels & p.decided, p.labels, p.decided))
    thresholds = np.full(len(p.names), 0.5) if p.thresholds is None else p.thresholds
    return [
        {
            "label": name,
            "precision": float(right[c] / max(given[c], 1)),
            "recall": float(right[c] / max(rows[c], 1)),
            "f1": float(2 * right[c] / max(rows[c] + given[c], 1)),
            "average_precision": float(average_precision_score(p.labels[:, c], p.said[:, c])) if rows[c] else None,
            "rows": int(rows[c]),
            "predicted": int(given[c]),
            "threshold": float(thresholds[c]),
        }
        for c, name in enumerate(p.names)
    ]


def _worst(p: AnyOf, table: Table) -> list[dict[str, Any]]:
    """Rows that are given other labels than theirs, the surest wrong label first."""
    wrong = np.where(p.decided != p.labels, np.abs(p.probabilities - p.labels), 0.0)
    label, off = wrong.argmax(axis=1), wrong.max(axis=1)
    order = [i for i in np.argsort(-off, kind="stable").tolist() if off[i] > 0]
    return [
        {
            "id": p.ids[i],
            "inputs": dict(zip(table.columns.input, table.inputs[table.position[p.ids[i]]], strict=True)),
            "label": p.given(p.labels[i]),
            "predicted": p.given(p.decided[i]),
            "mistake": p.names[label[i]],
            "probability": float(p.probabilities[i, label[i]]),
        }
        for i in order[:WORST]
    ]
