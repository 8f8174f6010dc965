"""Checks: each takes a Sample of rows and gives Findings; none loads a model, changes a row or drops one."""

from __future__ import annotations

from finetooth.checks.base import Check, Sample
from finetooth.checks.copies import contradictions, copies, leaks
from finetooth.checks.coverage import coverage
from finetooth.checks.giveaway import giveaway
from finetooth.checks.groups import documents, torn_groups
from finetooth.checks.images import images
from finetooth.checks.labels import classes, labels
from finetooth.checks.lengths import lengths
from finetooth.checks.shifts import shifts
from finetooth.checks.size import size
from finetooth.checks.suspects import suspects
from finetooth.checks.tags import tags
from finetooth.checks.texts import scripts, stock_phrases, strangers, texts
from finetooth.checks.times import times

__all__ = ["CHECKS", "Check", "Sample"]

CHECKS: dict[str, Check] = {
    "images": images,
    "labels": labels,
    "classes": classes,
    "tags": tags,
    "leaks": leaks,
    "groups": torn_groups,
    "documents": documents,
    "times": times,
    "contradictions": contradictions,
    "copies": copies,
    "texts": texts,
    "scripts": scripts,
    "stock phrases": stock_phrases,
    "strangers": strangers,
    "lengths": lengths,
    "giveaway": giveaway,
    "shifts": shifts,
    "suspects": suspects,
    "coverage": coverage,
    "size": size,
}
