"""The run directory: the contract between training and everything that comes after it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
from pyarrow import parquet

from finetooth import ledger
from finetooth.durable import aside, in_one_stroke, write_text
from finetooth.errors import RunError
from finetooth.history import Epoch
from finetooth.plan import Plan
from finetooth.table import Answers, Columns, Split, answers_of

FIRST = {"data.json", "split.json", "findings.json"}
WEIGHTS = "model/model.safetensors"


@dataclass(frozen=True)
class Run:
    """A directory with everything about one training run; see docs/design.md for what lies in it."""

    path: Path

    @staticmethod
    def create(path: str | Path) -> Run:
        """A new run directory. Raises RunError as `refuse_occupied` does."""
        run = Run(Path(path))
        run.refuse_occupied()
        run.path.mkdir(parents=True, exist_ok=True)
        return run

    def refuse_occupied(self) -> None:
        """Raise RunError when there is something in the way of a new run."""
        if self.begun:
            raise RunError(f"{self.path}: is a run already; choose another --out, or add --resume to go on with it.")
        # What a crash can leave before plan.yaml, the last of the first files, is no run yet and may be overwritten.
        known = {*FIRST, *map(aside, (*FIRST, "plan.yaml"))}
        strange = [p.name for p in self.path.iterdir() if p.name not in known] if self.path.is_dir() else []
        if strange:
            raise RunError(f"{self.path}: holds other things ({', '.join(sorted(strange)[:3])}); choose another --out.")
        above = next(folder for folder in (self.path, *self.path.absolute().parents) if folder.exists())
        if not above.is_dir() or not os.access(above, os.W_OK):
            raise RunError(f"{self.path}: cannot be made, {above} is {'not writable' if above.is_dir() else 'a file'}.")

    @property
    def begun(self) -> bool:
        """Whether training was begun here; plan.yaml is written last of what is known before the first step."""
        return (self.path / "plan.yaml").exists()

    @staticmethod
    def open(path: str | Path) -> Run:
        """A run directory that is there. Raises RunError when it is none."""
        folder = Path(path)
        if not folder.is_dir():
            raise RunError(f"{folder}: no such run directory.")
        if not Run(folder).begun:
            raise RunError(f"{folder}: there is no plan.yaml in it, so it is not a run directory of finetooth.")
        return Run(folder)

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def model(self) -> Path:
        """The tuned model, once training has ended."""
        return self.path / "model"

    @property
    def adapter(self) -> Path:
        """What learnt beside the model's matrices, as PEFT has it; only where the plan asked for an adapter."""
        return self.path / "adapter"

    @property
    def seeds(self) -> Path:
        """The folder of the runs that differ from this one in the training seed alone, each named by its seed."""
        return self.path / "seeds"

    @property
    def scratch(self) -> Path:
        """The run of the same network from scratch."""
        return self.path / "scratch"

    @property
    def folds(self) -> Path:
        """The folder of what each fold came to; a directory that has it is a cross-validation, without a model."""
        return self.path / "folds"

    @property
    def other_seeds(self) -> dict[int, Run]:
        """The runs with other training seeds, by seed; not all need have come to their end."""
        folders = self.seeds.iterdir() if self.seeds.is_dir() else ()
        found = {int(folder.name): Run(folder) for folder in folders if folder.name.removeprefix("-").isdigit()}
        return {seed: found[seed] for seed in sorted(found)}

    @property
    def ledger(self) -> Path:
        """The openings of the sealed test rows."""
        return self.path / "ledger.jsonl"

    @property
    def finished(self) -> bool:
        """Whether training came to its end; the report is written last."""
        return (self.path / "report.json").exists()

    @property
    def plan(self) -> Plan:
        """The resolved plan."""
        return Plan.read(self.path / "plan.yaml")

    @property
    def split(self) -> Split:
        """Which rows served for what."""
        kept = self.json("split.json")
        try:
            fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in kept.items()}
            contents = {part: tuple(digests) for part, digests in fields.pop("contents").items()}
            return Split(**fields, contents=contents)
        except (TypeError, KeyError, AttributeError):
            file = self.path / "split.json"
            raise RunError(f"{file}: not a split as finetooth writes it; put the file back as it was.") from None

    @property
    def columns(self) -> Columns:
        """The roles of the columns of the data."""
        kept = self.json("data.json")["columns"]
        return Columns(**{**kept, "input": tuple(kept["input"])})

    @property
    def epochs(self) -> list[Epoch]:
        """The evaluations."""
        try:
            lines = (self.path / "epochs.jsonl").read_text(encoding="utf-8").splitlines()
            return [Epoch.of(json.loads(line)) for line in lines]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise RunError(f"{self.path / 'epochs.jsonl'}: cannot be read: {error}") from None

    def json(self, name: str) -> dict[str, Any]:
        """One of the run's JSON files. Raises RunError when it is missing or not readable."""
        try:
            return cast("dict[str, Any]", json.loads((self.path / name).read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise RunError(
                f"{self.path}: {name} is missing; was the run stopped before it ended? Go on with it by adding "
                f"--resume to its command, or put the file back if it was taken away."
            ) from None
        except ValueError as error:
            raise RunError(f"{self.path / name}: not readable as JSON: {error}. Put the file back as it was.") from None

    def seal(self, split: Split) -> None:
        """Note in data.json the digests of what training leaves: the tuned model, the split, what baselines said."""
        data = self._unsealed()
        files = [file for file in self.model.iterdir() if file.is_file() and file.name != "README.md"]
        files += [*self.adapter.glob("*")]
        files += [*(self.path / "predictions").iterdir(), self.path / "baselines.json", self.path / "probe.npz"]
        left = {str(file.relative_to(self.path)): _file_digest(file) for file in sorted(files) if file.is_file()}
        self.write("data.json", {**data, "sealed": {**self._digests(data, split), **left}})

    @property
    def sealed(self) -> dict[str, str]:
        """What `seal` noted: a digest for each file. Raises RunError when it is not there."""
        data = self.json("data.json")
        noted = data.get("sealed") if isinstance(data, dict) else None
        if not isinstance(noted, dict) or WEIGHTS not in noted:
            raise RunError(
                f"{self.path / 'data.json'}: found no digests of the split and the model, expected those that training "
                f"ends by writing. Put the file back as it was, or train again with another --out."
            )
        return noted

    def refuse_tampering(self) -> None:
        """Raise RunError, naming the file, when split, plan, report and ledger are not as finetooth left them.

        They are held against each other: data.json has the digests of the others, the report names the last opening it
        knows of, each line of the ledger the test rows and the model. A ledger may be ahead of its report, where an
        evaluation was stopped on its way, but not behind it. The model is left to `refuse_other_model`.
        """
        sealed, split = self.sealed, self.split
        found = self._digests(self._unsealed(), split)
        for name, digest in found.items():
            self._refuse_other(name, digest, sealed.get(name))
        self._refuse_other_files(name for name in sealed if name not in found and not name.startswith("model/"))
        openings = ledger.read(self.ledger, split.digest)
        for number, entry in enumerate(openings, start=1):
            if entry.get("model") != sealed[WEIGHTS]:
                raise RunError(
                    f"{self.ledger}, line {number}: found an opening by the model {str(entry.get('model'))[:16]}, "
                    f"expected {sealed[WEIGHTS][:16]}; the ledger is another run's. Put the file back as it was."
                )
        report, known = self.path / "report.json", {entry["digest"]: entry["opening"] for entry in openings}
        try:
            told = self.json("report.json")
            scored, rows = told["test"] is not None, (told["seal"]["digest"], told["seal"]["rows"])
            head, count = told["seal"]["head"], told["seal"]["openings"]
        except (KeyError, TypeError):
            raise RunError(f"{report}: not a report as finetooth writes it; put the file back as it was.") from None
        if rows != (split.digest, len(split.test)):
            raise RunError(
                f"{report}: names {rows[1]} sealed rows of the digest {str(rows[0])[:16]}, expected {len(split.test)} "
                f"of {split.digest[:16]}, those of split.json. Put the file back as it was."
            )
        if head is not None and head not in known:
            raise RunError(
                f"{self.ledger}: the opening that the report names ({str(head)[:16]}) is not in it; openings were "
                f"taken away, or report.json was edited. Put both files back as they were."
            )
        expected = 0 if head is None else known[head]
        if count != expected or (scored and head is None):
            raise RunError(
                f"{report}: found {count} openings of the test rows{' and scores of them' if scored else ''}, expected "
                f"{expected or 'none'}, since the last one it names is {f'opening {expected}' if head else 'none'}. "
                f"Put the file back as it was."
            )

    def refuse_other_model(self) -> None:
        """Raise RunError, naming the file, when the model directory is not as training left it."""
        there = {str(file.relative_to(self.path)) for file in self.model.rglob("*") if file.is_file()}
        for name in sorted(there - set(self.sealed) - {"model/README.md"}):
            raise RunError(f"{self.path / name}: was not there when training ended; take it away.")
        self._refuse_other_files(name for name in self.sealed if name.startswith("model/"))

    def _refuse_other_files(self, names: Iterable[str]) -> None:
        for name in names:
            file = self.path / name
            self._refuse_other(name, _file_digest(file) if file.is_file() else None, self.sealed[name])

    def _refuse_other(self, name: str, found: str | None, expected: str | None) -> None:
        if found != expected:
            raise RunError(
                f"{self.path / name}: not as training left it: found "
                f"{f'the digest {found[:16]}' if found else 'no such file'}, expected "
                f"{expected[:16] if expected else 'one in data.json'}. Put the file back as it was, or train again "
                f"with another --out."
            )

    def _unsealed(self) -> dict[str, Any]:
        """data.json as it is while the run goes on."""
        return {key: value for key, value in self.json("data.json").items() if key != "sealed"}

    def _digests(self, data: Mapping[str, Any], split: Split) -> dict[str, str]:
        """Of what decides how the test rows are scored, by the names of the files."""
        kept = {"data.json": data, "plan.yaml": self.plan.values(), "split.json": asdict(split)}
        return {name: sha256(json.dumps(value, sort_keys=True).encode()).hexdigest() for name, value in kept.items()}

    def write(self, name: str, content: str | Mapping[str, Any]) -> None:
        """Write text, or a mapping as JSON, in one stroke: readers see the old file or the new one."""
        text = (
            content if isinstance(content, str) else json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
        )
        write_text(self.path / name, text)

    def write_plan(self, plan: Plan, reasons: Mapping[str, str]) -> None:
        """plan.yaml: every value that was used, with the reason where finetooth chose it."""
        opening = "# Every value that was used. `finetooth train DATA --plan` takes this file.\n"
        self.write("plan.yaml", opening + plan.text(reasons))

    def write_epochs(self, history: Iterable[Epoch]) -> None:
        """epochs.jsonl, one line per evaluation."""
        self.write("epochs.jsonl", "".join(json.dumps(epoch.line()) + "\n" for epoch in history))

    def write_predictions(self, part: str, p: Answers) -> None:
        """predictions/PART.parquet: id, label (null where unknown), what is said; the rest stands in the metadata."""
        folder = self.path / "predictions"
        folder.mkdir(exist_ok=True)
        with in_one_stroke(folder / f"{part}.parquet") as making:
            parquet.write_table(p.arrow(), making)

    def predictions(self, part: str) -> Answers:
        """What `write_predictions` wrote."""
        path = self.path / "predictions" / f"{part}.parquet"
        try:
            return answers_of(parquet.read_table(path))
        except (OSError, pa.ArrowInvalid, KeyError, TypeError, AttributeError) as error:
            raise RunError(f"{path}: cannot be read: {error}") from None

    def write_decisions(self, decisions: Mapping[str, Any]) -> None:
        """model/decisions.json: how what the model says becomes answers, beside the model that says it."""
        self.write("model/decisions.json", decisions)

    @property
    def decisions(self) -> dict[str, Any] | None:
        """How what the tuned model says becomes answers; None where nothing was fitted for that."""
        return self.json("model/decisions.json") if (self.model / "decisions.json").exists() else None


def _file_digest(path: Path) -> str:
    with open(path, "rb") as file:
        return file_digest(file, "sha256").hexdigest()
