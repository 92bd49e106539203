"""What devices and networks do to a client, and what came of it: the table of docs/results.md.

    python benchmarks/device_failures.py                         # as root: it makes network namespaces
    python benchmarks/device_failures.py --only cut frozen       # some of them

Runs the cases of tests/devices/network/cases.py, which say what is done; emulated devices need qemu-user. Seconds are
from the moment at which it was done (from the beginning where nothing is done at a moment).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the cases are the tests'

from tests.devices.network.cases import CASES, Case
from tests.devices.network.net import Network, NoNetworkError
from tests.devices.network.scene import NATIVE, PLACES, Ending, Scene

HEAD = """\
| what was done | what came of it | client knew after (s) | next client served after (s) |
|---|---|---:|---:|"""


def row(title: str, ending: Ending) -> str:
    """A line of the table."""
    known, served = ("" if seconds is None else f"{seconds:.2f}" for seconds in (ending.known, ending.served))
    came = ending.came.replace("|", "\\|")
    return f"| {title} | {came} | {known} | {served} |"


def tried(case: Case, net: Network, program: Path | None) -> tuple[str, bool]:
    """The line of a case, and whether it ended within its limits."""
    net.heal()
    with tempfile.TemporaryDirectory(prefix="tvmsr-failures-") as folder:
        scene = Scene(net, Path(folder), case.architecture, program if case.architecture == NATIVE else None)
        try:
            ending = case.run(scene)
            case.check(ending)
        except AssertionError as error:
            return row(case.title, Ending(f"**failed**: {str(error).splitlines()[0]}")), False
    return row(case.title, ending), True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="+", default=[""], metavar="WORD", help="cases with one of these in their title"
    )
    parser.add_argument("--program", type=Path, help="a tvmsr-device that is built already, for this machine")
    options = parser.parse_args()
    try:
        with Network(*PLACES) as net:
            print(HEAD, flush=True)
            right = True
            for case in CASES:
                if any(word in case.title for word in options.only):
                    line, fine = tried(case, net, options.program)
                    print(line, flush=True)
                    right &= fine
    except NoNetworkError as error:
        sys.exit(f"device_failures: {error}")
    sys.exit(not right)


if __name__ == "__main__":
    main()
