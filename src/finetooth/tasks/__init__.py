"""Tasks: what is particular about one kind of job. One file each; `TASKS` gives them their names."""

from finetooth.table import Table
from finetooth.tasks.base import Encoded, Task, tokenized
from finetooth.tasks.image_classification import ImageClassification
from finetooth.tasks.text_classification import TextClassification
from finetooth.tasks.text_pair import TextPair

__all__ = ["TASKS", "Encoded", "Task", "fitting", "tokenized"]

TASKS: dict[str, Task] = {
    "text-classification": TextClassification(),
    "text-pair": TextPair(),
    "image-classification": ImageClassification(),
}


def fitting(table: Table) -> tuple[str, str]:
    """The task that the table's inputs make, and the reason in words."""
    if table.folder is not None:
        return "image-classification", "a folder of images and a class for each"
    if len(table.columns.input) == 2:
        return "text-pair", "two text columns and a label column"
    return "text-classification", "a text column and a label column"
