"""A tag for each word: the first token of a word answers for it, with the whole machinery."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf

import finetooth as ft
from finetooth.backbones import load_tagger
from finetooth.cli import main
from finetooth.errors import DataError, ModelError, PlanError
from finetooth.loop import fit
from finetooth.predict import asked
from finetooth.prepare import Job, prepare
from finetooth.tags import Tags
from finetooth.tasks import TASKS, fitting
from tests import tiny

PLAN: dict[str, Any] = {
    "epochs": 5,
    "batch_size": 16,
    "precision": "fp32",
    "learning_rate": 5e-3,
    "freeze": 0,
    "dropout": 0.0,
}
TYPES = ["BAD", "GOOD"]
NAMES = ["O", "B-BAD", "I-BAD", "B-GOOD", "I-GOOD"]
Row = tuple[list[str], list[str]]


def rows(count: int = 240, seed: int = 0) -> list[Row]:
    """Words of praise and blame are entities, the second half of either goes on; some words are of several tokens."""
    draw, found = random.Random(seed), dict[str, Row]()
    while len(found) < count:
        words: list[str] = []
        tags: list[str] = []
        for _ in range(draw.randint(2, 6)):
            kind = draw.choice(["GOOD", "BAD", "", ""])
            if kind:
                of = tiny.GOOD if kind == "GOOD" else tiny.BAD
                run = [draw.choice(of[:3]), *draw.choices(of[3:], k=draw.randint(0, 2))]
                tags += [f"B-{kind}", *[f"I-{kind}"] * (len(run) - 1)]
            else:
                run = [draw.choice([*tiny.PLAIN, "films"]) for _ in range(2)]
                tags += ["O"] * 2
            words += run
        found[" ".join(words)] = words, tags
    return [*found.values()]


def write(path: Path, given: list[Row], label: str = "ner_tags") -> Path:
    lines = (json.dumps({"tokens": words, label: tags}, ensure_ascii=False) for words, tags in given)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT whose tokenizer has pieces of words, as BERT's own."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *tiny.GOOD, *tiny.BAD, *tiny.PLAIN, "##s", ",", ".", "a"]
    made = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    named = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    folder = tiny.save_model(tmp_path_factory.mktemp("pieces") / "bert", tiny.config("bert"))
    tf.PreTrainedTokenizerFast(tokenizer_object=made, model_max_length=48, **named).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tagged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("tagged") / "rows.jsonl", rows())


@pytest.fixture(scope="module")
def run(tagged: Path, bert: Path, tmp_path_factory: pytest.TempPathFactory) -> ft.Run:
    return ft.train(ft.read(tagged), ft.Plan.of(PLAN), model=str(bert), out=tmp_path_factory.mktemp("t") / "run")


@pytest.fixture(scope="module")
def report(run: ft.Run) -> dict[str, Any]:
    return ft.evaluate(run)


def of(tagged: Path, bert: Path, **plan: Any) -> Job:
    return prepare(ft.read(tagged), ft.Plan.of({**PLAN, **plan}), str(bert))


def tags_of(p: Any) -> Tags:
    assert isinstance(p, Tags)
    return p


def test_lists_of_words_and_tags_make_the_task_and_the_run_says_so(run: ft.Run, tagged: Path) -> None:
    assert run.plan.task == "token-classification" and run.plan.metric_for_best_model == "entity_f1"
    assert run.json("data.json")["names"] == NAMES
    reason = fitting(ft.read(tagged), "minilm")[1]
    assert reason == "lists of words, and a tag for each: BIO, 2 types of entities (BAD, GOOD)"
    assert any(f["check"] == "tags" and "have tags: BIO" in f["says"] for f in run.json("findings.json")["findings"])


def test_the_first_token_of_each_word_is_read_and_no_other(tagged: Path, bert: Path) -> None:
    job = of(tagged, bert)
    table, tokenizer, some = ft.read(tagged), job.backbone.tokenizer, np.arange(9)
    inputs, targets = job.task.collate(job.rows, some, tokenizer.pad_token_id)
    places = [table.position[job.rows.ids[i]] for i in some]
    first = ["film" if word == "films" else word for i in places for word in table.words[i] or []]
    assert tokenizer.convert_ids_to_tokens(inputs["input_ids"][inputs["reads"]]) == first
    assert [NAMES[t] for t in targets.tolist()] == [tag for i in places for tag in table.tags[i] or []]
    assert len(first) < int(inputs["attention_mask"].sum()) - 2 * len(some), "some words have several tokens"


def test_the_loss_is_that_of_transformers_with_the_rest_masked(tagged: Path, bert: Path) -> None:
    job = of(tagged, bert)
    inputs, targets = job.task.collate(job.rows, np.arange(9), job.backbone.tokenizer.pad_token_id)
    net = job.backbone.net.eval()
    ours = torch.nn.functional.cross_entropy(job.task.logits(net, inputs), targets)
    labels = torch.full_like(inputs["input_ids"], -100)
    labels[inputs["reads"]] = targets
    theirs = net(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], labels=labels).loss
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-6)


def test_pieces_of_a_batch_make_the_gradient_of_the_whole(tagged: Path, bert: Path) -> None:
    """Every word counts alike, however the step is cut."""
    found = []
    for how in ({"batch_size": 16}, {"batch_size": 4, "gradient_accumulation_steps": 4}):
        job = of(tagged, bert, **how)
        next(iter(fit(job.state(), job.batches, job.recipe, job.scores)))
        found.append({name: p.detach().clone() for name, p in job.backbone.net.named_parameters()})
    for name in found[0]:
        torch.testing.assert_close(found[0][name], found[1][name], rtol=1e-4, atol=1e-5)


def test_entities_are_found_and_judged_as_any_task(report: dict[str, Any]) -> None:
    assert report["test"]["entity_f1"]["value"] > 0.9 and report["test"]["strict_entity_f1"]["value"] > 0.9
    assert set(report["baselines"]) == {"majority", "lookup", "frozen_probe"}
    scores = {name: own["test"]["entity_f1"] for name, own in report["baselines"].items()}
    assert scores["majority"] == 0.0 and scores["lookup"] > 0.9 and scores["frozen_probe"] > 0.0
    assert report["verdict"]["metric"] == "entity_f1" and "to each word the tag" in report["verdict"]["says"]
    assert {row["perturbation"] for row in report["robustness"]["table"]} == {"typos", "case"}
    assert {row["column"] for row in report["slices"]["table"]} == {"length"}
    assert [row["label"] for row in report["detail"]["test"]["types"]] == TYPES


def test_the_page_and_the_card_speak_of_entities(run: ft.Run, report: dict[str, Any]) -> None:
    page = (run.path / "report.html").read_text(encoding="utf-8")
    for there in ("Type by type", "Surest mistakes", "entity F1", "word&#39;s own tag"):
        assert there in page
    for absent in ("Class by class", "Are its probabilities honest", "At every threshold", "Label by label"):
        assert absent not in page
    assert 'aggregation_strategy="first"' in (run.model / "README.md").read_text(encoding="utf-8")


def test_the_pipeline_of_transformers_alone_finds_the_same_entities(run: ft.Run, tmp_path: Path) -> None:
    texts = [" ".join(words) + ", " + words[0] + "." for words, _ in rows(30, seed=5)]
    (tmp_path / "new.csv").write_text("\n".join(["text", *(f'"{text}"' for text in texts)]) + "\n", encoding="utf-8")
    table = ft.read(tmp_path / "new.csv", labelled=False)
    p = tags_of(ft.answers(run, table, table.ids))
    pipe = tf.pipeline("token-classification", model=str(run.model), aggregation_strategy="first")
    for text, ours in zip((table.inputs[table.position[i]][0] for i in p.ids), p.entities, strict=True):
        theirs = pipe(text)
        assert [(e["type"], e["start_char"], e["end_char"]) for e in ours] == [
            (e["entity_group"], e["start"], e["end"]) for e in theirs
        ]
        assert [e["score"] for e in ours] == pytest.approx([float(e["score"]) for e in theirs], abs=1e-5)
    assert tf.AutoConfig.from_pretrained(run.model).id2label == dict(enumerate(NAMES))


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # PEFT asks transformers for it
@pytest.mark.parametrize("adapter", [{"type": "lora", "r": 4}, {"type": "prompt", "num_virtual_tokens": 3}])
def test_an_adapter_and_the_head_learn_and_load_in_peft_alone(
    adapter: dict[str, Any], tagged: Path, bert: Path, tmp_path: Path
) -> None:
    from peft import PeftModel

    plan = ft.Plan.of({**PLAN, "epochs": 2, "adapter": adapter})
    run = ft.train(ft.read(tagged), plan, model=str(bert), out=tmp_path / "run")
    base = tf.AutoModelForTokenClassification.from_pretrained(bert, num_labels=len(NAMES))
    adapted = PeftModel.from_pretrained(base, run.adapter).eval()
    ours, _ = TASKS["token-classification"].tuned(run.model)
    ids = torch.tensor([[2, 5, 17, 9, 3]])
    with torch.inference_mode():
        torch.testing.assert_close(adapted(ids).logits, ours(ids).logits, rtol=1e-4, atol=1e-4)
    report = ft.evaluate(run)
    again = ft.answers(run, ft.read(tagged), run.predictions("test").ids)
    np.testing.assert_allclose(np.concatenate(again.said), np.concatenate(run.predictions("test").said), atol=1e-5)
    assert report["verdict"]["says"] and report["rows"]["test"]


def test_folds_search_and_other_seeds_know_tags(tagged: Path, bert: Path, tmp_path: Path) -> None:
    table, plan = ft.read(tagged), ft.Plan.of({**PLAN, "epochs": 1})
    crossed = ft.validate(table, plan, model=str(bert), out=tmp_path / "cv", folds=2)
    assert crossed["goal"]["metric"] == "entity_f1" and set(crossed["baselines"]) == {"majority", "lookup"}
    assert crossed["rows"]["validated"] == 216 and crossed["scores"]["entity_f1"]["value"] > 0.1
    assert "Type by type" in (tmp_path / "cv" / "report.html").read_text(encoding="utf-8")
    space = {"learning_rate": "1e-4..1e-2:log"}
    found = ft.search(table, plan, space, trials=2, model=str(bert), out=tmp_path / "search", tuner="random")
    assert found["best"]["score"] > 0.0
    several = ft.train(table, plan, model=str(bert), out=tmp_path / "run", seeds=2)
    assert set(several.json("report.json")["seeds"]["validation"]["values"]) == {"0", "1"}


def test_words_behind_the_limit_are_told_and_count_as_wrong(tagged: Path, bert: Path, tmp_path: Path) -> None:
    table = ft.read(tagged)
    run = ft.train(table, ft.Plan.of({**PLAN, "epochs": 1, "max_length": 10}), model=str(bert), out=tmp_path / "r")
    told = next(f for f in run.json("findings.json")["findings"] if f["check"] == "words cut")
    p = tags_of(run.predictions("validation"))
    lost = int((~p.read).sum())
    assert 0 < lost < told["count"] and f"{told['count']:,} of" in told["says"]
    assert p.given(int(np.argmax(p.words)))[-1] is None
    report = ft.evaluate(run)
    assert report["detail"]["validation"]["unread"] == lost
    assert (
        report["test"]["word_accuracy"]["value"]
        <= 1 - report["detail"]["test"]["unread"] / report["detail"]["test"]["words"]
    )
    assert "stood behind the limit of the model" in (run.path / "report.html").read_text(encoding="utf-8")


def test_a_word_of_which_the_tokenizer_makes_nothing_has_its_tag(run: ft.Run, tmp_path: Path) -> None:
    strange = [
        (["warm", "", "\u3000", "dull"], ["B-GOOD", "O", "O", "B-BAD"]),
        ([], []),
        (["日本", "film"], ["O", "O"]),
    ]
    table = ft.read(write(tmp_path / "strange.jsonl", strange))
    p = tags_of(ft.answers(run, table, table.ids))
    assert {row_id: len(p.given(i)) for i, row_id in enumerate(p.ids)} == dict(zip(table.ids, [4, 0, 2], strict=True))
    assert p.read.all()
    found = ft.evaluate_rows(run, table)
    assert (found["detail"]["words"], found["detail"]["unread"]) == (6, 0)


def test_predict_writes_entities_beside_the_words(
    run: ft.Run, tagged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def predicted(*words: str) -> None:
        monkeypatch.setattr(sys, "argv", ["finetooth", "predict", str(run.path), *words, "--precision", "fp32"])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code

    predicted(str(tagged), "--out", str(tmp_path / "out.jsonl"))
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    words, tags = rows()[0]
    assert found[0]["tokens"] == words and found[0]["tags"] == tags
    first = found[0]["entities"][0]
    assert tags[first["start"]] == f"B-{first['type']}" and 0.2 < first["score"] <= 1 and "start_char" not in first
    (tmp_path / "new.csv").write_text('text\n"A bright film, dull."\n', encoding="utf-8")
    predicted(str(tmp_path / "new.csv"), "--input", "text", "--out", str(tmp_path / "out.csv"))
    row = ft.read(tmp_path / "out.csv", input="text", labelled=False)
    entities = json.loads(row.column("entities")[0] or "")
    assert [("A bright film, dull."[e["start_char"] : e["end_char"]], e["type"]) for e in entities] == [
        ("bright", "GOOD"),
        ("dull", "BAD"),
    ]


def test_plain_tags_are_scored_word_by_word(bert: Path, tmp_path: Path) -> None:
    plain = [(words, [tag[2:] or "NN" for tag in tags]) for words, tags in rows(200)]
    table = ft.read(write(tmp_path / "rows.jsonl", plain, "tags"))
    run = ft.train(table, ft.Plan.of({**PLAN, "epochs": 3}), model=str(bert), out=tmp_path / "run")
    report = ft.evaluate(run)
    assert report["labels"] == ["BAD", "GOOD", "NN"] and [*report["test"]] == ["word_accuracy", "macro_f1", "loss"]
    assert report["goal"]["metric"] == "word_accuracy" and report["test"]["word_accuracy"]["value"] > 0.9
    page = (run.path / "report.html").read_text(encoding="utf-8")
    assert "Tag by tag" in page and "An entity is found" not in page and "tell 3 tags of words apart" in page
    p = tags_of(ft.answers(run, table, run.split.test))
    assert set(p.cells()) == {"tags", "scores"} and len(p.cells()["scores"][0]) == p.words[0]


def test_tags_of_iob1_are_learnt_as_bio(bert: Path, tmp_path: Path) -> None:
    once = [(words, [tag.replace("B-", "I-") for tag in tags]) for words, tags in rows(80)]
    table = ft.read(write(tmp_path / "rows.jsonl", once))
    assert "IOB1, read as BIO" in fitting(table, "minilm")[1] and TASKS["token-classification"].names(table) == NAMES
    assert not any(f.check == "illegal tags" for f in ft.check(table).findings)


def test_what_is_odd_about_tags_is_found(tmp_path: Path) -> None:
    odd = [*rows(80), (["film", "warm"], ["I-GOOD", "B-RARE"])]
    found = {f.check: f for f in ft.check(ft.read(write(tmp_path / "rows.jsonl", odd))).findings}
    assert found["illegal tags"].says.startswith("1 word in 1 row with a tag out of place in BIO, the first 'I-GOOD'")
    assert "'RARE' (1)" in found["few tags"].says
    numbers = [(words, [str(NAMES.index(tag)) for tag in tags]) for words, tags in rows(80)]
    found = {f.check: f for f in ft.check(ft.read(write(tmp_path / "numbers.jsonl", numbers))).findings}
    assert "what they mean is not known" in found["tags without names"].says
    torn = [*rows(80), (["film", "warm"], ["O"])]
    found = {f.check: f for f in ft.check(ft.read(write(tmp_path / "torn.jsonl", torn))).findings}
    assert "found 2 words" in found["tags"].says and found["tags"].severity == "error"


def test_the_dry_run_and_a_look_with_a_model_know_tags(tagged: Path, bert: Path, tmp_path: Path) -> None:
    table = ft.read(tagged)
    foretold = ft.rehearse(table, ft.Plan.of(PLAN), model=str(bert), out=tmp_path / "run")
    assert foretold["plan"]["task"] == "token-classification"
    told = asked(table, str(bert))
    assert told["states"].shape == (len(table), 16) and told["lengths"].min() >= 3
    assert "tags" in {f.check for f in ft.check(table, **told).findings}


def test_rare_types_are_in_every_part(tagged: Path, bert: Path) -> None:
    rare = [(words, ["B-RARE", *tags[1:]]) if i % 10 == 0 else (words, tags) for i, (words, tags) in enumerate(rows())]
    table = ft.read(write(tagged.parent / "rare.jsonl", rare))
    split = prepare(table, ft.Plan.of(PLAN), str(bert)).split
    for part in ("train", "validation", "test"):
        held = [table.tags[table.position[i]] or [] for i in getattr(split, part)]
        assert 0.07 < np.mean(["B-RARE" in tags for tags in held]) < 0.13


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"oversample": True}, "oversample: found True, but each word of a row has a tag"),
        ({"threshold": "auto"}, "threshold: found auto, but each word of a row has a tag"),
        ({"loss": "mse"}, "loss: mse is not for this task"),
        ({"class_weights": {"B-GOD": 2.0}}, "there is no class 'B-GOD'; did you mean 'B-GOOD'"),
    ],
)
def test_what_means_nothing_here_is_refused(setting: Any, message: str, tagged: Path, bert: Path) -> None:
    with pytest.raises(PlanError, match=message):
        _ = of(tagged, bert, **setting).recipe


def test_the_weight_of_a_tag_goes_into_the_loss(tagged: Path, bert: Path) -> None:
    job = of(tagged, bert, class_weights={"B-GOOD": 3.0})
    logits, targets = torch.zeros(2, len(NAMES)), torch.tensor([0, NAMES.index("B-GOOD")])
    assert job.recipe.loss(logits, targets).tolist() == pytest.approx([np.log(5), 3 * np.log(5)])


def test_rows_and_models_of_another_kind_are_refused(run: ft.Run, reviews: Path, tagged: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found a text, expected a list of words"):
        prepare(ft.read(reviews), ft.Plan.of({**PLAN, "task": "token-classification"}), "minilm")
    llama, vit = tiny.save_causal(tmp_path / "llama"), tiny.save_image_model(tmp_path / "vit", "vit")
    with pytest.raises(ModelError, match="a llama reads a word without those behind it; tags need an encoder"):
        load_tagger(str(llama), NAMES)
    with pytest.raises(ModelError, match="texts need a model that reads"):
        load_tagger(str(vit), NAMES)
    with pytest.raises(DataError, match=r"row 1: the tag 'B-NEW' is in no row that trains \(O, B-BAD"):
        ft.evaluate_rows(run, ft.read(write(tmp_path / "new.jsonl", [(["film"], ["B-NEW"])])))
    with pytest.raises(DataError, match="found 2 input columns"):
        ft.answers(run, ft.read(tagged, input="tokens,ner_tags", labelled=False), [])


@pytest.mark.parametrize("kind", ["roberta", "distilbert", "mpnet", "electra", "deberta-v2", "modernbert"])
def test_any_encoder_tags_words(kind: str, tmp_path: Path) -> None:
    backbone = load_tagger(str(tiny.save_model(tmp_path / kind, tiny.config(kind))), NAMES)
    task = TASKS["token-classification"]
    encoded = task.read([('["warm film", "plot"]',)], backbone.tokenizer, 48, ids=["a"], targets=_unknown(2))
    inputs, _ = task.collate(encoded, np.arange(1), backbone.tokenizer.pad_token_id)
    assert encoded.counts.tolist() == [2] and task.logits(backbone.net.eval(), inputs).shape == (2, len(NAMES))


def test_a_tokenizer_of_bytes_takes_words_with_their_blank(tmp_path: Path) -> None:
    """As RoBERTa's: a word in a list is read as the same word in a text."""
    from tokenizers import ByteLevelBPETokenizer

    made = ByteLevelBPETokenizer()
    made.train_from_iterator(
        [" ".join(words) for words, _ in rows(50)], vocab_size=300, special_tokens=["<s>", "<pad>", "</s>"]
    )
    made.save(str(tmp_path / "tokenizer.json"))
    tf.RobertaTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"), model_max_length=48).save_pretrained(
        tmp_path
    )
    torch.manual_seed(0)
    small = tiny.config("roberta", vocabulary=310)
    tf.AutoModel.from_config(small).save_pretrained(tmp_path)
    backbone = load_tagger(str(tmp_path), NAMES)
    task = TASKS["token-classification"]
    listed, text = (
        task.read([(cell,)], backbone.tokenizer, 48, ids=["a"], targets=_unknown(2))
        for cell in ('["warm", "film"]', "warm film")
    )
    assert listed.tokens.tolist() == text.tokens.tolist() and text.counts.tolist() == [2]


def _unknown(words: int) -> Any:
    found = np.empty(1, dtype=object)
    found[0] = np.full(words, -1, dtype=np.int64)
    return found
