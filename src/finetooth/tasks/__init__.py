"""Tasks: what is particular about one kind of job. One file each; `TASKS` gives them their names."""

from finetooth.errors import PlanError, nearest
from finetooth.labels import kind_of, told
from finetooth.table import Table
from finetooth.tasks.base import READS, Encoded, Task, tokenized
from finetooth.tasks.chat import asked, conversation, question
from finetooth.tasks.image_classification import ImageClassification
from finetooth.tasks.instruction import Instruction
from finetooth.tasks.multi_label import MultiLabel
from finetooth.tasks.text_classification import TextClassification
from finetooth.tasks.text_pair import TextPair
from finetooth.tasks.text_regression import TextRegression
from finetooth.tasks.token_classification import TokenClassification, places

__all__ = [
    "READS",
    "TASKS",
    "Encoded",
    "Task",
    "asked",
    "conversation",
    "fitting",
    "named",
    "places",
    "question",
    "tokenized",
]

TASKS: dict[str, Task] = {
    "text-classification": TextClassification(),
    "text-pair": TextPair(),
    "text-regression": TextRegression(),
    "multi-label": MultiLabel(),
    "token-classification": TokenClassification(),
    "instruction": Instruction(),
    "image-classification": ImageClassification(),
}


def named(name: str) -> Task:
    """The task of this name. Raises PlanError, with the nearest one there is."""
    if name not in TASKS:
        raise PlanError(f"task: there is no '{name}'; {nearest(name, ['auto', *TASKS])}")
    return TASKS[name]


def fitting(table: Table) -> tuple[str, str]:
    """The task that these rows make, and the reason in words."""
    if table.folder is not None:
        return "image-classification", "a folder of images and a class for each"
    if table.columns.talk:
        asked, answer = " and ".join(table.columns.input), table.columns.label
        return "instruction", f"prompts in {asked}, answers in {answer}" if answer else f"conversations in {asked}"
    kind = kind_of(table)
    if kind == "tags":
        return "token-classification", f"lists of words, and a tag for each: {told(table)}"
    two = len(table.columns.input) == 2
    texts = "two text columns" if two else "a text column"
    if kind == "any-of":
        beside = table.columns.label is not None and table.columns.label not in table.data.column_names
        return "multi-label", f"{texts} and {'label columns' if beside else 'a label column with several to a row'}"
    if kind == "numbers":
        different = len(set(table.labels))
        return "text-regression", f"{texts} and a label column of {different:,} different numbers"
    return "text-pair" if two else "text-classification", f"{texts} and a label column"
