"""Time our artifacts beside other runtimes on the same networks: one command, one run, by turns.

    pip install ".[bench]"
    python benchmarks/peers.py --weights WEIGHTS --images IMAGES --json FILE --markdown FILE

Every network is run by every peer in every precision, at every size and number of threads. Each has a process of its
own; they take turns, and whoever does not run is stopped. Peers that are missing, and networks that a peer cannot do,
are listed with the reason. What is in the JSON file is kept and not measured again: a run that was cut off goes on.
WEIGHTS holds the .safetensors files; IMAGES the folders set5, set14 and train: for the picture, for everybody's
calibration, and to measure what low bits cost.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from peering import limits
from peering.measure import Bench, Choice, say
from peering.networks import NETWORKS, Network, Sources
from peering.ours import losses
from peering.runtimes import NAMES, Size
from peering.store import Store
from peering.table import MODES, markdown

from tvmsr.errors import TvmsrError

BITS = ("a8w8", "a6w4", "a4w4")

#: Options that say what is measured, and how.
CHOICES = ("only", "sizes", "threads", "ours", "peers", "modes", "rounds", "seconds")


def _listed(words: str) -> tuple[str, ...]:
    return tuple(word for word in words.split(",") if word)


def _networks(starts: str) -> tuple[Network, ...]:
    """Those whose names begin with one of these, in any case; all without."""
    wanted = _listed(starts.lower())
    chosen = tuple(n for n in NETWORKS.values() if not wanted or n.name.lower().startswith(wanted))
    if not chosen:
        raise SystemExit(f"--only {starts}: no such network; there are {', '.join(NETWORKS)}")
    return chosen


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--images", type=Path, help="without: the bundled picture, and low bits are not judged")
    parser.add_argument("--json", type=Path, help="results, kept from run to run")
    parser.add_argument("--markdown", type=Path, help="the table; on standard output without")
    parser.add_argument("--only", default="", help="networks by the beginnings of their names: espcn,imdn")
    parser.add_argument("--sizes", default="320x180,640x360")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--ours", default=",".join(BITS), help="bits of our artifacts")
    parser.add_argument("--peers", default=",".join(NAMES), help='"" for none')
    parser.add_argument("--modes", default="", help=f"{', '.join(MODES)}; by default what differs on this CPU")
    parser.add_argument("--rounds", type=int, default=9, help="at most so many runs of each")
    parser.add_argument("--seconds", type=float, default=60.0, help="no further round after that, but at least 3")
    parser.add_argument("--work", type=Path, help="folder whose artifacts are used again; new ones for new kernels")
    parser.add_argument("--python", default=sys.executable, help="the peers' interpreter, where it is another one")
    return parser


def _command(parser: argparse.ArgumentParser, args: argparse.Namespace) -> str:
    """For the table: where files lie is of no interest."""
    words = ["python", "benchmarks/peers.py", "--weights", "WEIGHTS", *(["--images", "IMAGES"] if args.images else [])]
    for name in CHOICES:
        value = getattr(args, name)
        if value != parser.get_default(name):
            words += [f"--{name}", str(value)]
    return shlex.join(words)


def _choice(args: argparse.Namespace) -> Choice:
    peers, modes = _listed(args.peers), _listed(args.modes)
    for name, known in ((name, NAMES) for name in peers if name not in NAMES):
        raise SystemExit(f"--peers {name}: known are {', '.join(known)}")
    for name in modes:
        if name not in MODES:
            raise SystemExit(f"--modes {name}: known are {', '.join(MODES)}")
    try:
        sizes, threads = tuple(map(Size.parse, _listed(args.sizes))), tuple(map(int, _listed(args.threads)))
    except ValueError:
        raise SystemExit("--sizes takes sizes as 320x180,640x360, and --threads numbers as 1,2") from None
    return Choice(
        networks=_networks(args.only),
        sizes=sizes,
        threads=threads,
        bits=_listed(args.ours),
        peers=peers,
        modes=modes or tuple(MODES)[: 2 if limits.has_more_than_avx2() else 1],
        rounds=args.rounds,
        seconds=args.seconds,
        python=args.python,
    )


def _measure_losses(store: Store, network: Network, choice: Choice, sources: Sources) -> None:
    """What the bits cost trained weights."""
    known = store.data["losses"].setdefault(network.judge, {})
    missing = [bits for bits in choice.bits if bits not in known]
    if missing and sources.images:
        say(f"  {network.judge}: PSNR on Set5 at {', '.join(missing)}")
        known.update(losses(network, missing, sources))
        store.save()


def _measure(store: Store, choice: Choice, sources: Sources) -> None:
    for network in choice.networks:
        say(network.name)
        _measure_losses(store, network, choice, sources)
        keys = [key for key in choice.keys(network) if not store.has(key, choice.columns(key.mode))]
        if not keys:
            continue
        with tempfile.TemporaryDirectory(dir=sources.work) as folder:
            bench = Bench(network, choice, sources, Path(folder))
            for key in keys:
                store.put(key, bench.row(key))


def _work_folder(kept: Path | None) -> AbstractContextManager[str]:
    if kept is None:
        return tempfile.TemporaryDirectory(prefix="tvmsr-peers-")
    kept.mkdir(parents=True, exist_ok=True)
    return nullcontext(str(kept.absolute()))


def main() -> None:
    parser = _parser()
    args = parser.parse_args()
    choice = _choice(args)
    store = Store(args.json, limits.machine())
    store.began(_command(parser, args), limits.versions(choice.python, list(NAMES)))
    store.add_peaks(limits.peaks(list(choice.threads)))
    try:
        with _work_folder(args.work) as work:
            sources = Sources(args.weights, args.images, Path(work))
            _measure(store, choice, sources)
    except TvmsrError as error:
        raise SystemExit(str(error)) from error
    finally:
        store.add_peaks(limits.peaks(list(choice.threads)))
        store.save()
        if args.markdown:
            args.markdown.write_text(markdown(store))
        else:
            print(markdown(store))


if __name__ == "__main__":
    main()
