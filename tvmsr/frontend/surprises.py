"""Errors of libraries, and of tensors that do not fit together, as the one line that a user can do something with."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from traceback import walk_tb
from typing import Any

import numpy as np

from tvmsr.errors import InputFileError, TvmsrError
from tvmsr.graph.model import Model

_log = logging.getLogger(__name__)

#: No weight of a network is larger; the products of such numbers would not be finite.
LARGEST_WEIGHT = 1e18


@contextmanager
def as_input_error(source: str, what: str) -> Iterator[None]:
    """Whatever is raised inside becomes an InputFileError `source: what (reason)`; the debug log has all of it."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore", RuntimeWarning)  # what is not finite is found by its name (check_weights)
            yield
    except (TvmsrError, MemoryError, ImportError, NameError):  # what is missing here is no fault of the file
        raise
    except Exception as error:
        _log.debug("%s: %s", source, what, exc_info=True)
        raise InputFileError(f"{source}: {what} ({reason(error)})") from error


def reason(error: Exception) -> str:
    """The line of a library's message that says something; TVM's begin with a traceback, KeyErrors are a key alone."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    line = (lines[-1] if "Traceback" in lines[0] else lines[0]) if lines else ""
    if not line or isinstance(error, LookupError):
        line = f"{type(error).__name__} {line}".strip()
    return "".join(c if c.isprintable() else "?" for c in line)[:300]


def check_weights(model: Model, source: str) -> None:
    """InputFileError that names the layer whose weights nobody can compute with: finite tensors can fold to such."""
    for node in model.graph:
        for key, value in node.weights.items():
            if not np.all(np.abs(value) <= LARGEST_WEIGHT):
                raise InputFileError(
                    f"{source}: the {key} of layer {node.name!r} is not finite, or beyond {LARGEST_WEIGHT:g}"
                )


@contextmanager
def quiet_failures() -> Iterator[None]:
    """Keeps TVM from warning, on stderr, of each builder that an error inside leaves unfinished."""
    try:
        yield
    except Exception as error:
        for builder in _builders(error):
            with suppress(Exception):
                builder._end_block()
        raise


def _builders(error: BaseException | None) -> Iterator[Any]:
    """The Relax builders of the frames that an error, and what led to it, went through."""
    seen: set[int] = set()
    while error is not None:
        for frame, _ in walk_tb(error.__traceback__):
            values = list(frame.f_locals.values())
            values += [inner for value in values for inner in getattr(value, "__dict__", {}).values()]
            for value in values:
                if type(value).__name__ == "BlockBuilder" and id(value) not in seen:
                    seen.add(id(value))
                    yield value
        error = error.__cause__ or error.__context__
