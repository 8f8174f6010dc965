"""Image classification: one image per row, one of several classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from finetooth.backbones import Backbone, How, Preparation, load_image_classifier, load_tuned_images
from finetooth.errors import DataError
from finetooth.pixels import Pixels
from finetooth.table import Table
from finetooth.tasks.base import Encoded
from finetooth.tasks.text_classification import TextClassification


class ImageClassification(TextClassification):
    """A folder of images, a class for each; labels, metrics and probabilities are those of texts."""

    pipeline = ("image-classification", '"path/to/an/image.jpg"')

    def refuse_kind(self, table: Table) -> None:
        """Raise DataError where the rows are no images."""
        if table.folder is None:
            raise DataError(
                f"{table.source}: found rows of texts, expected a folder of images: a folder per class, or a "
                f"metadata.csv with the column file_name. Leave task at auto for texts."
            )

    def load(self, model: str, names: list[str], **how: Unpack[How]) -> Backbone:
        """A network that sees, with a new classification head."""
        return load_image_classifier(model, names, **how)

    def tuned(self, folder: Path) -> tuple[Any, Any]:
        """The network and preparation of a tuned model's directory."""
        return load_tuned_images(folder)

    def read(
        self,
        inputs: Sequence[Sequence[str]],
        tokenizer: Preparation,
        max_length: int,
        *,
        ids: Sequence[str],
        targets: NDArray[Any],
    ) -> Encoded:
        """The images in these files as the model wants them. Raises DataError, naming the file, for a broken one."""
        files = [Path(path) for (path,) in inputs]
        lengths = np.full(len(files), tokenizer.patches, dtype=np.int64)
        return Encoded(
            ids=list(ids),
            tokens=np.zeros(0, dtype=np.int32),
            offsets=np.concatenate([[0], np.cumsum(lengths)]),
            targets=targets,
            whole=lengths,
            pixels=Pixels.of(files, tokenizer),
        )

    def collate(self, encoded: Encoded, rows: NDArray[np.int64], pad: int) -> tuple[dict[str, Tensor], Tensor]:
        """pixel_values (rows, 3, height, width) in fp32; targets (rows,)."""
        assert encoded.pixels is not None, "images were encoded"
        pixels = encoded.pixels.numbers(encoded.pixels.read(rows))
        return {"pixel_values": torch.from_numpy(pixels)}, torch.from_numpy(encoded.targets[rows])
