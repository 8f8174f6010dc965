"""Small real things: a tokenizer trained on the spot, random two-layer models, a file of reviews that can be learnt."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests import tiny

# The models are tiny and the tests run in several processes: more threads only wait for each other.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Openings of test rows are counted in the user's cache; a test has a user of its own."""
    monkeypatch.setenv("FINETOOTH_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory: a random two-layer BERT with dropout, and its tokenizer."""
    return tiny.save_model(tmp_path_factory.mktemp("model") / "tiny-bert", tiny.config("bert"))


@pytest.fixture(scope="session")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random network that sees images; nobody changes its directory."""
    return tiny.save_image_model(tmp_path_factory.mktemp("model") / "vit", "vit")


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    """240 short texts whose label can be told from their words, of lengths between 3 and 20 words."""
    return tiny.write_reviews(tmp_path / "reviews.csv", 240)
