"""Makes the files of a network, for every size, in one variant of a peer.

    python -m peering.convert PEER VARIANT JOB.json

The last line of standard output is JSON: files by size, or what went wrong. A peer that crashes takes only this
process along.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path

from peering.runtimes import Job, runtime


def main() -> None:
    name, variant, job = sys.argv[1:4]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what peers print does not belong among the answers
    try:
        work = Job.read(Path(job))
        module = runtime(name)
        for needed in module.MODULES:
            importlib.import_module(needed)
        files = module.convert(work, variant)
        answer: dict[str, object] = {"files": {str(size): [str(file) for file in files(size)] for size in work.sizes}}
    except ImportError as error:
        answer = {"reason": f"not installed: {error.name or error}"}
    except Exception as error:  # whatever a peer raises is a row of the table
        answer = {"reason": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), file=answers, flush=True)
    os._exit(0)  # not every peer ends well


if __name__ == "__main__":
    main()
