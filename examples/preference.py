"""A language model comes to prefer one of two answers: how surely, and what it writes before and after.

python examples/preference.py pairs.jsonl smollm2 runs/pairs
"""

import sys

import finetooth as ft


def main(data: str, model: str, out: str) -> None:
    table = ft.read(data)  # prompt, chosen and rejected
    plan = ft.Plan(split="60-20-20", epochs=1, loss={"name": "dpo", "beta": 0.1}, adapter={"type": "lora", "r": 8})
    run = ft.train(table, plan, model=model, out=out)
    report = ft.evaluate(run)  # opens the seal
    print("reward accuracy", report["test"]["reward_accuracy"]["value"], report["verdict"]["says"])
    for each in report["written"]["examples"][:3]:
        print(each["asked"], "|", each["before"], "->", each["after"])


if __name__ == "__main__":
    main(*sys.argv[1:])
