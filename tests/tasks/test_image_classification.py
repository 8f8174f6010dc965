"""Images: any network that sees, with the whole machinery that texts have."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf
from PIL import Image

import finetooth as ft
from finetooth import pixels as pixels_module
from finetooth.backbones import Preparation, load_image_classifier
from finetooth.cli import main
from finetooth.errors import DataError, Interrupted, ModelError, PlanError
from finetooth.pixels import Pixels
from finetooth.prefix import stores
from finetooth.prepare import prepare
from finetooth.progress import Silent
from tests import tiny
from tests.pictured import photographs
from tests.test_train import StopAt

PLAN = {"epochs": 6, "batch_size": 16, "precision": "fp32", "learning_rate": 5e-3, "freeze": 0}
KINDS = ("vit", "convnext", "resnet", "swin", "efficientnet")
CUTTABLE = ("vit", "convnext", "resnet", "efficientnet")


class Notes(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, sentence: str) -> None:
        """Keep it."""
        self.said.append(sentence)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_images(tmp_path_factory.mktemp("images") / "shapes", 160)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {kind: tiny.save_image_model(tmp_path_factory.mktemp("model") / kind, kind) for kind in KINDS}


@pytest.fixture(scope="module")
def run(folder: Path, models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> ft.Run:
    out = tmp_path_factory.mktemp("runs") / "vit"
    return ft.train(ft.read(folder), ft.Plan.of(PLAN), model=str(models["vit"]), out=out)


def test_a_folder_of_images_makes_the_task_and_the_run_says_so(run: ft.Run) -> None:
    assert run.plan.task == "image-classification" and run.json("report.json")["task"] == "image-classification"
    assert "a folder of images" in run.json("report.json")["reasons"]["task"]
    assert run.json("data.json")["names"] == ["disk", "stripes"]


def test_the_verdict_is_that_of_any_task_and_says_why_words_have_no_part(run: ft.Run, folder: Path) -> None:
    report = ft.evaluate(run)
    assert report["test"]["accuracy"]["value"] >= 0.8
    assert set(report["baselines"]) == {"majority", "frozen_probe"}
    assert any("images, and have no words" in sentence for sentence in report["left_out"])
    assert report["verdict"]["says"] and report["forgetting"] is None
    names = [row["perturbation"] for row in report["robustness"]["table"]]
    assert names == ["noise", "blur", "brightness", "jpeg", "rotation"]
    card = (run.model / "README.md").read_text(encoding="utf-8")
    assert 'pipeline("image-classification"' in card and "rows cut" not in card


def test_transformers_alone_says_the_same_of_the_files(run: ft.Run, folder: Path) -> None:
    table = ft.read(folder)
    p = ft.answers(run, table, run.split.validation)
    pipe = tf.pipeline("image-classification", model=str(run.model), top_k=None)
    for row_id, probabilities in zip(p.ids, p.probabilities, strict=True):
        said = {each["label"]: each["score"] for each in pipe(str(table.file(table.position[row_id])))}
        assert [said[name] for name in p.names] == pytest.approx(probabilities.tolist(), abs=1e-5)


@pytest.mark.parametrize(
    "processor",
    [
        tf.ViTImageProcessorPil(size={"height": 48, "width": 40}),
        tf.ConvNextImageProcessorPil(size={"shortest_edge": 56}),
        tf.ConvNextImageProcessorPil(size={"shortest_edge": 400}),
        tf.EfficientNetImageProcessorPil(),
        tf.EfficientNetImageProcessorPil(rescale_factor=1 / 127.5, rescale_offset=True, include_top=False),
        tf.BitImageProcessorPil(),
        tf.DeiTImageProcessorPil(),
        tf.SiglipImageProcessorPil(size={"height": 64, "width": 64}),
    ],
    ids=lambda processor: type(processor).__name__,
)
def test_images_are_prepared_as_transformers_prepares_them(processor: Any, tmp_path: Path) -> None:
    preparation = Preparation.of(processor, "it")
    files = []
    for i, (image, size) in enumerate(zip(photographs(), [(200, 200), (90, 131), (131, 90), (640, 480)], strict=False)):
        files.append(tmp_path / f"{i}.png")
        image.resize(size).save(files[-1])
    pixels = Pixels.of(files, preparation)
    ours = pixels.numbers(pixels.read(np.arange(len(files))))
    theirs = processor(images=[Image.open(file) for file in files], return_tensors="np")["pixel_values"]
    np.testing.assert_array_equal(ours, theirs)


def test_a_processor_that_does_something_else_is_refused(models: dict[str, Path], tmp_path: Path) -> None:
    for processor, why in (
        (tf.LevitImageProcessorPil(), "does something that this version"),
        (tf.BitImageProcessorPil(do_center_crop=False), "images of different sizes"),
        (tf.ViTImageProcessorPil(do_resize=False), "does not resize"),
    ):
        with pytest.raises(ModelError, match=why):
            Preparation.of(processor, "it")
    model = tiny.save_image_model(tmp_path / "vit", "vit")
    tf.ViTImageProcessorPil(size={"height": 40, "width": 40}).save_pretrained(model)
    with pytest.raises(ModelError, match="cannot see images of 40 x 40 pixels"):
        load_image_classifier(str(model), ["a", "b"])


@pytest.mark.parametrize("kind", KINDS)
def test_every_architecture_learns_and_comes_back_in_transformers_alone(
    kind: str, folder: Path, models: dict[str, Path], tmp_path: Path
) -> None:
    plan = ft.Plan.of({**PLAN, "epochs": 2, "freeze": 1, "cache": "off"})
    job = prepare(ft.read(folder), plan, str(models[kind]))
    layers, net = job.backbone.layers, job.backbone.net
    assert set(layers.parameters) == {name for name, _ in net.named_parameters()} and layers.deepest >= 2
    run = ft.train(ft.read(folder), plan, model=str(models[kind]), out=tmp_path / "run")
    tuned = tf.AutoModelForImageClassification.from_pretrained(run.model)
    assert tuned.config.id2label == {0: "disk", 1: "stripes"}
    # What is frozen is as it was, statistics of batches included.
    before, after = net.state_dict(), tuned.state_dict()
    frozen = [n for n, depth in layers.parameters.items() if depth >= layers.deepest - 1]
    frozen += [n for n, _ in net.named_buffers() if layers.modules[n.rpartition(".")[0]] >= layers.deepest - 1]
    assert frozen and all(torch.equal(before[n], after[n]) for n in frozen if n in after)
    inputs, _ = job.task.collate(job.validation, np.arange(len(job.validation)), 0)
    with torch.inference_mode():
        said = torch.softmax(tuned.eval()(**inputs).logits, dim=-1).numpy()
    np.testing.assert_allclose(said, run.predictions("validation").probabilities, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_with_and_without_the_store_the_same(
    kind: str, folder: Path, models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FINETOOTH_CACHE", str(tmp_path / "cache"))
    said, notes = [], Notes()
    for cache in ("off", "auto"):
        plan = ft.Plan.of({**PLAN, "epochs": 2, "freeze": 1, "cache": cache})
        run = ft.train(ft.read(folder), plan, model=str(models[kind]), out=tmp_path / cache, progress=notes)
        said.append(run.predictions("validation").probabilities)
    if kind in CUTTABLE:
        assert any(stores().iterdir())
    else:  # a stage hands on more than its hidden state
        assert any("cannot be cut" in sentence for sentence in notes.said)
    np.testing.assert_allclose(said[0], said[1], atol=1e-4)


def test_two_processes_see_the_same_pixels(folder: Path, models: dict[str, Path], tmp_path: Path) -> None:
    """Pixels lie in a file that one process has open; the other one decodes them by itself."""
    said = []
    for jobs in (1, 2):
        plan, out = ft.Plan.of({**PLAN, "epochs": 1}), tmp_path / str(jobs)
        ft.validate(ft.read(folder), plan, model=str(models["vit"]), out=out, folds=3, jobs=jobs)
        said.append([json.loads((out / "folds" / f"1-{fold}.json").read_text())["scores"] for fold in (1, 2, 3)])
    assert said[0] == said[1]


def test_another_image_is_not_taken_for_one_in_the_store(models: dict[str, Path], tmp_path: Path) -> None:
    data = tiny.write_images(tmp_path / "data", 60)
    with open(data / "metadata.csv", "w", newline="", encoding="utf-8") as file:
        files = sorted(path.relative_to(data) for path in data.rglob("*.*") if path.name != "metadata.csv")
        rows = [[str(path), path.parent.name, i] for i, path in enumerate(files)]
        csv.writer(file).writerows([["file_name", "label", "id"], *rows])
    plan = ft.Plan.of({**PLAN, "epochs": 1, "freeze": 1})
    ft.train(ft.read(data, id="id"), plan, model=str(models["vit"]), out=tmp_path / "one")
    for path in files:  # the same ids for other pictures
        Image.open(data / path).rotate(180).save(data / path)
    ft.train(ft.read(data, id="id"), plan, model=str(models["vit"]), out=tmp_path / "other")
    assert len(list(stores().iterdir())) == 2


@pytest.mark.parametrize("kind", ["resnet"])
def test_a_resumed_run_ends_in_the_same_bits(kind: str, folder: Path, models: dict[str, Path], tmp_path: Path) -> None:
    plan, table, model = ft.Plan.of({**PLAN, "epochs": 2, "freeze": 1}), ft.read(folder), str(models[kind])
    ft.train(table, plan, model=model, out=tmp_path / "whole")
    with pytest.raises(Interrupted):
        ft.train(table, plan, model=model, out=tmp_path / "parts", progress=StopAt(5))
    ft.train(table, plan, model=model, out=tmp_path / "parts", resume=True)
    whole, parts = ((tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("whole", "parts"))
    assert whole == parts


@pytest.mark.parametrize("kind", ["convnext", "efficientnet"])
def test_bf16_computes_nearly_the_same(kind: str, folder: Path, models: dict[str, Path], tmp_path: Path) -> None:
    said = []
    for precision in ("fp32", "bf16"):
        plan = ft.Plan.of({**PLAN, "epochs": 1, "precision": precision, "learning_rate": 1e-4})
        run = ft.train(ft.read(folder), plan, model=str(models[kind]), out=tmp_path / precision)
        assert run.plan.precision == precision
        said.append(run.predictions("validation").probabilities)
    np.testing.assert_allclose(said[0], said[1], atol=0.05)


def test_pixels_are_the_same_kept_or_decoded_anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table, preparation = (
        ft.read(folder),
        Preparation.of(tf.ViTImageProcessorPil(size={"height": 24, "width": 32}), "it"),
    )
    files, rows = [table.file(i) for i in range(12)], np.array([7, 0, 3, 3])
    kept = Pixels.of(files, preparation)
    monkeypatch.setattr(pixels_module, "SHARE", 0.0)
    anew = Pixels.of(files, preparation)
    assert kept.read(rows).shape == (4, 24, 32, 3)
    np.testing.assert_array_equal(kept.read(rows), anew.read(rows))
    np.testing.assert_array_equal(kept.take(rows).read(np.array([1])), kept.read(np.array([0])))
    assert kept.take(rows).content == anew.take(rows).content != kept.content


def test_turned_files_are_seen_as_everywhere(models: dict[str, Path], tmp_path: Path) -> None:
    from finetooth.pictures import decode

    turned = Image.fromarray(np.arange(50 * 40 * 3, dtype=np.uint32).astype(np.uint8).reshape(50, 40, 3))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.jpg", exif=exif)
    preparation = load_tuned_preparation(models["vit"])
    pixels = Pixels.of([tmp_path / "turned.jpg"], preparation)
    expected = preparation.fitted(decode(tmp_path / "turned.jpg").image)
    np.testing.assert_array_equal(pixels.read(np.array([0]))[0], expected)
    assert np.ptp(expected) > 100


def test_deep_grey_is_seen_in_all_its_shades_and_other_files_beside_it_as_ever(
    models: dict[str, Path], tmp_path: Path
) -> None:
    preparation = load_tuned_preparation(models["vit"])
    height, width = preparation.shape
    deep = np.arange(height * width).reshape(height, width).astype(np.uint16) + 3000  # more shades than eight bits have
    for ending in ("png", "tif"):
        Image.fromarray(deep).save(tmp_path / f"deep.{ending}")
    photographs()[0].save(tmp_path / "plain.png")
    files = [tmp_path / name for name in ("deep.png", "deep.tif", "plain.png")]
    pixels, rows = Pixels.of(files, preparation), np.arange(3)
    assert pixels.deep
    seen = pixels.numbers(pixels.read(rows))
    # From its own darkest to its own brightest pixel, a straight line.
    expected = (deep - 3000.0) / (deep.max() - 3000.0) * 2 - 1
    for row in range(2):
        assert len(np.unique(seen[row, 0])) == height * width
        np.testing.assert_allclose(seen[row], np.broadcast_to(expected, seen[row].shape), atol=2e-5)
    plain = Pixels.of(files[2:], preparation)
    assert not plain.deep
    np.testing.assert_array_equal(plain.numbers(plain.read(rows[:1]))[0], seen[2])


@pytest.mark.parametrize("augment", [["flip", "crop", "colour", "cutmix"], ["mixup"]])
def test_a_network_learns_from_deep_grey_of_which_eight_bits_would_show_nothing(
    augment: list[str], models: dict[str, Path], tmp_path: Path
) -> None:
    rng, data = np.random.default_rng(0), tmp_path / "data"
    for i in range(60):
        kind = ("flat", "grain")[i % 2]
        (data / kind).mkdir(parents=True, exist_ok=True)
        grey = np.full((32, 32), 20_000.0)
        # Of the whole range, so that the rest lies within one of 256 shades.
        grey[:8] = np.kron(rng.integers(0, 65_536, (2, 8)), np.ones((4, 4)))
        grey[0, :2] = 0, 65_535
        grey[8:] += (rng.random((24, 32)) - 0.5) * 100 * (kind == "grain")
        Image.fromarray(grey.astype(np.uint16)).save(data / kind / f"{i}.png")
    table, plan = ft.read(data), ft.Plan.of({**PLAN, "epochs": 1, "augment": augment})
    run = ft.train(table, plan, model=str(models["vit"]), out=tmp_path / "run")
    assert "image depth" in {finding["check"] for finding in run.json("findings.json")["findings"]}
    job = prepare(table, plan, str(models["vit"]))
    inputs, targets = job.task.collate(job.training, np.arange(20), 0)
    spread = inputs["pixel_values"][:, 0, 8:].flatten(1).std(dim=1)
    assert (
        float(spread[targets == job.names.index("grain")].min())
        > 3e-4
        > float(spread[targets == job.names.index("flat")].max())
    )
    assert ft.evaluate(run)["robustness"]["table"]
    with pytest.raises(PlanError, match="randaugment works on eight bits"):
        prepare(table, ft.Plan.of({**PLAN, "augment": ["randaugment"]}), str(models["vit"]))


def load_tuned_preparation(folder: Path) -> Preparation:
    return Preparation.of(tf.AutoImageProcessor.from_pretrained(folder, backend="pil"), str(folder))


def test_a_model_that_reads_is_refused_for_images_and_one_that_sees_for_texts(
    folder: Path, models: dict[str, Path], tiny_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"a folder of images needs a model that sees"):
        prepare(ft.read(folder), ft.Plan.of(PLAN), str(tiny_bert))
    with pytest.raises(ModelError, match=r"texts need a model that reads"):
        prepare(ft.read(reviews), ft.Plan.of(PLAN), str(models["vit"]))
    # Also where the files beside the weights say nothing.
    tf.ViTImageProcessorPil().save_pretrained(tmp_path)
    tf.AutoModel.from_config(tiny.config("bert")).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"a bert reads texts"):
        prepare(ft.read(folder), ft.Plan.of(PLAN), str(tmp_path))
    bare = tmp_path / "bare"
    tf.AutoModel.from_config(tiny.image_config("vit")).save_pretrained(bare)
    with pytest.raises(ModelError, match=r"no preprocessor_config.json beside the model"):
        prepare(ft.read(folder), ft.Plan.of(PLAN), str(bare))


def test_the_task_and_the_data_have_to_fit(folder: Path, reviews: Path, models: dict[str, Path]) -> None:
    with pytest.raises(DataError, match="found a folder of images, expected texts"):
        prepare(ft.read(folder), ft.Plan.of({**PLAN, "task": "text-classification"}), str(models["vit"]))
    with pytest.raises(DataError, match="found rows of texts, expected a folder of images"):
        prepare(ft.read(reviews), ft.Plan.of({**PLAN, "task": "image-classification"}), str(models["vit"]))


def test_what_makes_no_sense_for_images_is_refused(folder: Path, reviews: Path, models: dict[str, Path]) -> None:
    with pytest.raises(PlanError, match="max_length: found 128, but images are not cut"):
        prepare(ft.read(folder), ft.Plan.of({**PLAN, "max_length": 128}), str(models["vit"]))
    with pytest.raises(PlanError, match="keep: what was forgotten is looked for in texts alone"):
        prepare(ft.read(folder), ft.Plan.of({**PLAN, "keep": str(reviews)}), str(models["vit"]))


def test_a_broken_image_is_refused_by_its_name_before_anything_is_trained(
    models: dict[str, Path], tmp_path: Path
) -> None:
    data = tiny.write_images(tmp_path / "data", 40)
    whole = (data / "disk" / "0000.png").read_bytes()
    (data / "disk" / "0000.png").write_bytes(whole[:200])
    with pytest.raises(DataError, match=r"0000\.png: .*finetooth check .* --fix OUT"):
        prepare(ft.read(data), ft.Plan.of(PLAN), str(models["vit"]))


def test_the_command_line_trains_predicts_validates_and_searches(
    folder: Path,
    models: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def told(*words: str) -> dict[str, Any]:
        monkeypatch.setattr(sys, "argv", ["finetooth", *words, "--json"])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        assert not ended.value.code, printed.err
        found: dict[str, Any] = json.loads(printed.out)
        return found

    model, out = str(models["convnext"]), tmp_path / "run"
    plan = ["--set", "epochs=2", "--set", "precision=fp32", "--set", "learning_rate=0.005", "--set", "freeze=0"]
    told("train", str(folder), "--model", model, "--out", str(out), *plan)
    told("predict", str(out), str(folder), "--out", str(tmp_path / "answers.csv"), "--precision", "fp32")
    with open(tmp_path / "answers.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 160 and {row["prediction"] for row in rows} <= {"disk", "stripes"}
    assert all(Path(folder / row["image"]).exists() for row in rows)
    crossed = told("validate", str(folder), "--model", model, "--out", str(tmp_path / "crossed"), "--folds", "2", *plan)
    assert crossed["task"] == "image-classification"
    found = told(
        *("search", str(folder), "--model", model, "--out", str(tmp_path / "search"), "--trials", "2"),
        *("--set", "epochs=1", "--set", "learning_rate=1e-4..1e-2:log"),
    )
    assert found


@pytest.fixture(scope="module")
def squares(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same images, each 40 pixels wide and high; the models see 32."""
    made = tmp_path_factory.mktemp("squares")
    for path in sorted(folder.rglob("*.*")):
        (made / path.parent.name).mkdir(exist_ok=True)
        Image.open(path).resize((40, 40)).save(made / path.parent.name / f"{path.stem}.png")
    return made


