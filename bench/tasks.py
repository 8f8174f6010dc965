"""Tasks beside what people use for them. Run: python bench/tasks.py PART [--rows N] [--seeds N]

`images`: fabric faults with efficientnet-lite0, recipes/images.yaml beside transformers' Trainer. `trainer guide` is
as transformers' guide to image classification has it (AutoImageProcessor, images opened and prepared as they are asked
for, batch 16 accumulated 4 times, 5e-5, warm-up of a tenth, 3 epochs, best model at the end), `trainer tuned` with our
learning rate, batch and epochs, `trainer tuned, as large` besides with images as large as ours. Same rows, split,
checkpoint and machine. The clock runs from the folder to the saved best model; test rows are scored after it stopped.

`lora`: questions about a passage (DisflQA) with SmolLM2-135M, recipes/instruction.yaml, as it is and with `every block`
adapted instead of the upper third, beside TRL's SFTTrainer. `trl` is as its documentation advises for adapters
(LoraConfig as it is, 1e-4, all else at its defaults: batch 8, 3 epochs, bf16, activation checkpointing), `trl tuned`
with our rank, target layers, learning rate, batch and epochs and without checkpointing. All answer the sealed rows by
the same code.

Each run is a process of its own, kept at once in results/tasks.json under its part with its commit, and not run again
when it is there; runs on fewer rows are kept apart. A part is a function in PARTS: side, seed, rows -> a result.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, time
from typing import Any

import numpy as np
import torch
from PIL import Image

import common
import data
import finetooth as ft
import pictures
from finetooth import machine
from finetooth.backbones import efficientnet_lite, smollm2
from finetooth.converse import compared
from finetooth.packaged import fetch
from finetooth.prefix import stores
from finetooth.prepare import Material
from finetooth.tasks import Writing, conversation, named

RECIPES = Path(__file__).parent.parent / "recipes"


def image_plan(seed: int) -> ft.Plan:
    """Our recipe for images."""
    return ft.Plan.read(RECIPES / "images.yaml").model_copy(update={"seed": seed})


def our_images(table: ft.Table, seed: int, rows: int | None, out: Path) -> dict[str, Any]:
    """`finetooth train`, no store there yet."""
    shutil.rmtree(stores(), ignore_errors=True)
    now = time()
    run = ft.train(table, image_plan(seed), model=efficientnet_lite.NAME, out=out, rows=rows)
    seconds = (out / "model" / "model.safetensors").stat().st_mtime - now  # written last of what makes the best model
    report = ft.evaluate(run)
    accuracy = {"validation": report["validation"]["accuracy"], "test": report["test"]["accuracy"]["value"]}
    return {"seconds": seconds, "accuracy": accuracy, "plan": run.plan.values()}


class Pictures(torch.utils.data.Dataset[dict[str, Any]]):
    """The images of some rows, opened and prepared when they are asked for, as the guide does it."""

    def __init__(self, table: ft.Table, ids: Sequence[str], processor: Any) -> None:
        self.files = [table.file(table.position[i]) for i in ids]
        names = sorted({str(label) for label in table.labels})
        self.labels = [names.index(str(table.labels[table.position[i]])) for i in ids]
        self.processor = processor

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, place: int) -> dict[str, Any]:
        with Image.open(self.files[place]) as image:
            pixels = self.processor(images=image.convert("RGB"), return_tensors="pt")["pixel_values"][0]
        return {"pixel_values": pixels, "labels": self.labels[place]}


def trainer_images(table: ft.Table, seed: int, rows: int | None, out: Path, side: str) -> dict[str, Any]:
    """transformers' Trainer on the same rows."""
    import transformers as tf

    plan = image_plan(seed)
    split = Material.of(table, plan, efficientnet_lite.NAME, rows=rows).split
    model, began = efficientnet_lite.checkpoint(), perf_counter()
    processor = tf.AutoImageProcessor.from_pretrained(model, backend="pil")
    if side.endswith("as large"):
        with Image.open(table.file(0)) as image:
            processor.size = {"height": image.height, "width": image.width}
    parts = {part: Pictures(table, getattr(split, part), processor) for part in ("train", "validation", "test")}
    tf.set_seed(seed)
    guide = {"learning_rate": 5e-5, "gradient_accumulation_steps": 4, "num_train_epochs": 3}
    tuned = {"learning_rate": plan.learning_rate, "num_train_epochs": plan.epochs}
    trainer = tf.Trainer(
        model=tf.AutoModelForImageClassification.from_pretrained(
            model, num_labels=len(set(table.labels)), ignore_mismatched_sizes=True
        ),
        args=tf.TrainingArguments(
            output_dir=str(out),
            per_device_train_batch_size=16,
            per_device_eval_batch_size=16,
            warmup_steps=0.1,
            eval_strategy="epoch",
            save_strategy="epoch",
            load_best_model_at_end=True,
            metric_for_best_model="accuracy",
            remove_unused_columns=False,
            use_cpu=machine.device() == "cpu",
            report_to="none",
            disable_tqdm=True,
            seed=seed,
            **(guide if side == "trainer guide" else tuned),
        ),
        data_collator=tf.DefaultDataCollator(),
        train_dataset=parts["train"],
        eval_dataset=parts["validation"],
        processing_class=processor,
        compute_metrics=lambda p: {"accuracy": float((p.predictions.argmax(-1) == p.label_ids).mean())},
    )
    trainer.train()
    trainer.save_model(str(out / "best"))
    seconds = perf_counter() - began
    scored = {part: trainer.evaluate(parts[part])["eval_accuracy"] for part in ("validation", "test")}
    return {"seconds": seconds, "accuracy": scored}


