"""The machine: which device, what it is fast at, what a run has used of it."""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any


def device() -> str:
    """The device that trains: a GPU when there is one."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def fast_bf16() -> bool:
    """Whether products of bf16 matrices run on units made for them (a GPU's, AMX, AVX512-BF16)."""
    import torch

    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return any(torch.cpu.get_capabilities().get(unit, False) for unit in ("amx_bf16", "avx512_bf16"))


def describe() -> str:
    """The device in words."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    known = torch.cpu.get_capabilities()
    units = [word for unit, word in (("amx_bf16", "AMX"), ("avx512_bf16", "AVX512-BF16")) if known.get(unit)]
    return f"{torch.get_num_threads()} CPU threads{', ' + ', '.join(units) if units else ''}"


def peak_memory() -> int:
    """The most memory this process has held, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


TIDY = 50  # steps after which freed memory goes back to the system; it takes some 20 milliseconds


def release() -> None:
    """Give freed memory back to the system, which glibc keeps in pieces: batches of changing size leave many."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def tidy(step: int) -> None:
    """Release every now and then."""
    if step % TIDY == 0:
        release()


@contextmanager
def settled() -> Iterator[None]:
    """In here Python looks for unused cycles among new objects alone: going over all takes 4 % of small steps."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def facts() -> dict[str, Any]:
    """Versions and hardware, as machine.json keeps them."""
    import torch

    packages = ("finetooth", "torch", "transformers", "safetensors", "numpy", "scikit-learn", "pyarrow")
    return {
        "device": device(),
        "machine": describe(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }
