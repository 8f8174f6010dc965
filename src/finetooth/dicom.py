"""One DICOM file as grey values or colours. pydicom reads it, an extra.

Names and numbers are those of the DICOM standard, PS3.3: photometric interpretation C.7.6.3.1.2, rescale slope and
intercept C.11.1.1.2, window C.11.2.1.2.1.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetooth.errors import DataError

ENDINGS = (".dcm", ".dicom")
READ = ("MONOCHROME1", "MONOCHROME2", "RGB", "YBR_FULL", "YBR_FULL_422")


def is_dicom(path: Path, beginning: bytes) -> bool:
    """Whether a file says that it is one: by its ending, or by the mark after a preamble of 128 bytes."""
    return path.suffix.lower() in ENDINGS or beginning[128:132] == b"DICM"


def read_dicom(path: Path, most: int) -> NDArray[Any]:
    """Grey from 0.0 to 1.0, black to white, (height, width); or eight bits of red, green and blue, (height, width, 3).

    Black and white are the ends of the file's window, in its unit (Hounsfield's in a CT), where it has one, and else
    its own darkest and brightest pixel; what is padding counts for neither. Raises DataError, in one sentence, for what
    is not read, and for more than `most` pixels.
    """
    try:
        import pydicom
        from pydicom.pixels import pixel_array
    except ImportError as error:
        raise DataError(
            f"{path}: reading DICOM files needs pydicom; install it: pip install 'finetooth[dicom]'."
        ) from error
    try:
        file = pydicom.dcmread(path)
    except Exception as error:  # a damaged file leads pydicom to errors of many kinds
        raise DataError(f"{path}: not a whole DICOM file ({error}); put a whole copy of it there.") from error
    kind = str(file.get("PhotometricInterpretation", "none"))
    frames = int(file.get("NumberOfFrames") or 1)
    height, width = int(file.get("Rows") or 0), int(file.get("Columns") or 0)
    if not (height and width and "PixelData" in file):
        raise DataError(f"{path}: this DICOM file holds no image; take it out.")
    if frames > 1:
        raise DataError(
            f"{path}: found a DICOM file of {frames} frames, expected one; save each frame that is meant as a file of "
            f"its own, with the label that it has."
        )
    if height * width > most:
        raise DataError(
            f"{path}: its header says {width:,} x {height:,} = {height * width:,} pixels, expected at most {most:,}; "
            f"scale it down."
        )
    if kind not in READ:
        raise DataError(
            f"{path}: found a DICOM file with the photometric interpretation {kind}, expected {', '.join(READ)}; "
            f"convert it."
        )
    try:
        pixels: NDArray[Any] = pixel_array(file)
    except Exception as error:  # the same; for a compression that needs more than is there it says which
        syntax = getattr(getattr(file, "file_meta", None), "TransferSyntaxUID", None)
        if syntax is not None and syntax.is_compressed:
            raise DataError(
                f"{path}: compressed as {syntax.name}, which pydicom cannot decode here; save it without compression "
                f"(gdcmconv --raw does)."
            ) from error
        raise DataError(f"{path}: the image cannot be decoded ({error}); put a whole copy of it there.") from error
    if pixels.ndim == 3:
        if pixels.dtype != np.uint8:
            raise DataError(f"{path}: found colours of {pixels.dtype.itemsize * 8} bits, expected 8; convert it.")
        return pixels
    padding = file.get("PixelPaddingValue")
    seen = np.ones(pixels.shape, dtype=bool) if padding is None else pixels != padding
    slope, intercept = (file.get(f"Rescale{name}") for name in ("Slope", "Intercept"))
    grey = pixels.astype(np.float32) * float(1 if slope is None else slope) + float(intercept or 0)
    centre, wide = (file.get(f"Window{name}") for name in ("Center", "Width"))
    if centre is not None and wide is not None:
        # Of several windows the first is the one to be seen at first.
        middle, half = float(np.atleast_1d(centre)[0]) - 0.5, max(float(np.atleast_1d(wide)[0]) - 1, 1e-6) / 2
        low, high = middle - half, middle + half
    else:
        known = grey[seen] if seen.any() else grey
        low, high = float(known.min()), float(known.max())
    share: NDArray[Any] = ((grey - low) / max(high - low, 1e-6)).clip(0.0, 1.0)
    return 1.0 - share if kind == "MONOCHROME1" else share
