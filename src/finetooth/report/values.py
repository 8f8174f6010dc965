"""Numbers in the report: how far off the values are, where, and how wide their prediction intervals."""

from __future__ import annotations

from typing import Any

import numpy as np

from finetooth.table import Numbers, Table

WORST = 20  # rows listed, the farthest off first
POINTS = 1000  # of a drawn cloud; more cannot be told apart on a page


def detail(p: Numbers, table: Table) -> dict[str, Any]:
    """The rows as points, how far off each third of the truth is, the worst rows, and the prediction interval."""
    some = np.unique(np.linspace(0, len(p.ids) - 1, POINTS).round().astype(int))
    chosen = np.argsort(p.labels, kind="stable")[some]
    return {
        "points": [[float(p.labels[i]), float(p.values[i])] for i in chosen],
        "thirds": _thirds(p),
        "interval": _interval(p),
        "worst": [
            {
                "id": p.ids[i],
                "inputs": dict(zip(table.columns.input, table.inputs[table.position[p.ids[i]]], strict=True)),
                "label": float(p.labels[i]),
                "predicted": float(p.values[i]),
                "off": float(p.off[i]),
            }
            for i in np.argsort(-np.abs(p.off), kind="stable")[:WORST].tolist()
        ],
    }


def _thirds(p: Numbers) -> list[dict[str, Any]]:
    """By the truth, lowest first: from where to where, how many rows, and how far off they are, on the whole and by
    how much too high. Rows of one label stay together."""
    places = np.searchsorted(np.quantile(p.labels, [1 / 3, 2 / 3]), p.labels, side="left")
    parts = [np.flatnonzero(places == part) for part in range(3)]
    return [
        {
            "low": float(p.labels[rows].min()),
            "high": float(p.labels[rows].max()),
            "rows": len(rows),
            "mae": float(np.abs(p.off[rows]).mean()),
            "bias": float(p.off[rows].mean()),
        }
        for rows in parts
        if len(rows)
    ]


def _interval(p: Numbers) -> dict[str, Any] | None:
    """How far the prediction interval reaches to either side, and the share of these rows whose truth lies in it."""
    if p.half is None:
        return None
    return {"half": p.half, "covered": float((np.abs(p.off) <= p.half).mean())}
