"""`python -m tests.fuzz KIND [--count N] [--seed S] [--first I]`: N cases; exit code 1 where one is a finding.

`--index I` runs one case here, without a worker, so that its traceback or crash shows; `--keep FOLDER` writes it down.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.fuzz.case import write
from tests.fuzz.kinds import KINDS
from tests.fuzz.run import run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--index", type=int)
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    if given.index is not None:
        return _one(given.kind, given.seed, given.index, given.keep)

    def tick(index: int) -> None:
        if index % 100 == 0:
            sys.stderr.write(f"{index}\n")

    report = run(given.kind, given.seed, range(given.first, given.first + given.count), tick)
    print(report)
    return 1 if report.findings else 0


def _one(kind: str, seed: int, index: int, keep: Path | None) -> int:
    with tempfile.TemporaryDirectory() as scratch:
        folder = keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        path = write(KINDS[kind], seed, index, folder)
        print(path)
        print(KINDS[kind].run(path))
    return 0


if __name__ == "__main__":
    sys.exit(main())
