"""Text pairs: two texts a row, and one of several classes that is about both: does one follow from the other?"""

from __future__ import annotations

from finetooth.tasks.text_classification import TextClassification


class TextPair(TextClassification):
    """Two texts in two columns, read as one row with a separator between them, and a class name in a third.

    Devlin et al. 2019 (BERT), section 4.1. What is too long loses tokens of the longer text first.
    """

    columns = 2
    pipeline = ("text-classification", '{"text": "a first text", "text_pair": "a second one"}')
