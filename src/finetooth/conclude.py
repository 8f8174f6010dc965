"""After the last step: honest probabilities, decisions that serve, and the baselines; all by validation rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from finetooth import baselines, decide, forgetting, machine, transfer
from finetooth.backbones import Backbone, cool, load_masked, unstandardize
from finetooth.baselines import Baseline, Reader, Rows
from finetooth.errors import RunError, UserError
from finetooth.linear import Affine
from finetooth.metrics import Metric, units_of
from finetooth.plan import Plan
from finetooth.predict import predict
from finetooth.prepare import Job
from finetooth.progress import Progress
from finetooth.readers import read
from finetooth.run import Run
from finetooth.seeds import numbers
from finetooth.table import Answers, AnyOf, Numbers, Predictions, Table, Written
from finetooth.tags import Tags, ragged
from finetooth.tasks import Encoded, Instruction, Preference, for_network, named

EXAMPLE = 8  # rows on which a changed head is looked at
LEVEL = 0.95  # of prediction intervals
PROMPTS = 200  # prompts in which a language model guesses next tokens: fewer would have no interval
TOKENS = 16  # in each
BY_LABEL = "macro_f1"  # what thresholds of labels are fitted for, one by one


def settle(job: Job, scores: Mapping[str, float]) -> tuple[Job, Answers | None, dict[str, Any] | None]:
    """The net as it will be saved; where that was asked, what it then says of the validation rows, and the calibration.

    `scores` are those of the evaluation that chose it. A net that learnt standardised numbers speaks in their unit from
    here on, as does the job that comes back.
    """
    if job.task.kind == "one-of":
        return job, *calibrate(job, scores.get(decide.COOLING))
    if job.scale is not None:
        moved = unstandardize(job.backbone.net, job.scale.mean, job.scale.deviation, _example(job))
        assert moved, "the task looked at the head when it loaded the model"
        job = replace(job, scale=None)
    return job, None, None


def calibrate(job: Job, found: float | None) -> tuple[Predictions | None, dict[str, Any]]:
    """Divide a temperature into the net's last layer; what it then says of the validation rows, where that was asked.

    The temperature is what the evaluation of this very net `found`. In fp32, and where none was found, the rows are
    looked at; the exact answers of a net that computed in bf16 are asked of the saved one.
    """
    look = job.plan.precision == "fp32" or (found is None and job.plan.calibrate)
    p, told = job.look(job.backbone.net) if look else None, {"temperature": 1.0, "rows": len(job.validation)}
    assert p is None or isinstance(p, Predictions), "classes have probabilities"
    if not job.plan.calibrate:
        return p, {**told, "applied": "not applied: the plan says calibrate: false"}
    if len(job.validation) < decide.FEWEST:
        return p, {**told, "applied": f"not applied: fewer than {decide.FEWEST} validation rows"}
    found = found if p is None else decide.temperature(p)
    if found is None or found == 1.0:
        return p, {**told, "applied": "not applied: the probabilities are as honest as these rows can tell"}
    if not cool(job.backbone.net, len(job.names), found, _example(job)):
        return p, {**told, "applied": "not applied: the last layer of this network could not be identified"}
    p = None if p is None else decide.cooled(p, found)
    return p, {**told, "temperature": found, "applied": "in the last layer"}


def _example(job: Job) -> dict[str, Tensor]:
    rows = np.arange(min(EXAMPLE, len(job.validation)))
    inputs, _ = job.task.collate(job.validation, rows, job.backbone.tokenizer.pad_token_id)
    return {name: tensor.to(machine.device()) for name, tensor in for_network(inputs).items()}


def decided(plan: Plan, metrics: Mapping[str, Metric], p: Answers) -> tuple[Answers, decide.Rule | None]:
    """The same answers with what these very rows, of which nobody learnt, tell of how to decide; and the rule, if any.

    Of classes and labels it is the plan's threshold, of numbers how wide a prediction interval has to be.
    """
    if isinstance(p, AnyOf):
        if plan.threshold == "argmax":
            return p, None
        rule = decide.label_thresholds(p, metrics[BY_LABEL])
        return replace(p, thresholds=rule.matrix), rule
    if isinstance(p, Numbers):
        return replace(p, half=decide.half_width(p, LEVEL)), None
    if isinstance(p, Written | Tags):
        return p, None
    assert isinstance(p, Predictions)
    found = rule_of(plan, metrics, p)
    return (p, None) if found is None else (replace(p, rule=found.matrix), found)


def rule_of(plan: Plan, metrics: Mapping[str, Metric], p: Predictions) -> decide.Rule | None:
    """How the plan wants a model's probabilities to become decisions; None where the likeliest class is decided."""
    threshold = plan.threshold
    if threshold == "argmax":
        return None
    if isinstance(threshold, str):
        return decide.thresholds(p, metrics[plan.metric_for_best_model if threshold == "auto" else threshold])
    return decide.cheapest(p, threshold)


