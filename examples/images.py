"""Tune a network on a folder of images, and ask it about one of them.

python examples/images.py cloth/ efficientnet-lite0 runs/cloth
"""

import sys

import finetooth as ft


def main(data: str, model: str, out: str) -> None:
    table = ft.read(data)
    run = ft.train(table, ft.Plan(epochs=2, freeze=1), model=model, out=out)
    p = ft.answers(run, table, run.split.validation[:1])
    print(table.file(table.position[p.ids[0]]), p.cells())


if __name__ == "__main__":
    main(*sys.argv[1:])
