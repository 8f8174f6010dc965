"""Text classification: one text per row, one of several classes."""

from __future__ import annotations

from finetooth.errors import DataError
from finetooth.table import Table
from finetooth.tasks.one_of import OneOf
from finetooth.tasks.texts import Texts, refuse_missing

MOST_CLASSES = 1000  # more different labels than this, one for every few rows, are numbers or ids, not classes


class TextClassification(OneOf, Texts):
    """Texts in one column, a class name in another."""

    problem = "single_label_classification"
    pipeline = ("text-classification", '"a text like those of the data set"')
    columns = 1  # of texts

    def names(self, table: Table) -> list[str]:
        """The class names, numbers in numeric order; refused: missing labels, a single class, as many as rows."""
        self.refuse_kind(table)
        if len(table.columns.input) != self.columns:
            one, two = "one column of texts, as text-classification has", "two columns of texts, as text-pair has"
            raise DataError(
                f"{table.source}: found {len(table.columns.input)} input columns ({', '.join(table.columns.input)}), "
                f"expected {one if self.columns == 1 else two}; name them with --input, or leave task at auto."
            )
        refuse_missing(table)
        # The source's own test part has no say in what is learnt.
        own = zip(table.labels, table.parts, strict=True)
        names = sorted({label for label, part in own if label is not None and part != "test"}, key=_natural)
        strange = sorted({label for label in table.labels if label is not None} - set(names))
        if strange:
            where = next(table.place(i) for i, label in enumerate(table.labels) if label == strange[0])
            raise DataError(f"{where}: the label '{strange[0]}' occurs in the test part only, so it cannot be learnt.")
        if len(names) < 2:
            raise DataError(
                f"{table.source}: every row has the label '{names[0]}' in the column '{table.columns.label}'; there is "
                f"nothing to learn from one class. Was another column meant? Say so with --label."
            )
        if len(names) > max(MOST_CLASSES, 2) or len(names) > len(table) / 2 > 10:
            raise DataError(
                f"{table.source}: the column '{table.columns.label}' has {len(names):,} different values in "
                f"{len(table):,} rows, too many to be classes. Say which column is the label with --label; if these "
                f"are numbers to be foretold, set task to text-regression, and if they are texts to be written, to "
                f"seq2seq or instruction."
            )
        return names


def _natural(name: str) -> tuple[int, float, str]:
    try:
        return 0, float(name), name
    except ValueError:
        return 1, 0.0, name
