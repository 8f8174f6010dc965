"""Labels: missing, misspelt, rare, uneven, of the wrong kind, or nowhere to be learnt from."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from finetooth.checks.base import NAMED, Sample, clipped, folded, quoted, rows_of
from finetooth.findings import Finding

FEW = 10  # training rows of a class below which nothing much can be learnt of it
UNEVEN = 3  # times the smallest class's rows that make the largest too large for accuracy to be a fair goal
CHARTED = 40  # classes
GAPS = ("n/a", "na", "nan", "none", "null", "?", "-", "--", "nil", "missing", "#n/a")


def labels(sample: Sample) -> Iterator[Finding]:
    """Missing labels, one class alone, as many classes as rows, one class in several spellings."""
    table = sample.table
    if table.columns.label is None:
        yield sample.finding(
            "no label column",
            "info",
            f"No column is known to be the label, so what concerns labels was left out; the columns are "
            f"{quoted(table.data.column_names, 12)}.",
            "Name it with --label if there is one.",
            count=len(table),
        )
        return
    column = f"the column '{table.columns.label}'"
    missing = [i for i, label in enumerate(table.labels) if label is None]
    if missing and sample.kind != "any-of":  # a row with no label has none of them
        yield sample.finding(
            "missing label",
            "error",
            f"{rows_of(len(missing))} of {len(table):,} {'has' if len(missing) == 1 else 'have'} no label in {column}.",
            "Label them, or take them out: --fix does.",
            missing,
        )
    if len(sample.names) == 1:
        yield sample.finding(
            "single class",
            "error",
            f"Every label is '{sample.names[0]}': there is nothing to learn from one class.",
            "Was another column meant? Say so with --label.",
            count=len(table),
        )
    labelled = len(table) - len(missing)
    if len(sample.names) > labelled / 2 > 10:
        yield sample.finding(
            "too many classes",
            "error",
            f"{column[0].upper()}{column[1:]} has {len(sample.names):,} different values in {labelled:,} rows: numbers "
            f"or ids, not classes.",
            "Say which column is the label with --label.",
            count=labelled,
        )
    gaps = [i for i, label in enumerate(sample.labels) if label and label.strip().casefold() in GAPS]
    if gaps and len(gaps) <= labelled / 10:
        yield sample.finding(
            "placeholder label",
            "warning",
            f"{rows_of(len(gaps))} {'has' if len(gaps) == 1 else 'have'} a label that may stand for a missing one: "
            f"{quoted(sorted({str(sample.labels[i]) for i in gaps}))}. It counts as a class.",
            "Label them or take them out, if that is what it means.",
            gaps,
        )
    spellings = defaultdict(list)
    counts = Counter(label for label in sample.labels if label is not None)
    for name in sorted(counts, key=lambda name: (-counts[name], name)):
        spellings[folded(name)].append(name)
    alike = {name for names in spellings.values() if len(names) > 1 for name in names}
    rarer = {name for names in spellings.values() for name in names[1:]}
    if alike:
        yield sample.finding(
            "label spelling",
            "warning",
            f"Labels that differ in case or spaces alone count as different classes: {quoted(sorted(alike), 8)}.",
            "Give each class one spelling: --fix takes the commonest.",
            sample.labelled(rarer),
        )


def classes(sample: Sample) -> Iterator[Finding]:
    """Classes too rare to learn or to measure, that training lacks, and how uneven they are."""
    if len(sample.names) < 2 or sample.split is None or len(sample.names) > len(sample.targets) / 2 > 10:
        return
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for label, part in zip(sample.labels, sample.part, strict=True):
        if label is not None and part is not None:
            counts[part][label] += 1
    unlearnt = [name for name in sample.names if not counts["train"][name]]
    if unlearnt:
        yield sample.finding(
            "unlearnt class",
            "error",
            f"No training row has the label {quoted(unlearnt)}, which other parts ask for.",
            "Bring rows of it into the training part, or take its rows out.",
            sample.labelled(unlearnt),
        )
    rare = [name for name in sample.names if 0 < counts["train"][name] < FEW]
    if rare:
        shown = ", ".join(f"'{clipped(name, NAMED)}' ({counts['train'][name]})" for name in rare[:8])
        yield sample.finding(
            "few rows",
            "warning",
            f"Fewer than {FEW} training rows of {shown}{f' and {len(rare) - 8} more' if len(rare) > 8 else ''}.",
            "Collect more rows of these classes, or merge them with others.",
            sample.labelled(rare),
        )
    untested = [name for name in sample.names if counts["test"][name] < FEW]
    if untested and counts["test"]:
        yield sample.finding(
            "few test rows",
            "info",
            f"Fewer than {FEW} test rows of {rows_of(len(untested), 'class').replace('classs', 'classes')} "
            f"({quoted(untested)}): their own scores will say little.",
            "Read the scores over all classes, or collect more rows of these.",
            count=sum(counts["test"][name] for name in untested),
        )
    total = Counter(label for label in sample.labels if label is not None)
    (largest, most), (smallest, least) = total.most_common()[0], total.most_common()[-1]
    if most >= UNEVEN * least:
        shown_classes = total.most_common(CHARTED)
        yield sample.finding(
            "imbalance",
            "info",
            f"The classes are uneven: {rows_of(most)} of '{clipped(largest, NAMED)}', {least:,} of "
            f"'{clipped(smallest, NAMED)}' "
            f"({most / least:.0f} to 1).",
            "Where nothing else is set, macro-F1 chooses the best epoch, so that small classes count; class_weights: "
            "auto or oversample: true may help.",
            count=sum(total.values()),
            chart={
                "kind": "bars",
                "title": "rows per class",
                "bars": [[clipped(name, NAMED), n] for name, n in shown_classes],
            },
        )
