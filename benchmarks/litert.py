"""CFQP through the field's own tools: LiteRT's INT8 with and without the clip, by the pictures it is calibrated with.

    python benchmarks/litert.py --weights WEIGHTS --images IMAGES --out FILE [--python PYTHON]
    python benchmarks/litert.py --weights WEIGHTS --images IMAGES --out FILE --times [--python PYTHON]

The first command measures PSNR on Set5 and Set14, the second the time of the clip, which takes a quiet machine; both
fill one JSON file, of which all tables are made. WEIGHTS holds abpn_x3.safetensors, the field's files of the same
network (abpn_x3_int8_ptq.tflite, abpn_x3_int8_qat.tflite) and what --networks names; IMAGES the folders set5, set14 and
train.
PYTHON is an interpreter with ai-edge-litert, onnx and tensorflow (--tool tensorflow), whose converter quantizes the
network that tvmsr compiles: by least and largest values over the pictures, bytes in and out. --tool ai-edge:
ai-edge-quantizer. The network's clip is a minimum and a ReLU behind its end, as the field's files have it.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lite.jobs import LiteError, versions
from lite.quality import FIELD, Places, converted, field_files
from lite.tables import files_table, sets_table, spread_table, times_table
from lite.times import times
from lite.worker import TOOLS
from peering.limits import machine
from peering.measure import say
from peering.runtimes import Size
from peering.store import write_whole

from tvmsr.errors import TvmsrError

#: Of which the versions are told.
_PACKAGES = ("ai-edge-litert", "tensorflow", "tensorflow-cpu", "ai-edge-quantizer")
_SAID = {
    "tensorflow": "TensorFlow Lite's converter (least and largest value over the pictures, weights per channel, bytes "
    "in and out)",
    "ai-edge": "ai-edge-quantizer's static scheme (a moving average of ranges; a minimum stays FP32)",
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="the tables, as Markdown")
    parser.add_argument("--json", type=Path, help="what was measured: written, and added to; by default beside --out")
    parser.add_argument("--python", default=sys.executable, help="the tools' interpreter, where it is another one")
    parser.add_argument("--tool", choices=tuple(TOOLS), default=next(iter(TOOLS)))
    parser.add_argument("--networks", nargs="+", default=[FIELD, "xlsr_x3"], metavar="NAME")
    parser.add_argument("--sets", type=int, default=10, help="random calibration sets of one crop")
    parser.add_argument("--threads", type=int, default=2, help="of LiteRT, for PSNR")
    parser.add_argument("--times", action="store_true", help="measure the time of the clip, and nothing else")
    parser.add_argument("--sizes", nargs="+", default=["320x180", "640x360"], metavar="WIDTHxHEIGHT")
    parser.add_argument("--timed-threads", nargs="+", type=int, default=[1, 2], metavar="N")
    parser.add_argument("--rounds", type=int, default=20)
    return parser


def _command(parser: argparse.ArgumentParser, args: argparse.Namespace) -> str:
    """For the page: where files lie is of no interest."""
    words = ["python", "benchmarks/litert.py", "--weights", "WEIGHTS", "--images", "IMAGES", "--out", "FILE"]
    for name in ("tool", "networks", "sets", "times", "sizes", "timed_threads", "rounds"):
        value = getattr(args, name)
        if value != parser.get_default(name):
            words += [f"--{name.replace('_', '-')}", *(_listed(value) if value is not True else [])]
    return shlex.join(words)


def _listed(value: Any) -> list[str]:
    return list(map(str, value)) if isinstance(value, list) else [str(value)]


def _text(data: dict[str, Any]) -> str:
    of = data["machine"]
    lines = [*(f"    {command}" for command in data["commands"]), ""]
    lines += [f"CPU: {of['cpu']}; {of['cores']} cores. Tool: {_SAID[data['tool']]}. {data['versions']}.", ""]
    if data["files"]:
        lines += ["### The field's own INT8 files", "", "PSNR on Y, LR by MATLAB-compatible bicubic.", ""]
        lines += files_table(data["files"])
    if data["networks"]:
        lines += ["### Calibrated with 16 crops, and with the pictures that CFQP makes of them", ""]
        lines += sets_table(data["networks"])
        lines += ["### Calibrated with one crop, drawn by the seeds from 0", "", *spread_table(data["networks"])]
    for name, found in data["times"].items():
        lines += [f"### The time of the clip, {name}", "", "ms, minimum / median, by turns.", "", *times_table(found)]
    if data["failed"]:
        lines += ["Not done:", "", *(f"- {name}: {why}" for name, why in data["failed"].items()), ""]
    return "\n".join(lines)


def _measure(args: argparse.Namespace, data: dict[str, Any], save: Callable[[], None]) -> None:
    """Network by network; what a tool cannot do is told and does not keep the others from it."""
    places = Places(args.weights, args.images, args.python, args.tool, args.threads)
    for name in args.networks:
        try:
            if args.times:
                sizes = list(map(Size.parse, args.sizes))
                data["times"][name] = times(name, places, sizes, args.timed_threads, args.rounds)
            else:
                if name == FIELD:
                    data["files"] = field_files(places)
                data["networks"][name] = converted(name, places, args.sets)
            data["failed"].pop(name, None)
        except LiteError as error:
            data["failed"][name] = str(error)
            say(f"{name}: {error}")
        save()


def _kept(file: Path, tool: str, said: str) -> dict[str, Any]:
    """What the file has, or an empty one; SystemExit where that is of another machine, tool or version."""
    parts: dict[str, Any] = {"files": {}, "networks": {}, "times": {}, "failed": {}}
    new = {"tool": tool, "versions": said, "machine": machine(), "commands": [], **parts}
    if not file.exists():
        return new
    data = json.loads(file.read_text())
    other = next((key for key in ("tool", "versions", "machine") if data.get(key) != new[key]), None)
    if other is not None:
        raise SystemExit(f"{file}: has results of another {other}; give another file, or delete it")
    return data


def main() -> None:
    parser = _parser()
    args = parser.parse_args()
    file = args.json or args.out.with_suffix(".json")
    data = _kept(file, args.tool, versions(args.python, _PACKAGES))
    command = _command(parser, args)
    data["commands"] = [*(one for one in data["commands"] if one != command), command]

    def save() -> None:
        write_whole(file, data)
        args.out.write_text(_text(data))

    try:
        _measure(args, data, save)
    except TvmsrError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