def test_images_a_little_larger_than_the_model_wants_are_seen_as_they_are(
    squares: Path, folder: Path, models: dict[str, Path], tmp_path: Path
) -> None:
    def size(data: Path, kind: str) -> tuple[Any, Any]:
        job = prepare(ft.read(data), ft.Plan.of(PLAN), str(models[kind]))
        return job.plan.image_size, job.reasons.get("image_size")

    why = "every image is that wide and high; squeezed to the model's 32, its finest grain would blur"
    assert size(squares, "efficientnet") == (40, why)
    assert size(folder, "efficientnet") == (None, None), "they are of many sizes"
    assert size(squares, "vit") == (None, None), "it has positions for one size"
    assert size(squares, "convnext") == (None, None), "it sees the middle alone"
    plan = ft.Plan.of({**PLAN, "epochs": 1})
    run = ft.train(ft.read(squares), plan, model=str(models["efficientnet"]), out=tmp_path / "run")
    report = ft.evaluate(run)
    assert {"frozen_probe", "majority"} <= set(report["baselines"]), "the untouched network sees the same"
    p, table = ft.answers(run, ft.read(squares), run.split.validation[:4]), ft.read(squares)
    pipe = tf.pipeline("image-classification", model=str(run.model), top_k=None)
    for row_id, probabilities in zip(p.ids, p.probabilities, strict=True):
        said = {each["label"]: each["score"] for each in pipe(str(table.file(table.position[row_id])))}
        assert [said[name] for name in p.names] == pytest.approx(probabilities.tolist(), abs=1e-5)


@pytest.mark.parametrize("kind", ["convnext", "resnet", "swin", "efficientnet"])
def test_a_size_of_ones_own(kind: str, folder: Path, models: dict[str, Path]) -> None:
    job = prepare(ft.read(folder), ft.Plan.of({**PLAN, "image_size": 48}), str(models[kind]))
    inputs, _ = job.task.collate(job.training, np.arange(2), 0)
    assert inputs["pixel_values"].shape == (2, 3, 48, 48) and job.plan.max_length == 9
    assert job.look(job.backbone.net).said.shape == (len(job.validation), 2)


def test_a_size_that_the_network_cannot_see_is_refused(folder: Path, reviews: Path, models: dict[str, Path]) -> None:
    with pytest.raises(ModelError, match=r"cannot see images of 48 x 48 pixels .* leave image_size away"):
        prepare(ft.read(folder), ft.Plan.of({**PLAN, "image_size": 48}), str(models["vit"]))
    with pytest.raises(PlanError, match="image_size: these rows are texts"):
        prepare(ft.read(reviews), ft.Plan.of({**PLAN, "image_size": 48}), "minilm")
