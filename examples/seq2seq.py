"""An encoder with its decoder learns to write from a source: what it writes to new rows, and how well it agrees.

python examples/seq2seq.py pairs.jsonl path/to/t5 runs/pairs
"""

import sys

import finetooth as ft


def main(data: str, model: str, out: str) -> None:
    table = ft.read(data)
    run = ft.train(table, ft.Plan(epochs=2), model=model, out=out)
    written = ft.evaluate(run)["written"]
    for name in written["measures"]:
        print(name, written[name]["before"]["value"], "->", written[name]["after"]["value"])
    print(ft.replies(run, table, run.split.validation[:3]).texts)


if __name__ == "__main__":
    main(*sys.argv[1:])
