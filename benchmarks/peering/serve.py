"""Runs one network in one runtime when told to: `python -m peering.serve TASK.json`, requests on standard input.

The task: runtime, variant, files, threads, input (.npy). Requests, one a line: `run`, answered with the seconds it
took; `result FILE`, which writes the last output as (H, W, C) and answers with the peak of memory; `end`.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from peering.runtimes import runtime


def peak() -> int:
    """VmHWM of this process, bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(**values: Any) -> None:
        print(json.dumps(values), file=answers, flush=True)

    task = json.loads(Path(sys.argv[1]).read_text())
    feed = np.load(task["input"])
    before = peak()
    try:
        module = runtime(task["runtime"])
        for name in module.MODULES:
            importlib.import_module(name)
        start = time.perf_counter()
        opened = module.open_network(task["files"], task["variant"], task["threads"], feed)
        seconds = time.perf_counter() - start
        opened.check()
        output = opened.run()
        answer(opened=seconds, before=before, level=opened.level)
    except Exception as error:  # whatever a peer raises is a row of the table
        answer(reason=f"{type(error).__name__}: {error}")
        os._exit(0)
    for line in sys.stdin:
        request, _, where = line.strip().partition(" ")
        if request == "run":
            del output  # an app would not keep it either
            start = time.perf_counter()
            output = opened.run()
            answer(seconds=time.perf_counter() - start)
        elif request == "result":
            most = peak()
            np.save(where, opened.picture(output))
            answer(peak=most)
        else:
            break
    os._exit(0)  # not every peer ends well


if __name__ == "__main__":
    main()
