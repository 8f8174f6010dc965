"""transformers without its own words about loading."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from logging import ERROR


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' own loading report and bar, which speak of a new head as if it were a fault."""
    from huggingface_hub.utils import logging as hub
    from transformers.utils import logging

    level, bar, hub_level = logging.get_verbosity(), logging.is_progress_bar_enabled(), hub.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    hub.set_verbosity(ERROR)  # it tells of every attempt to reach a hub that is not there
    try:
        yield
    finally:
        logging.set_verbosity(level)
        hub.set_verbosity(hub_level)
        if bar:
            logging.enable_progress_bar()
