"""A process that makes and reads cases: takes numbers of cases from its input, answers with lines of JSON.

Before a case is read it says so, so whoever waits knows which one ended or stopped it. It is started by tests.fuzz.run.
"""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import sys
import tempfile
import traceback
import warnings
from pathlib import Path
from typing import Any

from tests.fuzz.case import Kind, write
from tests.fuzz.kinds import KINDS
from tests.fuzz.wrong import WRONG
from tvmsr.errors import TvmsrError

#: What a case may take beside what the process has when it starts.
MEMORY = 2 << 30
#: A message is one line; a list of several problems has a line for each.
_LIST = "\n  "
_LONGEST_MESSAGE = 10_000


def look_at(kind: Kind, seed: int, index: int, folder: Path) -> dict[str, Any]:
    """What became of a case: outcome "read", "refused" or a finding, and the words to it."""
    try:
        path = write(kind, seed, index, folder)
    except Exception:
        return {"outcome": "unmade", "words": traceback.format_exc(limit=-3)}
    _say({"made": index})
    log = os.fstat(2).st_size
    with warnings.catch_warnings(record=True) as noise:
        warnings.simplefilter("always")
        try:
            kind.run(path)
        except TvmsrError as error:
            refused = _surprise(error) or _message(str(error))
        except MemoryError:
            return {"outcome": "memory", "words": traceback.format_exc(limit=-6)}
        except Exception:
            return {"outcome": "traceback", "words": traceback.format_exc(limit=-8)}
        else:
            refused = {"outcome": "read", "words": ""}
    if os.fstat(2).st_size > log and not kind.chatty:  # lines beside the one of the error
        return {"outcome": "noise", "words": os.pread(2, 2000, log).decode("utf-8", "replace")}
    if noise:
        return {"outcome": "noise", "words": f"{noise[0].category.__name__}: {noise[0].message} ({noise[0].filename})"}
    return refused


#: What only a mistake of ours raises; elsewhere, libraries raise it for what is wrong with a file.
_MISTAKES = (AttributeError, NameError, AssertionError, NotImplementedError)


def _surprise(error: TvmsrError) -> dict[str, Any] | None:
    """A mistake of ours that was caught and said as if it were one of the file's."""
    cause = error.__cause__
    if not isinstance(cause, _MISTAKES):
        return None
    frames = traceback.extract_tb(cause.__traceback__)
    if not frames or not {"tvmsr", "fuzz"} & set(Path(frames[-1].filename).parts):
        return None
    return {"outcome": "surprise", "words": "".join(traceback.format_exception(cause, limit=-6))}


def _message(text: str) -> dict[str, Any]:
    fine = text.strip() and all(part.isprintable() for part in text.split(_LIST)) and len(text) < _LONGEST_MESSAGE
    return {"outcome": "refused" if fine else "message", "words": repr(text[:1000]) if not fine else text[:300]}


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _warm_up(kind: Kind) -> None:
    """Load what the kind needs, so that the limit of memory counts cases only; caches of seeds fill here, too."""
    with tempfile.TemporaryDirectory() as folder:
        for index in range(3):
            try:
                look_at(kind, -1, index, Path(folder))
            except Exception:
                _say({"warm-up": traceback.format_exc()})


_ANSWERS = os.fdopen(os.dup(1), "w")


def _say(answer: dict[str, Any]) -> None:
    _ANSWERS.write(json.dumps(answer) + "\n")
    _ANSWERS.flush()


def main(kind: Kind, seed: int) -> None:
    os.dup2(2, 1)  # what libraries print is no answer
    faulthandler.enable()
    if kind.warm:
        _warm_up(kind)
    if sys.platform == "linux":
        _limit_memory()
    _say({"ready": os.getpid()})
    for line in sys.stdin:
        with tempfile.TemporaryDirectory() as folder:
            _say({"done": int(line), **look_at(kind, seed, int(line), Path(folder))})


if __name__ == "__main__":
    main({**KINDS, **WRONG}[sys.argv[1]], int(sys.argv[2]))
