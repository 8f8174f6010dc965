"""The verbs put together, and the one place where errors become sentences and exit statuses."""

from __future__ import annotations

import json
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from importlib.metadata import version

import typer
from typer.core import TyperGroup

from finetooth.cli.check import check
from finetooth.cli.compare import compare
from finetooth.cli.demo import demo
from finetooth.cli.evaluate import evaluate
from finetooth.cli.predict import predict
from finetooth.cli.runs import runs
from finetooth.cli.search import search
from finetooth.cli.train import train
from finetooth.cli.validate import validate
from finetooth.errors import FinetoothError, Interrupted, UserError, nearest

VERBS: dict[str, Callable[..., None]] = {
    "check": check,
    "demo": demo,
    "train": train,
    "validate": validate,
    "search": search,
    "evaluate": evaluate,
    "predict": predict,
    "compare": compare,
    "runs": runs,
}
LATER = ("plan", "suggest", "explain", "export", "serve", "watch")

STOPPED = (
    "stopped before the work was done; what was saved is kept. Give the same command again (train, validate, search: "
    "with --resume)."
)

app = typer.Typer(
    cls=TyperGroup,
    help="Fine-tune a pre-trained model on your labelled file, and hear the truth about the result.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for _name, _verb in VERBS.items():
    app.command(_name)(_verb)


def main() -> None:
    """Run the verb that the command line names. Exit status: 0 done, 2 a user's mistake, 3 broken, 130/143 stopped."""
    words = sys.argv[1:] or ["--help"]
    warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
    signal.signal(signal.SIGTERM, _terminate)
    try:
        _refuse_unknown(words)
        status = app(words, standalone_mode=False)
        sys.exit(status if isinstance(status, int) else 0)
    except UserError as error:
        _fail(words, str(error), 2)
    except Interrupted as error:
        _fail(words, str(error), 128 + error.signal)
    except FinetoothError as error:
        _fail(words, str(error), 3)
    except _Terminated:
        _fail(words, STOPPED, 128 + signal.SIGTERM)
    except KeyboardInterrupt:
        _fail(words, STOPPED, 128 + signal.SIGINT)
    except typer.Exit as stop:
        # Typer turns a Ctrl-C inside a verb into this exit.
        if stop.exit_code == 128 + signal.SIGINT:
            _fail(words, STOPPED, stop.exit_code)
        sys.exit(stop.exit_code)
    except Exception as error:
        if hasattr(error, "format_message"):  # the command line's own refusals: unknown options, missing arguments
            _fail(words, f"{error.format_message()} (see finetooth {_verb_of(words)}--help)", 2)
        if "--debug" in words:
            traceback.print_exc()
        what = f"{type(error).__name__}: {error}"
        _fail(words, f"something broke that should not have: {what}. Add --debug to see where.", 3)


class _Terminated(BaseException):
    """SIGTERM outside the training loop, which has its own way with it."""


def _terminate(number: int, frame: object) -> None:
    raise _Terminated


def _verb_of(words: list[str]) -> str:
    return f"{words[0]} " if words and words[0] in VERBS else ""


def _refuse_unknown(words: list[str]) -> None:
    if words == ["--version"]:
        print(f"finetooth {version('finetooth')}")
        sys.exit(0)
    if not words or words[0].startswith("-") or words[0] in VERBS:
        return
    if words[0] in LATER:
        raise UserError(f"'{words[0]}' is not in this version of finetooth; there is {', '.join(VERBS)}.")
    raise UserError(f"there is no verb '{words[0]}'; {nearest(words[0], VERBS)}")


def _fail(words: list[str], message: str, status: int) -> None:
    print(f"finetooth: {message}", file=sys.stderr)
    if "--json" in words:
        print(json.dumps({"error": message, "status": status}))
    sys.exit(status)