def judge_baselines(
    run: Run, table: Table, job: Job, seconds: float, progress: Progress, *, network: bool = True
) -> None:
    """Fit the baselines on the training rows, keep what they say of the validation rows, and what was forgotten.

    The probe reads as many rows as fit into half of the larger of a tenth of `seconds`, which training took, and 20
    seconds; without `network` no other network than the tuned one is loaded.
    """
    clock, names = perf_counter(), job.names
    if job.task.kind == "texts":
        _judge_untuned(run, table, job)
        return

    def keep(name: str, p: Answers) -> None:
        # A baseline decides as the tuned model does, by a rule of its own: else the rule would pass for the tuning.
        run.write_predictions(f"validation-{name}", decided(job.plan, job.metrics, p)[0])

    training, validation = (
        replace(Rows.of(table, encoded.ids, names, job.task), encoded=encoded)
        for encoded in (job.training, job.validation)
    )
    fitted, left_out = baselines.without_network(training)
    transferred: dict[str, Any] = {"centroid": None, "h_score": None}
    forgot = None
    spent: dict[str, dict[str, float]] = {}
    # The network as it was before: what was tuned has changed it.
    untouched = as_before(job) if network else None
    if untouched is not None:
        before, after = (
            Reader(backbone.net, backbone.tokenizer, job.task, int(job.plan.max_length), job.plan.precision)
            for backbone in (untouched, job.backbone)
        )
        left = baselines.budget(seconds) - (perf_counter() - clock)
        probed = baselines.probe(training, before, seconds=max(left, 1.0), progress=progress)
        states = before.states(validation)
        if probed is None:
            left_out["frozen_probe"] = "the training rows that there was time for have all the same label"
        else:
            # What was read of the validation rows answers for the probe too.
            keep("frozen_probe", validation.said(baselines.fits(validation).asked(probed.affine, states)))
            keep_probe(run, probed.affine)
        if probed is not None:
            spent["frozen_probe"] = {"rows": len(probed.targets), "seconds": probed.seconds}
        if probed is not None and job.task.kind == "one-of":
            transferred = {
                "centroid": transfer.centroid(probed.states, probed.targets, states, validation.targets),
                "h_score": transfer.h_score(probed.states, probed.targets),
            }
        if untouched.answers:
            fitted["untuned"] = Baseline(lambda rows: before.predict(rows).said, 0, 0.0)
        else:
            what = {"numbers": "these numbers", "tags": "these tags"}.get(job.task.kind, "these classes")
            left_out["untuned"] = f"the model has no head for {what}, so it cannot answer before it is tuned"
        forgot = forgotten(job, before, after, validation, table.groups_of(validation.ids))
    if Run(run.scratch).finished:
        run.write_predictions("validation-scratch", Run(run.scratch).predictions("validation"))
        beside = Run(run.scratch).json("machine.json")["seconds"]["train"]
        spent["scratch"] = {"rows": len(training.ids), "seconds": beside}
    for name, baseline in fitted.items():
        began = perf_counter()
        keep(name, baseline.predict(validation))
        spent[name] = {"rows": baseline.rows, "seconds": baseline.seconds + perf_counter() - began}
    kept = {"fitted": spent, "left_out": left_out, "transfer": transferred, "forgetting": forgot}
    digest = table.digest(run.split.train)
    run.write("baselines.json", {"shares": baselines.shares(training).tolist(), "training": digest, **kept})


