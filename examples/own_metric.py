"""Choose the best epoch by a metric of one's own, and open the seal at the end.

python examples/own_metric.py reviews.csv minilm runs/own
"""

import sys

import finetooth as ft


def recall_of_first(p: ft.Predictions) -> float:
    """Of the rows of the first class, the share that is found."""
    return float((p.decided == 0)[p.labels == 0].mean())


def main(data: str, model: str, out: str) -> None:
    recall = ft.Metric("recall_of_first", "higher", recall_of_first)
    plan = ft.Plan(epochs=2, metric_for_best_model="recall_of_first")
    run = ft.train(ft.read(data), plan, model=model, out=out, metrics=[recall])
    report = ft.evaluate(run, metrics=[recall])
    print(report["best"]["epoch"], report["test"]["recall_of_first"])


if __name__ == "__main__":
    main(*sys.argv[1:])
