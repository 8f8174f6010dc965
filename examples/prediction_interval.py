"""Learn numbers, and see how far the truth lies from the values: in how many rows, and in which.

python examples/prediction_interval.py ratings.csv minilm runs/ratings
"""

import sys

import finetooth as ft


def main(data: str, model: str, out: str) -> None:
    table = ft.read(data)
    run = ft.train(table, ft.Plan(task="text-regression", epochs=2), model=model, out=out)
    report = ft.evaluate(run)
    interval = report["detail"]["test"]["interval"]
    print(f"{interval['half']:.3g} to either side of a value holds {interval['covered']:.0%} of the test rows")
    for row in report["detail"]["test"]["worst"][:3]:
        print(f"{row['label']:g}, not {row['predicted']:.3g}: {row['inputs']['text'][:60]}")


if __name__ == "__main__":
    main(*sys.argv[1:])
