"""Tokens a second and the share of the machine's rate (MFU) where a GPU is at hand. Run: python bench/gpu.py

Two networks with random weights, of MiniLM's and of BERT-base's size, on generated rows of about 27 and 200 tokens: for
speed alone, nothing is fetched. Ours with the lowest third of the blocks frozen and stored, and with nothing frozen;
transformers' Trainer in bf16 with its lowest third frozen likewise, and with nothing frozen. The same batch sizes, 60
steps of which the first 12 are not counted. The share is of the rate that large products in bf16 reach here, with the
operations of a step counted by torch. `--try` runs a small part, on a processor too.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
import transformers as tf
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from torch.utils.flop_counter import FlopCounterMode

import common
import finetooth as ft
from finetooth import machine
from finetooth.loop import fit
from finetooth.prefix import stores
from finetooth.prepare import Material
from finetooth.progress import Silent
from limit import rate

SIZES = {
    "minilm": {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536},
    "base": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072},
}
TOKENS, BATCHES, WORDS = (27, 200), (32, 256), 20_000
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


def model(folder: Path, size: str) -> Path:
    """A directory with such a network and a tokenizer of words."""
    words = [*SPECIAL, *(f"w{i}" for i in range(WORDS))]
    made = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    made.pre_tokenizer = Whitespace()
    made.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    tf.PreTrainedTokenizerFast(tokenizer_object=made, model_max_length=512, **names).save_pretrained(folder)
    torch.manual_seed(0)
    tf.BertForSequenceClassification(tf.BertConfig(vocab_size=len(words), **SIZES[size])).save_pretrained(folder)
    return folder


def rows(path: Path, tokens: int, many: int) -> Path:
    """Rows of random words, their lengths spread as those of sentences are; the label hangs on one word."""
    draw = np.random.default_rng(0)
    with open(path, "w", encoding="utf-8") as file:
        for length in draw.lognormal(np.log(tokens), 0.5, many).clip(4, 500).astype(int):
            words = draw.integers(0, WORDS, length)
            text = " ".join(f"w{i}" for i in words)
            file.write(json.dumps({"text": text, "label": "even" if words[0] % 2 == 0 else "odd"}) + "\n")
    return path


class Listening(Silent):
    """Knows whether a store was built."""

    stored_rows = 0

    def stored(self, done: int, rows: int) -> None:
        self.stored_rows = done


def synchronised() -> float:
    """The time, when all that was asked of the device is done."""
    if machine.device() == "cuda":
        torch.cuda.synchronize()
    return perf_counter()


def ours(folder: Path, file: Path, batch: int, freeze: int | str, steps: int) -> dict[str, float]:
    """Tokens a second in the steps, seconds before the first, operations a step."""
    shutil.rmtree(stores(), ignore_errors=True)
    plan = ft.Plan.of({"batch_size": batch, "freeze": freeze, "epochs": 1.0, "precision": "bf16"})
    told = Listening()
    job = Material.of(ft.read(file), plan, str(folder)).job(plan, progress=told)
    began, at = synchronised(), []
    training = fit(job.state(), job.batches, job.recipe, lambda net, ask: {})
    for step in training:
        at.append(synchronised())
        if step.step == steps:
            break
    assert not freeze or told.stored_rows, "what is frozen was not stored"
    tokens = [
        sum(int(job.training.lengths[part.rows].sum()) for part in chosen)
        for chosen in islice(job.batches(0), 2 * steps)
    ]
    with FlopCounterMode(display=False) as counter:
        for _ in range(steps // 5):
            next(training)
    counted = sum(tokens[steps : steps + steps // 5])
    skipped, tokens = steps // 5, tokens[:steps]
    seconds = at[-1] - at[skipped - 1]
    return {
        "tokens per second": sum(tokens[skipped:]) / seconds,
        "before the steps, seconds": at[0] - began,
        "operations per second": counter.get_total_flops() / counted * sum(tokens[skipped:]) / seconds,
    }


def trainer(folder: Path, file: Path, batch: int, freeze: int, steps: int) -> dict[str, float]:
    """Tokens a second in its steps."""
    import train as beside

    table = ft.read(file)
    with tempfile.TemporaryDirectory() as out:
        tokenizer = tf.AutoTokenizer.from_pretrained(folder)
        encoded = tokenizer([row[0] for row in table.inputs], truncation=True)["input_ids"]
        data = [
            {"input_ids": ids, "attention_mask": [1] * len(ids), "label": int(label == "odd")}
            for ids, label in zip(encoded, table.labels, strict=True)
        ]
        net = tf.AutoModelForSequenceClassification.from_pretrained(folder)
        beside.freeze(net, freeze or None)
        args = tf.TrainingArguments(
            output_dir=out,
            per_device_train_batch_size=batch,
            max_steps=steps,
            bf16=True,
            use_cpu=machine.device() == "cpu",
            report_to="none",
            disable_tqdm=True,
            save_strategy="no",
            logging_strategy="no",
        )
        made = tf.Trainer(net, args, train_dataset=data, processing_class=tokenizer)
        at = beside.clocked(made)
        made.train()
    skipped = steps // 5
    mean = float(np.mean([len(ids) for ids in encoded]))
    return {"tokens per second": mean * batch * (steps - skipped) / (at[-1] - at[skipped - 1])}


def main() -> None:
    trying = sys.argv[1:] == ["--try"]
    if machine.device() == "cpu" and not trying:
        print("There is no GPU here; nothing was measured.")
        return
    steps = 5 if trying else 60
    out = Path(os.environ.get("OUT", common.RESULTS))
    reached = rate([(1024 if trying else 8192,) * 3])
    found: dict[str, Any] = {"rate": reached, "runs": []}
    with tempfile.TemporaryDirectory() as folder:
        for size in ["minilm"] if trying else SIZES:
            path = model(Path(folder) / size, size)
            third = int(SIZES[size]["num_hidden_layers"]) // 3
            for tokens in TOKENS[:1] if trying else TOKENS:
                for batch in BATCHES[:1] if trying else BATCHES:
                    # An epoch has half as many steps again, for those whose operations are counted.
                    file = rows(Path(folder) / f"{tokens}-{batch}.jsonl", tokens, 2 * steps * batch)
                    for freeze in (third, 0):
                        own, peer = (side(path, file, batch, freeze, steps) for side in (ours, trainer))
                        run = {"size": size, "tokens": tokens, "batch": batch, "frozen blocks": freeze}
                        ratio = own["tokens per second"] / peer["tokens per second"]
                        share = own["operations per second"] / reached
                        run |= {"ours": own, "trainer": peer, "times as fast": ratio, "share of the rate": share}
                        found["runs"].append(run)
                        print(run, flush=True)
                        if not trying:  # after each, since the time there may be over at any moment
                            (out / "gpu.json").write_text(json.dumps({**machine.facts(), **found}, indent=1))


if __name__ == "__main__":
    main()
