"""Do intervals hold the truth as often as they say, and comparisons err as seldom? On data sets whose truth is known.

python bench/simulate.py [--sets 2000]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import common

sys.path.insert(0, str(Path(__file__).parent.parent))  # the data sets are the tests' own
from tests.metrics.simulated import DRAWS, METRICS, Design, coverage, null_and_power, permuted, truth

ALL = [Design(200), Design(500), Design(40, 5), Design(60, 5)]
COMPARED = [Design(200), Design(40, 5)]


def main() -> None:
    """Measure, print and write results/simulate.json."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--sets", type=int, default=2000)
    sets, clock = range(arguments.parse_args().sets), time.perf_counter()
    content: dict[str, Any] = {"sets": len(sets), "draws": DRAWS, "coverage": {}, "compared": {}}
    for design in ALL:
        content["coverage"][design.name] = {
            metric: {"truth": truth(metric, design.rows > 1), "covered": coverage(metric, design, sets)}
            for metric in METRICS
        }
        print(design.name, content["coverage"][design.name], flush=True)
    for design in COMPARED:
        content["compared"][design.name] = {metric: null_and_power(metric, design, sets) for metric in METRICS}
        print(design.name, content["compared"][design.name], flush=True)
    content["permuted"] = permuted(Design(200), sets)
    content["claims"] = {
        "intervals cover 93 to 97 of 100": all(
            0.93 <= found["covered"] <= 0.97 for each in content["coverage"].values() for found in each.values()
        ),
        "wrongly better in at most 6 of 100": all(
            found["wrongly"] <= 0.06 for each in content["compared"].values() for found in each.values()
        ),
        "rightly better in at least 80 of 100": all(
            found["rightly"] >= 0.8 for each in content["compared"].values() for found in each.values()
        ),
        "permuted labels show nothing in at least 90 of 100": min(content["permuted"].values()) >= 0.9,
    }
    content["seconds"] = time.perf_counter() - clock
    print(content["permuted"], content["claims"])
    print(common.write("simulate", content))


if __name__ == "__main__":
    main()
