"""What is learnt of a conversation: for every template, the answers with their end token, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import transformers as tf
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as Decoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer

import finetooth as ft
from finetooth.errors import DataError, ModelError
from finetooth.tasks.chat import conversation, marked, rendered

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TEMPLATES = {
    "chatml": (CHATML, "<|im_end|>"),
    "default system": (
        "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nBe kind.<|im_end|>\n{% endif %}" + CHATML,
        "<|im_end|>",
    ),
    "llama 3": (
        "{{ '<|begin|>' }}{% for m in messages %}{{ '<|header|>' + m['role'] + '<|headend|>\n\n' + m['content'] | trim "
        "+ '<|eot|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|header|>assistant<|headend|>\n\n' }}{% endif %}",
        "<|eot|>",
    ),
    "inst": (
        "{{ '<s>' }}{% for m in messages %}{% if m['role'] == 'user' %}{{ '[INST] ' + m['content'] + ' [/INST]' }}"
        "{% elif m['role'] == 'assistant' %}{{ ' ' + m['content'] + '</s>' }}{% endif %}{% endfor %}",
        "</s>",
    ),
    "gemma": (
        "{% for m in messages %}{{ '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\n' + "
        "m['content'] | trim + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}"
        "{{ '<start_of_turn>model\n' }}{% endif %}",
        "<end_of_turn>",
    ),
    "words": (
        "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}",
        "",
    ),
}
FORGETFUL = (
    "{% for m in messages %}{% if not (m['role'] == 'assistant' and not loop.last) %}{{ m['role'] + m['content'] }}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ 'assistant' }}{% endif %}"
)
TALK = [
    {"role": "user", "content": "How many legs has a spider?"},
    {"role": "assistant", "content": "Eight legs, in four pairs."},
    {"role": "user", "content": "And an ant?\nSix?"},
    {"role": "assistant", "content": "Six.\nThat is right: six legs."},
]


@pytest.fixture(scope="module")
def plain() -> Any:
    """A byte-level tokenizer with the marks of every template above."""
    made = Tokenizer(BPE())
    made.pre_tokenizer, made.decoder = ByteLevel(add_prefix_space=False), Decoder()
    special = ["<|im_start|>", "<|im_end|>", "<|begin|>", "<|header|>", "<|headend|>", "<|eot|>", "<s>", "</s>"]
    special += ["<start_of_turn>", "<end_of_turn>", "<pad>"]
    texts = [m["content"] for m in TALK] * 20 + ["user assistant system: model\n"] * 20
    made.train_from_iterator(
        texts,
        BpeTrainer(vocab_size=400, special_tokens=special, show_progress=False, initial_alphabet=ByteLevel.alphabet()),
    )
    return tf.PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", eos_token="</s>", bos_token="<s>")


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("turns", [2, 4])
def test_the_marked_tokens_are_the_answers_and_their_ends(name: str, turns: int, plain: Any) -> None:
    plain.chat_template, end = TEMPLATES[name]
    [(ids, marks)] = marked(plain, [rendered(plain, TALK[:turns])])
    answers = [m["content"] for m in TALK[:turns] if m["role"] == "assistant"]
    runs: list[list[int]] = []
    for i, (token, mark) in enumerate(zip(ids, marks.tolist(), strict=True)):
        if mark:
            runs = runs if i and marks[i - 1] else [*runs, []]
            runs[-1].append(token)
    assert [plain.decode(run).removeprefix(" ") for run in runs] == [answer + end for answer in answers]
    # What is not marked is the rest of the text, and nothing of an answer.
    rest = plain.decode([token for token, mark in zip(ids, marks.tolist(), strict=True) if not mark])
    assert not any(answer in rest for answer in answers)


def test_the_text_is_the_templates_own_up_to_the_last_answers_end(plain: Any) -> None:
    plain.chat_template = CHATML
    whole = plain.apply_chat_template(TALK, tokenize=False)
    assert whole == rendered(plain, TALK).text + "\n"


def test_a_template_that_rewrites_earlier_turns_is_refused(plain: Any) -> None:
    plain.chat_template = FORGETFUL
    with pytest.raises(ModelError, match="writes earlier turns anew"):
        rendered(plain, TALK)
    assert rendered(plain, TALK[:2]).answers


def test_without_a_template_a_completion_follows_its_prompt(plain: Any) -> None:
    plain.chat_template = None
    [(ids, marks)] = marked(plain, [rendered(plain, TALK[:2])])
    learnt = [token for token, mark in zip(ids, marks.tolist(), strict=True) if mark]
    assert plain.decode(learnt) == TALK[1]["content"] + "</s>"
    with pytest.raises(ModelError, match="no chat template"):
        rendered(plain, TALK)


LAYOUTS: dict[str, dict[str, Any]] = {
    "messages": {"messages": TALK[:2]},
    "sharegpt": {
        "conversations": [{"from": "human", "value": TALK[0]["content"]}, {"from": "gpt", "value": TALK[1]["content"]}]
    },
    "prompt": {"prompt": TALK[0]["content"], "completion": TALK[1]["content"]},
    "alpaca": {"instruction": TALK[0]["content"], "input": "", "output": TALK[1]["content"]},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_says_the_same(layout: str, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("\n".join([json.dumps(LAYOUTS[layout])] * 2), encoding="utf-8")
    table = ft.read(tmp_path / "rows.jsonl")
    assert conversation(table, 0) == TALK[:2]


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("hello", "expected a list of messages"),
        pytest.param("[" * 100_000, "expected a list of messages", id="too deep"),
        ([{"role": "user", "content": "a"}], "no message of the assistant"),
        ([{"role": "wizard", "content": "a"}, {"role": "assistant", "content": "b"}], "found the role 'wizard'"),
        ([{"role": "user", "content": ["a"]}], "expected a list of messages"),
    ],
)
def test_what_is_no_conversation_is_refused_by_row(cell: Any, says: str, tmp_path: Path) -> None:
    rows = [{"messages": TALK[:2]}, {"messages": cell}]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    with pytest.raises(DataError, match=f"row 2.*{says}"):
        conversation(ft.read(tmp_path / "rows.jsonl"), 1)
