"""A language model learns to answer: what it writes before and after, and where it does so best.

python examples/instruction.py questions.jsonl smollm2 runs/questions
"""

import sys

import finetooth as ft


def main(data: str, model: str, out: str) -> None:
    table = ft.read(data)  # prompt and completion, or messages, or Alpaca's columns
    plan = ft.Plan(split="60-20-20", epochs=2, adapter={"type": "lora", "r": 8})
    run = ft.train(table, plan, model=model, out=out)
    said = ft.evaluate(run)["written"]  # opens the seal
    for name in ("exact_match", "token_f1"):
        print(name, said[name]["before"]["value"], "->", said[name]["after"]["value"])
    print(ft.replies(run, table, run.split.validation[:3]).texts)


if __name__ == "__main__":
    main(*sys.argv[1:])
