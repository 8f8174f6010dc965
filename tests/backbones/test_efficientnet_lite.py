"""EfficientNet-lite0: its weights under transformers' names, nothing squeezed, nothing excited."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as tf
from PIL import Image

from finetooth.backbones import efficientnet_lite, load_image_classifier, load_tuned_images
from finetooth.backbones.norm import by_batch
from finetooth.errors import ModelError
from tests import tiny
from tests.pictured import photographs

DAISY = 985  # of ImageNet's classes


@pytest.fixture(scope="module")
def lite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint, made of random weights under the package's names."""
    config = tf.EfficientNetConfig(
        width_coefficient=1.0, depth_coefficient=1.0, hidden_dim=1280, num_labels=1000, initializer_range=0.2
    )
    torch.manual_seed(0)
    net = tf.EfficientNetForImageClassification(config)
    outside = {new: old for old, new in efficientnet_lite.OUTSIDE.items()}
    inside = {new: old for old, new in efficientnet_lite.INSIDE.items()}
    weights = {}
    for name, tensor in net.state_dict().items():
        module, _, kind = name.rpartition(".")
        if module in outside:
            weights[f"{outside[module]}.{kind}"] = tensor
        elif "squeeze_excite" not in name:
            number, _, part = module.removeprefix("efficientnet.encoder.blocks.").partition(".")
            weights[f"_blocks.{number}.{inside[part]}.{kind}"] = tensor
    assert all(efficientnet_lite.renamed(name) in net.state_dict() for name in weights)
    folder = tmp_path_factory.mktemp("lite") / "made"
    efficientnet_lite._save(weights, folder)
    return folder


def test_squeeze_and_excitation_is_the_identity_and_stays_so(lite: Path) -> None:
    net, x = tf.AutoModelForImageClassification.from_pretrained(lite).train(), torch.rand(2, 3, 224, 224)
    seen = []
    for block in net.efficientnet.encoder.blocks:
        block.squeeze_excite.register_forward_hook(lambda m, args, output: seen.append(torch.equal(args[0], output)))
    before = {n: p.detach().clone() for n, p in net.named_parameters() if "squeeze_excite" in n}
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1)
    net(pixel_values=x).logits.square().sum().backward()
    optimizer.step()
    assert len(seen) == 16 and all(seen)
    for name, parameter in net.named_parameters():
        if name in before and parameter.ndim > 1:
            assert torch.equal(before[name], parameter), name


def test_it_is_not_computed_where_it_is_the_identity(lite: Path) -> None:
    theirs = tf.AutoModelForImageClassification.from_pretrained(lite).eval()
    ours, _ = load_tuned_images(lite)
    x = torch.rand(2, 3, 224, 224)
    with torch.inference_mode():
        assert torch.equal(ours(pixel_values=x).logits, theirs(pixel_values=x).logits)
        asked = []
        for block in ours.efficientnet.encoder.blocks:
            block.squeeze_excite.reduce.register_forward_hook(lambda *_: asked.append(1))
        ours(pixel_values=x)
        assert not asked
    closed = tf.AutoModelForImageClassification.from_config(theirs.config)
    before = [block.squeeze_excite.forward for block in closed.efficientnet.encoder.blocks]
    efficientnet_lite.spare_open_gates(closed)
    assert before == [block.squeeze_excite.forward for block in closed.efficientnet.encoder.blocks]


def test_it_is_prepared_from_minus_one_to_one(lite: Path) -> None:
    preparation = load_image_classifier(str(lite), ["a", "b"]).tokenizer
    shades = np.arange(256, dtype=np.float64) / 127.5 - 1
    np.testing.assert_allclose(preparation.values, np.tile(shades, (3, 1)), atol=1e-6)
    assert preparation.shape == (224, 224)


def test_batch_norm_keeps_its_statistics_and_a_row_stands_alone(tmp_path: Path) -> None:
    model = tiny.save_image_model(tmp_path / "resnet", "resnet")
    net = load_image_classifier(str(model), ["a", "b"]).net.train()
    x, before = torch.rand(4, 3, 32, 32), {name: b.clone() for name, b in net.named_buffers()}
    together = net(pixel_values=x).logits
    for row in range(4):
        torch.testing.assert_close(net(pixel_values=x[row : row + 1]).logits[0], together[row], rtol=1e-4, atol=1e-5)
    assert all(torch.equal(before[name], buffer) for name, buffer in net.named_buffers())
    assert not by_batch(net)
    assert by_batch(load_image_classifier(str(model), ["a", "b"], scratch=True).net)


def test_packaged_models_are_refused_for_the_other_kind() -> None:
    with pytest.raises(ModelError, match="minilm: this model reads texts; a folder of images needs"):
        load_image_classifier("minilm", ["a", "b"])


def test_the_real_one_knows_a_daisy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FINETOOTH_CACHE")  # the user's own: it is fetched once
    kept = efficientnet_lite.checkpoint()
    net = tf.AutoModelForImageClassification.from_pretrained(kept).eval()
    processor = tf.AutoImageProcessor.from_pretrained(kept, backend="pil")
    flower: list[Image.Image] = photographs()[3:6]
    with torch.inference_mode():
        said = net(**processor(images=flower, return_tensors="pt")).logits.argmax(dim=1).tolist()
    assert DAISY in said
