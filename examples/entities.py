"""Learn to find entities in lists of words, and read those that are found in new ones.

python examples/entities.py news.conll minilm runs/names
"""

import sys

import finetooth as ft
from finetooth.tags import Tags


def main(data: str, model: str, out: str) -> None:
    table = ft.read(data)
    run = ft.train(table, ft.Plan(epochs=2), model=model, out=out)
    report = ft.evaluate(run)
    print("entity F1", report["test"]["entity_f1"])
    for row in report["detail"]["test"]["types"]:
        print(f"{row['label']}: F1 {row['f1']:.3f}, {row['rows']} entities")
    found = ft.answers(run, table, run.split.validation[:3])
    assert isinstance(found, Tags)
    for row_id, entities in zip(found.ids, found.entities, strict=True):
        words = table.words[table.position[row_id]] or []
        print(*words, "->", [(e["type"], " ".join(words[e["start"] : e["end"]])) for e in entities])


if __name__ == "__main__":
    main(*sys.argv[1:])
