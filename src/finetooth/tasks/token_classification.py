"""Token classification: a list of words per row and a tag for each: entities such as names, or parts of speech."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from finetooth.backbones import Backbone, How, load_tagger, load_tuned_tagger
from finetooth.errors import DataError
from finetooth.metrics import ENTITIES, PLAIN_TAGS, Metric
from finetooth.table import Kind, Table, words_in
from finetooth.tags import OUTSIDE, SIGNS, PerRow, Scheme, Tags, type_of
from finetooth.tasks.base import READS, Encoded, for_network, padded
from finetooth.tasks.texts import Texts, refuse_missing

MOST_TAGS = 1000  # more are no tags
Spans = NDArray[np.int64]  # (words, 2), in characters


class TokenClassification(Texts):
    """Words in one column, a tag for each in another. Targets are an array for each row, of its words' tag numbers.

    Devlin et al. 2019 (BERT), section 5.3: the first token of each word answers for the word. Every word counts alike.
    """

    kind: Kind = "tags"
    pipeline = ("token-classification", '"a text like those of the data set", aggregation_strategy="first"')
    loss = ("cross-entropy", "one of several tags for each word")
    losses: Sequence[str] = ("cross-entropy", "focal")

    def metrics(self, names: list[str]) -> Mapping[str, Metric]:
        """Those of entities or, where the tags mark none, of the tags themselves."""
        return ENTITIES if Scheme.of(names).marks else PLAIN_TAGS

    def goal(self, targets: NDArray[Any], names: list[str], loss: object) -> tuple[str, str]:
        """F1 of entities: most words are in none, so that accuracy says little."""
        scheme = Scheme.of(names)
        if scheme.marks:
            return "entity_f1", f"the tags mark entities ({scheme.name}), and most words are in none"
        return "word_accuracy", "plain tags, one for each word"

    def names(self, table: Table) -> list[str]:
        """The tags: O first and then type by type, every sign of each, or plain ones by the alphabet.

        Raises DataError for rows without a tag for each word, or one tag alone.
        """
        self.refuse_kind(table)
        missing = next((i for i, words in enumerate(table.words) if words is None), None)
        if missing is not None:
            raise DataError(
                f"{table.place(missing)}: found a text, expected a list of words as token-classification has it: a "
                f"column 'tokens' and a column 'tags' of as many tags, or a .conll file. Leave task at auto for texts."
            )
        refuse_missing(table)
        own = zip(table.tags, table.parts, strict=True)
        # The source's own test part has no say in what is learnt.
        seen = {tag for tags, part in own if part != "test" for tag in tags or ()}
        names = _completed(seen)
        strange = {tag for tags in table.tags for tag in tags or ()} - {*names}
        if strange:
            self.refuse_strange(table, names)
        if len(seen) < 2 or len(names) > MOST_TAGS:
            raise DataError(
                f"{table.source}: found {len(names):,} different tags in the column '{table.columns.label}', expected "
                f"from two to {MOST_TAGS:,}. Was another column meant? Say so with --label."
            )
        return names

    def refuse_kind(self, table: Table) -> None:
        """Raise DataError where the rows are images, or have several inputs."""
        super().refuse_kind(table)
        if len(table.columns.input) != 1:
            raise DataError(
                f"{table.source}: found {len(table.columns.input)} input columns ({', '.join(table.columns.input)}), "
                f"expected one, of lists of words or of texts; name it with --input."
            )

    def refuse_strange(self, table: Table, names: list[str]) -> None:
        """Raise DataError for a tag that is not one of the names."""
        known = {*names}
        for i, tags in enumerate(table.tags):
            if strange := sorted({*(tags or ())} - known):
                raise DataError(
                    f"{table.place(i)}: the tag '{strange[0]}' is in no row that trains ({', '.join(names[:8])} are), "
                    f"so it cannot be learnt. Take such rows out, or bring some to train on."
                )

    def targets(self, table: Table, ids: Sequence[str], names: Sequence[str]) -> PerRow:
        """The tag numbers of each row's words, -1 where they are not known; none where the row is a text, (rows,)."""
        number, found = {name: i for i, name in enumerate(names)}, np.empty(len(ids), dtype=object)
        labelled = table.columns.label is not None
        for row, i in enumerate(table.position[row_id] for row_id in ids):
            tags = (table.tags[i] if labelled else None) or [""] * len(table.words[i] or ())
            found[row] = np.array([number.get(tag, -1) for tag in tags], dtype=np.int64)
        return found

    def load(self, model: str, names: list[str], **how: Unpack[How]) -> Backbone:
        """An encoder with a new head for every token."""
        return load_tagger(model, names, **how)

    def tuned(self, folder: Path) -> tuple[Any, Any]:
        """The network and tokenizer of a tuned model's directory."""
        return load_tuned_tagger(folder)

    def read(
        self,
        inputs: Sequence[Sequence[str]],
        tokenizer: Any,
        max_length: int,
        *,
        ids: Sequence[str],
        targets: NDArray[Any],
    ) -> Encoded:
        """The tokens of each row's words, cut at `max_length`; marked is the first of each word that is left.

        A row that is a text is parted into words as `parted` does.
        """
        rows = [words_in(cell) for (cell,) in inputs]
        texts = [i for i, row in enumerate(rows) if row is None]
        found = parted([inputs[i][0] for i in texts], tokenizer)
        targets = targets.copy()
        for i, (words, _) in zip(texts, found, strict=True):
            rows[i], targets[i] = words, np.full(len(words), -1, dtype=np.int64)
        tokens, marks, whole = _tokens([row or [] for row in rows], tokenizer, max_length)
        return Encoded(
            ids=list(ids),
            tokens=np.array([t for row in tokens for t in row], dtype=np.int32),
            offsets=np.cumsum([0, *map(len, tokens)], dtype=np.int64),
            targets=targets,
            whole=np.array(whole, dtype=np.int64),
            marks=np.array([m for row in marks for m in row], dtype=bool),
        )

    def collate(self, encoded: Encoded, rows: NDArray[np.int64], pad: int) -> tuple[dict[str, Tensor], Tensor]:
        """What `padded` gives, READS at the marked tokens; targets of the words that they begin."""
        inputs = padded(encoded, rows, pad)
        counts = zip(encoded.targets[rows], encoded.counts[rows].tolist(), strict=True)
        targets = np.concatenate([own[:count] for own, count in counts])
        return {**inputs, READS: inputs.pop("marks").bool()}, torch.from_numpy(targets)

    def logits(self, net: Callable[..., Any], inputs: Mapping[str, Tensor]) -> Tensor:
        """(words, tags)."""
        logits: Tensor = net(**for_network(inputs)).logits
        reads = inputs[READS]
        return logits[:, -reads.shape[1] :][reads]  # tokens of an adapter's own may stand before those of the text

    def said(self, logits: Tensor, targets: Tensor, counts: Tensor) -> Tensor:
        """Softmax, in fp32, (words, tags)."""
        return torch.softmax(logits.float(), dim=-1)

    def answers(self, ids: Sequence[str], targets: PerRow, said: PerRow, names: list[str]) -> Tags:
        """A tag for each word; `said` has an array for each row."""
        return Tags(list(ids), targets, said, names)


