"""INT8 clip-free against FP32: ours at 8 bits beside every network's FP32 by the fastest peer, in time and in PSNR.

    python benchmarks/int8_or_fp32.py --weights WEIGHTS --images IMAGES --quality quality.json --json FILE --out FILE

quality.json: what benchmarks/quality.py --json wrote, from which PSNR on Set5 and Set14 comes; several files are read
one after the other. --artifacts: the folder of its --keep, whose artifacts are timed; what it lacks is compiled into
it. Each network is run by ours and, in FP32, by every peer, by turns, at one size. The fastest peer is that with the
least median. What is in the JSON file is not measured again. --python: the peers' interpreter.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from claim.tables import others_table, own_table, reasons, standing, summary
from claim.turns import Choice, measured
from judging.networks import ROWS, Row
from peering import limits
from peering.measure import say
from peering.networks import Sources
from peering.runtimes import NAMES, Size
from peering.store import Key, Store

from tvmsr.errors import TvmsrError

COMMAND = "python benchmarks/int8_or_fp32.py --weights WEIGHTS --images IMAGES --quality quality.json"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--quality", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--json", type=Path, required=True, help="times, kept from run to run")
    parser.add_argument("--out", type=Path, required=True, help="the tables, as Markdown")
    parser.add_argument("--artifacts", type=Path, help="NAME-int8.so by networks; without, all are compiled")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="networks whose file names begin with one of these")
    parser.add_argument("--peers", nargs="+", default=list(NAMES), choices=NAMES)
    parser.add_argument("--size", type=Size.parse, default=Size(320, 180), metavar="WIDTHxHEIGHT")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9, help="at most so many runs of each")
    parser.add_argument("--seconds", type=float, default=8.0, help="no further round after that, but at least 3")
    parser.add_argument("--python", default=sys.executable, help="the peers' interpreter, where it is another one")
    return parser


def known_quality(files: Sequence[Path]) -> dict[str, dict[str, dict[str, float]]]:
    """Means by network and set."""
    return {one["name"]: one["means"] for file in files for one in json.loads(file.read_text())}


def _folder(kept: Path | None) -> AbstractContextManager[str]:
    return nullcontext(str(kept.absolute())) if kept else tempfile.TemporaryDirectory(prefix="tvmsr-int8-")


def text(store: Store, found: Mapping[Key, dict[str, Any]], quality: Mapping[str, Any]) -> str:
    """All that was measured, as Markdown."""
    standings = [standing(key.network, row["scale"], row, quality.get(key.network, {})) for key, row in found.items()]
    whole = [one for one in standings if one is not None]
    places = sorted({f"{key.size}, {key.threads} threads" for key in found})
    machine, versions = store.data["machine"], store.data["versions"]
    lines = [
        *(f"    {command}" for command in store.data["commands"]), "",
        f"CPU: {machine['cpu']}; {machine['cores']} cores; {machine['system']}. Versions: "
        f"{'; '.join(f'{name} {said}' for name, said in versions.items())}.",
        f"ms at {', '.join(places)}, minimum / median of runs that took turns; ratios are of medians. Ours reads and "
        "writes whole pictures in bytes; peers get float32, of networks of Y the plane of Y. PSNR in dB on Y, of the "
        "compiled .so.", "", *own_table(whole), summary(whole), "", *others_table(whole),
    ]  # fmt: skip
    why = reasons({key.network: row for key, row in found.items()})
    return "\n".join([*lines, *(["Not run:", "", *why, ""] if why else [])])


def _measure(rows: Sequence[Row], choice: Choice, store: Store, sources: Sources, artifacts: Path) -> None:
    for row in rows:
        key = Key(row.name, choice.size, choice.threads, "native")
        if store.has(key, choice.columns):
            continue
        say(row.name)
        store.put(key, measured(row, choice, sources, artifacts))


def main() -> None:
    args = _parser().parse_args()
    choice = Choice(args.size, args.threads, tuple(args.peers), args.python, args.rounds, args.seconds)
    rows = [row for row in ROWS if args.only is None or row.model.startswith(tuple(args.only))]
    store = Store(args.json, limits.machine())
    store.began(COMMAND, limits.versions(args.python, list(args.peers)))
    try:
        with _folder(None) as work, _folder(args.artifacts) as artifacts:
            sources = Sources(args.weights, args.images, Path(work))
            _measure(rows, choice, store, sources, Path(artifacts))
    except TvmsrError as error:
        raise SystemExit(str(error)) from error
    finally:
        args.out.write_text(text(store, store.rows, known_quality(args.quality)))


if __name__ == "__main__":
    main()