def images(side: str, seed: int, rows: int | None) -> dict[str, Any]:
    """One run of the images, by one side."""
    table = ft.read(fetch(pictures.SETS["textiles"]))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        if side == "finetooth":
            return our_images(table, seed, rows, out)
        return trainer_images(table, seed, rows, out, side)


def our_lora(table: ft.Table, plan: ft.Plan, rows: int | None, out: Path) -> dict[str, Any]:
    """`finetooth train`, no store there yet."""
    shutil.rmtree(stores(), ignore_errors=True)
    now = time()
    run = ft.train(table, plan, model=smollm2.NAME, out=out, rows=rows)
    seconds = (out / "model" / "model.safetensors").stat().st_mtime - now
    said = ft.evaluate(run)["written"]
    return {"seconds": seconds, "scores": {name: said[name]["after"]["value"] for name in ("exact_match", "token_f1")}}


def trl_lora(table: ft.Table, plan: ft.Plan, rows: int | None, out: Path, side: str) -> dict[str, Any]:
    """TRL's SFTTrainer on the same rows, its adapter merged."""
    import transformers as tf
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    split = Material.of(table, plan, smollm2.NAME, rows=rows).split
    told = [conversation(table, table.position[i]) for i in split.train]
    model, began = str(smollm2.checkpoint()), perf_counter()
    adapter, how = LoraConfig(), {"learning_rate": 1e-4}
    if side == "trl tuned":
        adapter = LoraConfig(r=plan.adapter.r, lora_alpha=2 * plan.adapter.r, target_modules="all-linear")
        how = {
            "learning_rate": plan.learning_rate,
            "num_train_epochs": plan.epochs,
            "per_device_train_batch_size": plan.batch_size,
            "gradient_checkpointing": False,
        }
    trainer = SFTTrainer(
        model=tf.AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32),
        processing_class=tf.AutoTokenizer.from_pretrained(model),
        args=SFTConfig(
            output_dir=str(out),
            use_cpu=machine.device() == "cpu",
            report_to="none",
            disable_tqdm=True,
            save_strategy="no",
            seed=plan.seed,
            **how,
        ),
        train_dataset=Dataset.from_list([{"prompt": each[:-1], "completion": each[-1:]} for each in told]),
        peft_config=adapter,
    )
    trainer.train()
    merged = trainer.model.merge_and_unload()
    merged.save_pretrained(out / "best")
    seconds = perf_counter() - began
    task, tokenizer = named("instruction"), tf.AutoTokenizer.from_pretrained(model)
    assert isinstance(task, Writing)
    before = (tf.AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval(), tokenizer)
    said = compared(task, before, (merged.eval(), tokenizer), table, split.test, 1024, "bf16")
    return {"seconds": seconds, "scores": {name: said[name]["after"]["value"] for name in ("exact_match", "token_f1")}}


def lora(side: str, seed: int, rows: int | None) -> dict[str, Any]:
    """One run of the questions, by one side."""
    table = ft.read(data.path("disflqa"), group="group")
    plan = ft.Plan.read(RECIPES / "instruction.yaml").model_copy(update={"seed": seed})
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        if side.startswith("trl"):
            return trl_lora(table, plan, rows, out, side)
        if side.endswith("every block"):
            plan = plan.model_copy(update={"freeze": 0})
        return our_lora(table, plan, rows, out)


@dataclass(frozen=True)
class Part:
    """Who stands beside whom, and one run: (side, seed, rows) -> at least `seconds`."""

    sides: tuple[str, ...]
    run: Callable[[str, int, int | None], dict[str, Any]]


PARTS = {
    "images": Part(("finetooth", "trainer guide", "trainer tuned", "trainer tuned, as large"), images),
    "lora": Part(("finetooth", "finetooth, every block", "trl", "trl tuned"), lora),
}


def ratios(sides: Sequence[str], runs: dict[str, Any], seeds: int, rows: int | None) -> dict[str, float]:
    """The seconds of each side over those of the first, the median over seeds."""

    def seconds(side: str) -> list[float]:
        return [runs[common.key(side, seed, rows)]["seconds"] for seed in range(seeds)]

    return {side: float(np.median(np.divide(seconds(side), seconds(sides[0])))) for side in sides[1:]}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--one", nargs=2, metavar=("SIDE", "SEED"))
    told = parser.parse_args()
    part, path = PARTS[told.part], common.RESULTS / "tasks.json"
    if told.one:
        print(json.dumps({**part.run(told.one[0], int(told.one[1]), told.rows), "commit": common.commit()}))
        return
    kept = json.loads(path.read_text())["parts"] if path.exists() else {}
    runs = kept.setdefault(told.part, {"runs": {}})["runs"]
    for seed in range(told.seeds):
        for side in part.sides:
            if (name := common.key(side, seed, told.rows)) in runs:
                continue
            command = [sys.executable, __file__, told.part, "--one", side, str(seed)]
            command += ["--rows", str(told.rows)] if told.rows else []
            said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            runs[name] = json.loads(said.stdout.splitlines()[-1])
            print(f"{name}: {runs[name]}", flush=True)
            common.write("tasks", {"parts": kept})
    found = ratios(part.sides, runs, told.seeds, told.rows)
    kept[told.part]["times as long" + (f", {told.rows} rows" if told.rows else "")] = found
    print(f"wrote {common.write('tasks', {'parts': kept})}: times as long as finetooth {found}")


if __name__ == "__main__":
    main()