def places(table: Table, ids: Sequence[str], tokenizer: Any) -> PerRow | None:
    """Where in the rows that are texts each word stands; None where none is one."""
    found = np.empty(len(ids), dtype=object)
    texts = [row for row, row_id in enumerate(ids) if table.words[table.position[row_id]] is None]
    for row in range(len(ids)):
        found[row] = np.zeros((0, 2), dtype=np.int64)
    cells = [table.inputs[table.position[ids[row]]][0] for row in texts]
    for row, (_, spans) in zip(texts, parted(cells, tokenizer), strict=True):
        found[row] = spans
    return found if texts else None


def parted(texts: Sequence[str], tokenizer: Any) -> list[tuple[list[str], Spans]]:
    """The words of each text as the tokenizer parts it, mostly at blanks and punctuation, and where they stand."""
    if not texts:
        return []
    found = tokenizer(list(texts), add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    rows = []
    for i, (text, offsets) in enumerate(zip(texts, found["offset_mapping"], strict=True)):
        spans: dict[int, list[int]] = {}
        for word, (start, end) in zip(found.word_ids(i), offsets, strict=True):
            spans.setdefault(word, [start, end])[1] = end
        bare = [_bare(text, start, end) for start, end in spans.values()]
        kept = [(start, end) for start, end in bare if end > start]
        rows.append(([text[start:end] for start, end in kept], np.array(kept, dtype=np.int64).reshape(-1, 2)))
    return rows


def _bare(text: str, start: int, end: int) -> tuple[int, int]:
    """Without the blanks at its ends: some tokenizers count the one before a word as its part."""
    word = text[start:end]
    return start + len(word) - len(word.lstrip()), end - len(word) + len(word.rstrip())


def _tokens(
    rows: Sequence[list[str]], tokenizer: Any, max_length: int
) -> tuple[list[list[int]], list[list[bool]], list[int]]:
    """Of each row its tokens, which of them is the first of a word, and how many they were before they were cut.

    A word of which the tokenizer makes nothing stands as an unknown one, so that every word has a token.
    """
    if not rows:
        return [], [], []
    how: dict[str, Any] = {"is_split_into_words": True, "return_attention_mask": False, "return_token_type_ids": False}
    found = tokenizer(list(rows), verbose=False, **how)
    lost = [i for i, row in enumerate(rows) if len({*found.word_ids(i)} - {None}) < len(row)]
    tokens, words = list(found["input_ids"]), [found.word_ids(i) for i in range(len(rows))]
    whole = [len(row) for row in tokens]
    named = {i: _spelt(rows[i], words[i], tokenizer) for i in lost}
    long = [i for i, length in enumerate(whole) if length > max_length]
    again = sorted({*lost, *long})
    if again:
        cut = tokenizer([named.get(i, rows[i]) for i in again], truncation=True, max_length=max_length, **how)
        for place, i in enumerate(again):
            tokens[i], words[i] = cut["input_ids"][place], cut.word_ids(place)
    marks = [[word is not None and word != before for before, word in _pairs(row)] for row in words]
    return tokens, marks, whole


def _spelt(row: Sequence[str], words: Sequence[int | None], tokenizer: Any) -> list[str]:
    there = {*words}
    return [word if i in there else tokenizer.unk_token or "?" for i, word in enumerate(row)]


def _pairs(row: Sequence[int | None]) -> Iterable[tuple[int | None, int | None]]:
    return zip([None, *row[:-1]], row, strict=True)


def _completed(seen: set[str]) -> list[str]:
    """The tags, those that mark entities with every sign for each type that occurs."""
    scheme = Scheme.of(sorted(seen))
    if not scheme.marks:
        return sorted(seen)
    signs = {"BIO": "BI", "BIOES": "BIES", "BILOU": "BILU"}[scheme.name]
    bare = {type_of(tag) for tag in seen if tag in SIGNS}
    return [OUTSIDE, *(sign if kind in bare else f"{sign}-{kind}" for kind in scheme.kinds for sign in signs)]