def _judge_untuned(run: Run, table: Table, job: Job) -> None:
    """The same where answers are in words: the baseline is the model as it was, which also knew how prompts go on."""
    untouched, clock = as_before(job), perf_counter()
    how: dict[str, Any] = {"pad": untouched.tokenizer.pad_token_id, "precision": job.plan.precision}
    how["device"] = machine.device()
    nets = [untouched.net.to(machine.device()), job.backbone.net]
    if isinstance(job.task, Preference):
        p: Answers = job.task.untuned(job.validation.ids)
    else:
        p = predict(nets[0], job.task, job.validation, [], **how)
    run.write_predictions("validation-untuned", p)
    spent = {"untuned": {"rows": 0, "seconds": perf_counter() - clock}}
    transferred, forgot = {"centroid": None, "h_score": None}, None
    if isinstance(job.task, Instruction):  # what an encoder reads its decoder has never written
        task, some = named("instruction"), np.argsort(numbers(0, "forgotten", 0, job.validation.keys), kind="stable")
        ids = [job.validation.ids[i] for i in np.sort(some[:PROMPTS]).tolist()]
        prompts = task.encode(table, ids, [], untouched.tokenizer, int(job.plan.max_length))
        prompts = replace(prompts, marks=_asked(prompts))
        said = [predict(net, task, prompts, [], **how) for net in nets]
        before, after = (p.cells()["token_accuracy"] for p in said)
        units = units_of(table.groups_of(prompts.ids), len(prompts))
        forgot = forgetting.told("the next token of an unseen prompt guessed at the first go", before, after, units)
    run.write("baselines.json", {"fitted": spent, "left_out": {}, "transfer": transferred, "forgetting": forgot})


def _asked(encoded: Encoded) -> NDArray[np.bool_]:
    """Of each row at most TOKENS, evenly spread, none of an answer and not the first, which nothing comes before."""
    assert encoded.marks is not None
    asked = np.zeros(len(encoded.marks), dtype=bool)
    for start, end in pairwise(encoded.offsets.tolist()):
        free = start + 1 + np.flatnonzero(~encoded.marks[start + 1 : end])
        asked[free[np.unique(np.linspace(0, len(free) - 1, min(TOKENS, len(free))).astype(np.int64))]] = True
    return asked


def asked_again(run: Run, table: Table, test: Rows) -> tuple[dict[str, Answers], dict[str, str]]:
    """What the run's baselines say of the test rows, and why some cannot be asked any more, by name.

    The words are fitted anew on the same training rows, the probe is asked with the numbers that were kept and the
    network that it was fitted on: of other rows, or with other weights, they would be other baselines.
    """
    plan, kept, task, names = run.plan, run.json("baselines.json"), test.task, test.names
    found = {baselines.fits(test).name: baselines.always(np.array(kept["shares"]), 0).predict(test)}
    missing: dict[str, str] = {}
    train = run.split.train
    if (worded := baselines.fits(test).worded) in kept["fitted"]:
        if all(i in table.position for i in train) and table.digest(train) == kept["training"]:
            counted = baselines.words(Rows.of(table, train, names, task))
            assert counted is not None, "it was cheap before"
            found[worded] = counted.predict(test)
        else:
            missing[worded] = "the training rows are not there, or not as they were"
    if "frozen_probe" in kept["fitted"]:
        try:
            untouched = as_it_was(run)
        except UserError as error:
            missing["frozen_probe"] = str(error).rstrip(".")
        else:
            reader = Reader(untouched.net, untouched.tokenizer, task, int(plan.max_length), plan.precision)
            found["frozen_probe"] = test.said(baselines.fits(test).asked(kept_probe(run), reader.states(test)))
            if "untuned" in kept["fitted"]:
                found["untuned"] = reader.predict(test)
    if "untuned" in kept["fitted"] and "untuned" not in found:
        missing["untuned"] = missing["frozen_probe"]
    if "scratch" in kept["fitted"]:
        scratch = Reader(*task.tuned(Run(run.scratch).model), task, int(plan.max_length), "fp32")
        found["scratch"] = scratch.predict(test)
    fitted = {name: run.predictions(f"validation-{name}").decisions for name in found}
    return {name: found[name].ruled(fitted[name]) for name in kept["fitted"] if name in found}, missing


