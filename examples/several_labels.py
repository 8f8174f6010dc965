"""Learn any of several labels, and see where each one's threshold came to lie.

python examples/several_labels.py comments.jsonl minilm runs/labels
"""

import sys

import finetooth as ft


def main(data: str, model: str, out: str) -> None:
    table = ft.read(data)
    run = ft.train(table, ft.Plan(task="multi-label", threshold="auto", epochs=2), model=model, out=out)
    report = ft.evaluate(run)
    print("mAP", report["test"]["mean_average_precision"])
    for row in report["detail"]["test"]["labels"]:
        print(f"{row['label']}: F1 {row['f1']:.3f} from {row['threshold']:.2f} on, in {row['rows']} rows")


if __name__ == "__main__":
    main(*sys.argv[1:])
