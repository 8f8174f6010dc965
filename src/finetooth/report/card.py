"""The model card: README.md beside the weights."""

import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import PurePath
from typing import Any

import yaml

from finetooth.report import words

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
ASK = {"numbers": "foretell", "texts": "answer", "tags": "tag"}  # what a pipeline does; else it classifies
# What has no pipeline.
WRITE = """from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

net = AutoModelForSeq2SeqLM.from_pretrained("path/to/this/directory")
tokenizer = AutoTokenizer.from_pretrained("path/to/this/directory")
inputs = tokenizer("a text like those of the data set", return_tensors="pt")
print(tokenizer.decode(net.generate(**inputs, max_new_tokens=100)[0], skip_special_tokens=True))"""
BESIDE = (
    "These weights are not all of it: tokens that learnt, in the folder `adapter` beside this one, stand in each row; "
    "what the weights say without them means nothing."
)
# PEFT puts tokens before words by itself, and beside nothing else.
BEHIND = """blocks = max((m for m in classify.model.modules() if isinstance(m, torch.nn.ModuleList)), key=len)
blocks[0].register_forward_pre_hook(
    lambda block, args: (torch.cat([args[0], classify.model.get_prompt(len(args[0]))], dim=1), *args[1:])
)
"""
MARKDOWN = re.compile(r"([\\`*_\[\]|~])")


def card(report: Mapping[str, Any]) -> str:
    """A Hugging Face model card (Markdown with a YAML header) from the content of report.json."""
    (pipeline, asked), ask = report["pipeline"], ASK.get(report["kind"], "classify")
    kind = "image" if pipeline.startswith("image") else "text"
    use = f'from transformers import pipeline\n\n{ask} = pipeline("{pipeline}", model="path/to/this/directory")\n'
    if _soft(report["plan"]["adapter"]):
        use = ("import torch\n" if kind == "image" else "") + f"from peft import PeftModel\n{use}"
        use += f'{ask}.model = PeftModel.from_pretrained({ask}.model, "path/to/adapter").eval()\n'
        use += BEHIND if kind == "image" else ""
    use += f"{ask}({asked})"
    header: dict[str, Any] = {
        "library_name": "transformers",
        "pipeline_tag": pipeline,
        "tags": ["finetooth"],
    }
    if HUB_ID.fullmatch(report["model"]):
        header["base_model"] = report["model"]
    header["labels"] = report["labels"]

    test, rows = report["test"], report["rows"]
    if test is None:
        scores = [("metric", "validation")]
        scores += [(words.metric(name), words.score(value)) for name, value in report["validation"].items()]
        sealed = f"The {words.count(rows['test'], 'test row')} are still sealed. " if rows["test"] else ""
        note = f"{sealed}The validation rows chose the epoch, so these scores flatter the model a little."
    else:
        scores = [("metric", "test")]
        scores += [(words.metric(name), words.interval(estimate)) for name, estimate in test.items()]
        note = (
            f"On {words.count(rows['test'], 'row')} set aside before training ({words.opened(report)}). "
            "In brackets, the 95 % interval."
        )
        note = " ".join([note, *words.missing(test)])

    goal, strongest, (part, _) = report["goal"]["metric"], report["strongest"], words.shown(report)
    tuned = words.score(report["validation"][goal]) if test is None else words.interval(test[goal])
    against = [(f"baseline, on the {part} rows", words.metric(goal)), ("this model", tuned)]
    for name, baseline in report["baselines"].items():
        mark = " (the strongest on the validation rows)" if name == strongest else ""
        against.append((f"{baseline['says']}{mark}", words.score(baseline[part].get(goal))))

    cut = report["truncated"]
    data = [
        ("source", PurePath(report["data"]["source"]).name),
        ("input", ", ".join(report["data"]["input"])),
        ("label", report["data"]["label"] or "in the same column"),
        ("train rows", words.count(rows["train"])),
        ("validation rows", words.count(rows["validation"])),
        ("test rows", words.count(rows["test"])),
        *([("rows cut", f"{words.count(cut['rows'])}, at {cut['max_length']} tokens")] if kind == "text" else []),
        ("fingerprint", report["data"]["fingerprint"]),
    ]
    settings = [(key, value) for key, value, _ in words.settings(report["plan"], report["reasons"])]
    machine = [(key, str(value)) for key, value in report["machine"].items()]

    return (
        "\n\n".join(
            [
                "---\n" + yaml.safe_dump(header, sort_keys=False, allow_unicode=True) + "---",
                f"# {_plain(report['name'])}",
                _plain(words.verdict(report)),
                _plain(words.what(report)),
                *_labels(report["labels"]),
                "## Use",
                *([BESIDE] if _soft(report["plan"]["adapter"]) else []),
                f"```python\n{WRITE if pipeline == 'text2text-generation' else use}\n```",
                "## Scores",
                _table(scores),
                _plain(note),
                "## Against simpler ways",
                _table(against),
                "## Limits",
                "Scores hold for rows like those of the data set: the same source, "
                f"{'camera, size' if kind == 'image' else 'language, length'} and "
                f"share of each label. On other {kind}s the model still answers, and may be surely wrong. "
                + _limit(report),
                "## Data",
                _table([("data", ""), *data]),
                "## Training",
                _table([("setting", "value"), *settings]),
                _table([("made with", ""), *machine]),
            ]
        )
        + "\n"
    )


def _soft(adapter: Mapping[str, Any] | None) -> bool:
    """Whether what learnt are tokens in each row."""
    return adapter is not None and "num_virtual_tokens" in adapter


def _labels(labels: Sequence[str]) -> list[str]:
    rows = [("id", "label"), *((str(number), label) for number, label in enumerate(labels))]
    return ["## Labels", _table(rows)] if labels else []


def _limit(report: Mapping[str, Any]) -> str:
    """What no answer can be."""
    if report["kind"] == "texts":
        return "What it writes is likely, not looked up: it may be wrong in the surest words."
    if report["kind"] == "any-of":
        return (
            "Each label has a probability of its own; it is given from a half on, or from its threshold in "
            "decisions.json."
        )
    if report["kind"] == "tags":
        return (
            "It was tuned on words that were parted before; the pipeline parts a text as the tokenizer does, and joins "
            "tags that begin with B- and I-, no others."
        )
    if report["kind"] != "numbers":
        row = "an image" if report["pipeline"][0].startswith("image") else "a text"
        return f"It knows only the labels above, and has no answer for {row} that fits none of them."
    interval = report["detail"]["validation"]["interval"]
    if interval is None:
        return "A value comes without an interval: there were too few validation rows for one."
    return (
        f"The truth of 95 in 100 such rows lies within {words.number(interval['half'])} of the value (decisions.json, "
        f"from the validation rows)."
    )


def _table(rows: list[tuple[str, str]]) -> str:
    head, *body = [f"| {_plain(name)} | {_plain(value)} |" for name, value in rows]
    return "\n".join([head, "|---|---|", *body])


def _plain(text: str) -> str:
    """Text that Markdown shows as it stands, on one line."""
    return escape(MARKDOWN.sub(r"\\\1", words.line(text)), quote=False)
