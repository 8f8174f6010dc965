"""What the learning curves say, in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from finetooth.report.words import metric

OVERFIT_RISE = 0.05  # validation loss wobbles by a few per cent between epochs; beyond this it is climbing
UNDERFIT_LOSS = 0.9  # a model that learns takes far more than a tenth off its first train loss
UNDERFIT_ACCURACY = (
    0.02  # of accuracy, or of the variance: two points above guessing is within the noise of a small validation set
)
STILL_FALLING = 0.02  # a last evaluation that takes off less than this has flattened out
NAMES_TOLD = 5  # classes named in one sentence before it turns into a list

Item = dict[str, str]


def diagnose(
    epochs: Sequence[Mapping[str, Any]],
    detail_validation: Mapping[str, Any],
    labels: Sequence[str],
    majority_accuracy: float,
) -> list[Item]:
    """Names what the curves and the answers on the validation rows show, each with advice in plan keys.

    Every item has name, severity ("info" or "warning"), says and advice. `epochs` holds one mapping per
    evaluation with epoch, loss, eval_loss and eval_accuracy; `majority_accuracy` is that of always giving the
    commonest label.
    """
    guessing = Guessing("accuracy", majority_accuracy, "always giving the commonest label")
    return _or_nothing(_curves(epochs, guessing) + _answers(detail_validation["classes"], labels), epochs)


def diagnose_numbers(epochs: Sequence[Mapping[str, Any]]) -> list[Item]:
    """The same where the labels are numbers; `epochs` have eval_r2 in place of eval_accuracy."""
    return _or_nothing(_curves(epochs, Guessing("r2", 0.0, "always giving the mean")), epochs)


def diagnose_labels(
    epochs: Sequence[Mapping[str, Any]], detail_validation: Mapping[str, Any], common: float
) -> list[Item]:
    """The same where any of several labels may be true; `common` is how common a label is on average.

    `epochs` have eval_mean_average_precision in place of eval_accuracy, `detail_validation` has labels for classes.
    """
    guessing = Guessing("mean_average_precision", common, "naming labels at random")
    missed = [row["label"] for row in detail_validation["labels"] if row["rows"] and not row["predicted"]]
    items = _curves(epochs, guessing)
    if missed:
        says = f"Present in the validation rows, yet never given: {_named(missed)}."
        advice = "Set threshold to auto, class_weights to auto, allow more epochs, or gather more rows of these labels."
        items.append(_item("label never given", "warning", says, advice))
    return _or_nothing(items, epochs)


def diagnose_tags(
    epochs: Sequence[Mapping[str, Any]], detail_validation: Mapping[str, Any], common: float
) -> list[Item]:
    """The same where each word has a tag; `common` is the share of the commonest tag.

    `epochs` have eval_entity_f1 or, of plain tags, eval_word_accuracy; `detail_validation` has types for classes.
    """
    plain = detail_validation["scheme"] == "plain"
    guessing = Guessing("word_accuracy", common, "always giving the commonest tag")
    items = _curves(epochs, guessing if plain else Guessing("entity_f1", 0.0, "finding no entity"))
    missed = [row["label"] for row in detail_validation["types"] if row["rows"] and not row["predicted"]]
    if missed:
        says = f"Present in the validation rows, yet never {'given' if plain else 'found'}: {_named(missed)}."
        advice = "Allow more epochs, set class_weights to auto, or gather more rows with these."
        items.append(_item("tag never given" if plain else "type never found", "warning", says, advice))
    return _or_nothing(items, epochs)


@dataclass(frozen=True)
class Guessing:
    """A score of which higher is better, what guessing gives of it, and how one guesses."""

    score: str
    value: float
    how: str


def _or_nothing(items: list[Item], epochs: Sequence[Mapping[str, Any]]) -> list[Item]:
    """What was found, or that nothing was."""
    if items:
        return items
    if len(epochs) == 1:
        return [
            _item(
                "one evaluation",
                "info",
                "There is a single evaluation, and one point shows no trend.",
                "Set eval_every to 0.25 or raise epochs to see whether the model over- or underfits.",
            )
        ]
    return [
        _item(
            "no sign of over- or underfitting",
            "info",
            "The model does better than guessing, and validation loss did not climb away from its minimum.",
            "Nothing in the curves asks for a change; more data is the likeliest gain.",
        )
    ]


def _item(name: str, severity: str, says: str, advice: str) -> Item:
    return {"name": name, "severity": severity, "says": says, "advice": advice}


def _curves(epochs: Sequence[Mapping[str, Any]], guessing: Guessing) -> list[Item]:
    for epoch in epochs:
        if not all(loss is not None and isfinite(loss) for loss in (epoch["loss"], epoch["eval_loss"])):
            says = f"The loss is not a number at epoch {epoch['epoch']:g}."
            advice = "Lower learning_rate, lengthen warmup_steps, or set precision to fp32."
            return [_item("diverged", "warning", says, advice)]

    items = []
    first, last = epochs[0], epochs[-1]
    lowest = min(epochs, key=lambda epoch: epoch["eval_loss"])

    if last["eval_loss"] > (1 + OVERFIT_RISE) * lowest["eval_loss"] and last["loss"] < lowest["loss"]:
        says = (
            f"Since epoch {lowest['epoch']:g} validation loss has risen from {lowest['eval_loss']:.3f} to "
            f"{last['eval_loss']:.3f} while train loss went on falling, from {lowest['loss']:.3f} to "
            f"{last['loss']:.3f}."
        )
        if guessing.score == "accuracy" and last["eval_accuracy"] > lowest["eval_accuracy"]:
            says += " Accuracy rose meanwhile: its answers got better, its probabilities too sure of themselves."
        advice = (
            f"Set epochs to {max(1, round(lowest['epoch']))} or early_stopping_patience to 1; otherwise "
            "lower learning_rate, raise weight_decay or dropout, freeze more of the lowest blocks, "
            "or gather more data."
        )
        items.append(_item("overfitting", "warning", says, advice))

    score = last[f"eval_{guessing.score}"]
    at_chance = score <= guessing.value + UNDERFIT_ACCURACY
    if len(epochs) > 1 and at_chance and last["loss"] > UNDERFIT_LOSS * first["loss"]:
        says = (
            f"Train loss only went from {first['loss']:.3f} to {last['loss']:.3f}, and validation "
            f"{metric(guessing.score)} ({score:.3f}) is no better than {guessing.how} ({guessing.value:.3f})."
        )
        advice = (
            "Raise learning_rate or epochs, freeze fewer blocks if any are frozen, lower weight_decay and dropout; "
            "if that changes nothing, the input may not hold the answer."
        )
        items.append(_item("underfitting", "warning", says, advice))

    before = epochs[-2]["eval_loss"] if len(epochs) > 1 else last["eval_loss"]
    if lowest is last and last["eval_loss"] < (1 - STILL_FALLING) * before:
        fall = 1 - last["eval_loss"] / before
        says = f"Validation loss was still falling at the end, by {fall:.0%} in the last evaluation."
        advice = "Raise epochs, with early_stopping_patience at 2 so that training ends when this does."
        items.append(_item("still improving", "info", says, advice))
    return items


def _named(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - NAMES_TOLD} more" if len(names) > NAMES_TOLD else ""
    return ", ".join(f"“{name}”" for name in names[:NAMES_TOLD]) + more


def _answers(classes: Sequence[Mapping[str, Any]], labels: Sequence[str]) -> list[Item]:
    answered = [label for label, row in zip(labels, classes, strict=True) if row["predicted"]]
    missed = [label for label, row in zip(labels, classes, strict=True) if row["rows"] and not row["predicted"]]
    if len(answered) == 1 and missed:
        says = f"The model answers “{answered[0]}” to every validation row."
        advice = (
            "Allow more epochs, try another learning_rate (lower if the loss jumps, higher if it hardly falls), "
            "set class_weights to auto, and check that the labels fit their texts."
        )
        return [_item("one class only", "warning", says, advice)]
    if missed:
        says = f"Present in the validation rows, yet never the answer: {_named(missed)}."
        advice = "Set class_weights to auto, allow more epochs, or gather more data for these classes."
        return [_item("class never predicted", "warning", says, advice)]
    return []
