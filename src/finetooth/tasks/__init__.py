"""Tasks: what is particular about one kind of job. One file each; `TASKS` gives them their names."""

from copy import copy

from finetooth.backbones import writes_from_a_source
from finetooth.errors import PlanError, nearest
from finetooth.labels import kind_of, told
from finetooth.table import Table
from finetooth.tasks.base import OWNERS, READS, Encoded, Long, Task, for_network, reach, summed, tokenized
from finetooth.tasks.chat import asked, conversation
from finetooth.tasks.image_classification import ImageClassification
from finetooth.tasks.instruction import Instruction
from finetooth.tasks.multi_label import MultiLabel
from finetooth.tasks.preference import Preference
from finetooth.tasks.seq2seq import Seq2Seq
from finetooth.tasks.text_classification import TextClassification
from finetooth.tasks.text_pair import TextPair
from finetooth.tasks.text_regression import TextRegression
from finetooth.tasks.token_classification import TokenClassification, places
from finetooth.tasks.writing import Writing

__all__ = [
    "OWNERS",
    "READS",
    "TASKS",
    "Encoded",
    "Instruction",
    "Preference",
    "Task",
    "Writing",
    "asked",
    "conversation",
    "fitting",
    "for_network",
    "named",
    "places",
    "reach",
    "reading",
    "summed",
    "tokenized",
]

TASKS: dict[str, Task] = {
    "text-classification": TextClassification(),
    "text-pair": TextPair(),
    "text-regression": TextRegression(),
    "multi-label": MultiLabel(),
    "token-classification": TokenClassification(),
    "instruction": Instruction(),
    "preference": Preference(),
    "seq2seq": Seq2Seq(),
    "image-classification": ImageClassification(),
}


def named(name: str) -> Task:
    """The task of this name. Raises PlanError, with the nearest one there is."""
    if name not in TASKS:
        raise PlanError(f"task: there is no '{name}'; {nearest(name, ['auto', *TASKS])}")
    return TASKS[name]


def reading(task: Task, long: Long) -> Task:
    """The same task, which reads texts that are too long in another way. Raises PlanError where it cannot."""
    if long == "cut":
        return task
    if not isinstance(task, TextClassification | TextRegression | MultiLabel) or isinstance(task, ImageClassification):
        raise PlanError(
            f"long: found {long}, which is for text-classification, text-regression and multi-label; leave it away."
        )
    otherwise = copy(task)
    otherwise.long = long
    return otherwise


def fitting(table: Table, model: str) -> tuple[str, str]:
    """The task that these rows make, and the reason in words; the model is asked where there are two."""
    if table.folder is not None:
        return "image-classification", "a folder of images and a class for each"
    if table.columns.talk:
        asked, answer = " and ".join(table.columns.input), table.columns.label
        if table.columns.rejected is not None:
            return "preference", f"two answers to a prompt, of which the one in {answer or asked} is preferred"
        if answer and writes_from_a_source(model):
            return "seq2seq", f"sources in {asked}, what is to be written in {answer}, an encoder and a decoder"
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