def as_before(job: Job) -> Backbone:
    """The model that the job tunes, loaded anew."""
    plan = job.plan
    return job.task.load(job.backbone.source, job.names, seed=plan.seed, image_size=plan.image_size)


def as_it_was(run: Run) -> Backbone:
    """The model that the run tuned, before it was tuned. Raises UserError where it cannot be had, or is another now."""
    data = run.json("data.json")
    untouched = named(run.plan.task).load(
        data["model"], data["names"], seed=run.plan.seed, image_size=run.plan.image_size
    )
    if (untouched.weights_digest, untouched.tokenizer_digest) != (data["weights"], data["tokenizer"]):
        raise RunError(f"{data['model']} is not the model any more that was tuned.")
    return untouched


def forgotten(
    job: Job, before: Reader, after: Reader, validation: Rows, groups: Sequence[str | None] | None
) -> dict[str, Any] | None:
    """What the network could do and no longer can: on the plan's `keep` rows, else on the validation texts."""
    if job.plan.keep is not None:
        table = read(job.plan.keep)
        right = [forgetting.kept(_reading(reader), table) for reader in (before, after)]
        return forgetting.told(
            f"the labels of {Path(job.plan.keep).name}, read off by a linear probe",
            right[0],
            right[1],
            units_of(None, len(table)),
        )
    if validation.images:
        return None
    texts = forgetting.chosen(validation.texts)
    if len(texts) < 2:
        return None
    group = dict(zip(validation.texts, groups or [None] * len(validation.texts), strict=True))
    units = units_of([group[text] for text in texts], len(texts))
    # Tokens before a text leave the body as it was: what it makes of one with them there is looked at below.
    masked = None if job.backbone.prompted else load_masked(job.backbone.source)
    if masked is not None and after.tokenizer.mask_token is not None:
        how = (after.tokenizer, texts, int(job.plan.max_length), machine.device())
        first = forgetting.masked_found(masked, *how)
        # The tuned body under the head that it was pre-trained with.
        masked.base_model.load_state_dict(job.backbone.net.base_model.state_dict(), strict=False)
        second = forgetting.masked_found(masked, *how)
        return forgetting.told("a masked word of an unseen text guessed at the first go", first, second, units)
    right = [forgetting.halves_found(_reading(reader), texts) for reader in (before, after)]
    return forgetting.told(
        "the two halves of an unseen text found among those of all others", right[0], right[1], units
    )


def _reading(reader: Reader) -> forgetting.Read:
    def states(texts: Sequence[str]) -> NDArray[np.float64]:
        cells = [(text,) for text in texts]
        ids = [str(i) for i in range(len(texts))]
        if reader.task.kind != "tags":
            return reader.states(Rows(ids, cells, np.full(len(texts), -1), [], reader.task))
        unknown = ragged(np.zeros(0, dtype=np.int64), np.zeros(len(texts), dtype=np.int64))
        found = reader.states(Rows(ids, cells, unknown, [], reader.task))
        return np.stack([words.sum(axis=0) / max(len(words), 1) for words in found]).astype(np.float64)

    return states


def keep_probe(run: Run, probe: Affine) -> None:
    """probe.npz: the numbers of the linear probe, to be asked again of the test rows."""
    with open(run.path / "probe.npz", "wb") as file:
        np.savez_compressed(file, weights=probe.weights, bias=probe.bias)


def kept_probe(run: Run) -> Affine:
    """What `keep_probe` kept."""
    with np.load(run.path / "probe.npz", allow_pickle=False) as kept:
        return Affine(kept["weights"], kept["bias"])
