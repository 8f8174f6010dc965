"""One job tuned in memory, look by look: what cross-validation and search are made of."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from finetooth import machine, stops
from finetooth.history import Epoch
from finetooth.loop import fit
from finetooth.prefix import Ask
from finetooth.prepare import Job
from finetooth.table import Answers


def looks(job: Job) -> Iterator[tuple[Epoch, Answers]]:
    """Each evaluation, and what the network said of the validation rows then; it ends where the plan says enough.

    Nothing is written. Raises NonFiniteLoss.
    """
    state, enough, said = job.state(), stops.never(), list[Answers]()
    if job.plan.early_stopping_patience is not None:
        enough = stops.patience(job.goal, job.plan.early_stopping_patience)

    def scores(net: nn.Module, ask: Ask) -> dict[str, float]:
        said[:] = [job.look(net, ask=ask)]
        return job.scored(said[0])

    for step in fit(state, job.batches, job.recipe, scores):
        job.progress.step(step)
        machine.tidy(step.step)
        if step.ended is not None:
            yield step.ended, said[0]
            if enough(state.history):
                return
