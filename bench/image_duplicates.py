"""Planted copies of real pictures: how many are found, what else is reported, and how the work grows.

Run: python bench/image_duplicates.py [--pictures 2000] [--planted 500] [--growth 40000]. The sets are in pictures.py,
the edits in edits.py. First the pictures as they are: each pair that is reported then is listed, to be looked at.
Then copies of some of them are planted, one edit at a time; a copy is found when it is in one cluster with its
original, and a false pair is one that joins neither a copy with its original nor what was reported before.
"""

from __future__ import annotations

import argparse
import resource
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from PIL import Image

import common
import pictures
from edits import EDITS
from finetooth.clusters import joined
from finetooth.likeness import SIDE, Alike, fingerprints, near
from finetooth.pictures import decode


def measured(name: str, most: int, planted: int) -> dict[str, Any]:
    """One set: what is reported of it as it is, and with copies planted in it."""
    files = pictures.files(name)
    rng = np.random.default_rng(0)
    files = [files[i] for i in sorted(rng.permutation(len(files))[:most])]
    clock = perf_counter()
    originals = fingerprints(decode(path).image for path in files)
    seconds = {"decode_and_fingerprint": perf_counter() - clock}
    clock = perf_counter()
    before = near(originals)
    seconds["near"] = perf_counter() - clock
    number = _together(before, len(files))
    some = sorted(rng.permutation(len(files))[:planted].tolist())
    report = {
        "pictures": len(files),
        "seconds": seconds,
        "reported_as_they_are": [
            [files[p.one].name, files[p.other].name, round(p.similarity, 4), p.mirrored] for p in before
        ],
        "planted": {edit: _planted(edit, files, originals, some, number) for edit in EDITS},
    }
    print(name, report["pictures"], "pictures;", len(before), "pairs as they are", flush=True)
    for edit, found in report["planted"].items():
        print(f"  {edit}: {found['found']} of {found['copies']}, false pairs {found['false_pairs']}", flush=True)
    return report


def _planted(
    edit: str, files: list[Path], originals: np.ndarray, some: list[int], number: np.ndarray
) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    copies = fingerprints(EDITS[edit](decode(files[i]).image, rng) for i in some)
    clock = perf_counter()
    pairs = near(np.concatenate([originals, copies]))
    seconds = perf_counter() - clock
    source = [*range(len(files)), *some]
    cluster = _together(pairs, len(source))
    found = [bool(cluster[i] == cluster[len(files) + k]) for k, i in enumerate(some)]

    def known(one: int, other: int) -> bool:
        """Copies of one picture, or of two that were reported before."""
        a, b = source[one], source[other]
        return bool(number[a] == number[b])

    false = [pair for pair in pairs if not known(pair.one, pair.other)]
    return {
        "copies": len(some),
        "found": sum(found),
        "recall": sum(found) / len(some),
        "missed": [files[i].name for i, hit in zip(some, found, strict=True) if not hit][:20],
        "pairs": len(pairs),
        "false_pairs": len(false),
        "false": [[files[source[p.one]].name, files[source[p.other]].name, round(p.similarity, 4)] for p in false[:20]],
        "seconds": seconds,
    }


def _together(pairs: list[Alike], pictures: int) -> np.ndarray:
    return joined(pictures, ((pair.one, pair.other) for pair in pairs))


def growth(most: int) -> list[dict[str, Any]]:
    """Seconds and the process's peak memory for made-up fingerprints, unlike each other and all of one kind."""
    lines = []
    for common_share in (0.0, 0.8):
        for count in (most // 2**halvings for halvings in (4, 3, 2, 1, 0)):
            rng = np.random.default_rng(0)
            coarse = common_share * rng.normal(size=(1, 8, 8, 3)) + (1 - common_share) * rng.normal(
                size=(count, 8, 8, 3)
            )
            kept = np.stack([_smooth(picture) for picture in coarse])
            clock = perf_counter()
            pairs = near(kept)
            lines.append(
                {
                    "pictures": count,
                    "in_common": common_share,
                    "seconds": perf_counter() - clock,
                    "pairs": len(pairs),
                    "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                }
            )
            print(lines[-1], flush=True)
    return lines


def _smooth(coarse: np.ndarray) -> np.ndarray:
    small = Image.fromarray((128 + 50 * coarse).clip(0, 255).astype(np.uint8))
    return np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("--pictures", type=int, default=2000, help="of each set, at most")
    parser.add_argument("--planted", type=int, default=500, help="copies per edit, at most")
    parser.add_argument("--growth", type=int, default=40_000, help="fingerprints in the largest made-up set")
    options = parser.parse_args()
    sets = [*pictures.SETS, *(["fashion"] if pictures.FASHION.exists() else [])]
    report = {name: measured(name, options.pictures, options.planted) for name in sets}
    print(common.write("image_duplicates", {"sets": report, "growth": growth(options.growth)}))


if __name__ == "__main__":
    main()
