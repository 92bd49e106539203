"""The options of the command line: one vocabulary, each defined once."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from tvmsr.adabm_paper.named import QUIRKS, SETTINGS, protocol_of
from tvmsr.adabm_paper.protocol import METHOD, Protocol
from tvmsr.commands.calibrate import Calibration
from tvmsr.commands.source import Overrides
from tvmsr.errors import UsageError

Model = Annotated[
    str | None,
    typer.Argument(
        metavar="[MODEL]",
        help="Network: .safetensors, .pth, .onnx, .pt2, default:x2 or default:x4. [default: default:x2]",
    ),
]
What = Annotated[str, typer.Argument(metavar="ART|MODEL", help="An artifact (.so), or a network.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="What to write. [default: a name made of the parts]")]
TargetName = Annotated[
    str | None,
    typer.Option("--target", help="What to compile for; `tvmsr targets` lists them. [default: this machine]"),
]
Bits = Annotated[
    str, typer.Option("--bits", help="8, 6, activations and weights as in a6w4; auto, auto:a6w4: by layer and picture.")
]
Method = Annotated[str, typer.Option("--method", help="How: cfqp, cfqp-paper, adabm, minmax, percentile or mse.")]
Calib = Annotated[Path | None, typer.Option("--calib", help="Folder of pictures to calibrate with.")]
Hr = Annotated[bool, typer.Option("--hr", help="The calibration pictures are HR: downsize them first.")]
LayerBits = Annotated[
    list[str] | None, typer.Option("--layer-bits", metavar="NAME=BITS", help="Pin the activations a layer reads.")
]
PlanFile = Annotated[Path | None, typer.Option("--plan", help="Use this plan.json instead of calibrating.")]
Equalise = Annotated[bool, typer.Option("--equalise/--no-equalise", help="Scales per channel folded into neighbours.")]
Correct = Annotated[
    bool,
    typer.Option(
        "--bias-correction/--no-bias-correction", help="Take back the mean error; without, weights stay the nearest."
    ),
]
Rounding = Annotated[bool, typer.Option("--rounding/--no-rounding", help="Round weights against the pictures.")]
StrictBits = Annotated[bool, typer.Option("--strict-bits", help="No layer reads more bits than --bits says.")]
MaxDrop = Annotated[
    float | None,
    typer.Option(
        "--max-drop", min=0.0, help="dB that 8 bits may lose before layers read more, or auto bits. [default: 0.1]"
    ),
]
Way = Annotated[str, typer.Option("--way", help="Pictures of cfqp: selection, crop, tone or mix.")]
SaveData = Annotated[
    Path | None, typer.Option("--save-data", help="Write the pictures of cfqp into this new folder, as PNG.")
]
Adaptive = Annotated[
    str, typer.Option("--adaptive", help="Whether auto bits are chosen for each image, or for each tile of it.")
]
Costs = Annotated[str, typer.Option("--costs", help="What fewer auto bits are to save: time on the target, or bits.")]
Sensitivity = Annotated[
    str,
    typer.Option("--sensitivity", help="How layers that need bits are known: noise, gradient (torch) or deviation."),
]
WeightBits = Annotated[
    str, typer.Option("--weight-bits", help="Of named auto bits: fixed, or by layer, in the mean as many.")
]
Kept = Annotated[
    float | None,
    typer.Option("--kept", help="Of named auto bits: share of the MACs that may stay at 8 bits. [default: 0.2]"),
]
MaxTime = Annotated[
    float | None,
    typer.Option("--max-time", help="Of --bits auto: ms that a picture of --size may take; the best plan within it."),
]
TimedSize = Annotated[str, typer.Option("--size", metavar="WIDTHxHEIGHT", help="LR size of what --max-time times.")]
Learn = Annotated[
    bool, typer.Option("--learn", help="Learn ranges and weights against the FP32 output behind it; needs torch.")
]
LearnBits = Annotated[
    bool,
    typer.Option("--learn-bits", help="With --learn and --costs bits: layers' and pictures' bits, too, if better."),
]
Seed = Annotated[int, typer.Option("--seed", help="Of everything that is drawn at random.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log what is done; full traces of failures.")]
Threads = Annotated[int | None, typer.Option("--threads", min=1, max=256, help="Threads. [default: all cores]")]
DeviceName = Annotated[
    str, typer.Option("--device", help="Where it runs: here, qemu:ARCH[:CPU], or what `tvmsr device list` lists.")
]
ChoiceName = Annotated[
    str, typer.Option("--choice", help="Bit choice of the artifact for all pictures; auto: as each picture says.")
]
LevelName = Annotated[str | None, typer.Option("--level", help="Force a CPU level of the artifact.")]


#: What a network's file cannot tell: one option for each field of Overrides.
_NETWORK = {
    "family": Annotated[str | None, typer.Option("--family", help="Architecture; `tvmsr models` lists them.")],
    "scale": Annotated[int | None, typer.Option("--scale", help="Scale of the network.")],
    "value_range": Annotated[float | None, typer.Option("--range", help="Value of white: 1 or 255.")],
    "colour": Annotated[str | None, typer.Option("--colour", help="What it computes: rgb, y, y-full or ycbcr.")],
    "slope": Annotated[float | None, typer.Option("--slope", help="Slope of LeakyReLU.")],
    "activation": Annotated[str | None, typer.Option("--activation", help="relu, leaky, tanh or none.")],
    "licence": Annotated[str | None, typer.Option("--licence", help="Licence of the weights, for the manifest.")],
    "residual_scale": Annotated[float | None, typer.Option("--residual-scale", help="Factor of residual branches.")],
}


#: How a network is quantized, with the defaults: one option a field of commands.calibrate.Calibration, the seed aside.
_CALIBRATION = {
    "bits": (Bits, "8"),
    "method": (Method, Calibration.method),
    "calib": (Calib, None),
    "hr": (Hr, False),
    "layer_bits": (LayerBits, None),
    "equalise": (Equalise, True),
    "bias_correction": (Correct, True),
    "rounding": (Rounding, True),
    "strict_bits": (StrictBits, False),
    "max_drop": (MaxDrop, Calibration.max_drop),
    "way": (Way, Calibration.way),
    "save_data": (SaveData, None),
    "costs": (Costs, Calibration.costs),
    "adaptive": (Adaptive, Calibration.adaptive),
    "sensitivity": (Sensitivity, Calibration.sensitivity),
    "weight_bits": (WeightBits, Calibration.weight_bits),
    "kept": (Kept, Calibration.kept),
    "max_time": (MaxTime, Calibration.max_time),
    "size": (TimedSize, Calibration.size),
    "learn": (Learn, False),
    "learn_bits": (LearnBits, False),
}


def _published(name: str, help: str, metavar: str | None = None) -> Any:
    return typer.Option(name, metavar=metavar, help=help, rich_help_panel=f"With --method {METHOD}")


def _named(option: str, names: Iterable[str]) -> str:
    return f"Not as published; `{option} list` explains: {', '.join(names)}."


#: What `evaluate --method adabm-paper` does otherwise than published: one option a keyword of `protocol_of`.
_PAPER = {
    "adapt": Annotated[
        str | None, _published("--adapt", "What bits depend on: none, image, layer or both. [default: both]")
    ],
    "scope": Annotated[
        str | None, _published("--scope", "body, or full: with the ends at 8 bits, too. [default: body]")
    ],
    "quirks": Annotated[list[str] | None, _published("--quirk", _named("--quirk", QUIRKS), "NAME=VALUE")],
    "settings": Annotated[list[str] | None, _published("--setting", _named("--setting", SETTINGS), "NAME=VALUE")],
}


def of_the_paper(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of `_PAPER`; it receives them as one argument, `settings`: a Protocol or None."""

    def gather(said: dict[str, Any]) -> Protocol | None:
        return protocol_of(**{**said, **{name: said[name] or () for name in ("quirks", "settings")}})

    options = {name: (annotation, None) for name, annotation in _PAPER.items()}
    return _with_options(command, "settings", options, gather, after=("bits",))


def of_the_network(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of `_NETWORK`; it receives them as one argument, `overrides`."""
    options = {name: (annotation, None) for name, annotation in _NETWORK.items()}
    return _with_options(command, "overrides", options, lambda said: Overrides(**said))


def of_calibration(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of `_CALIBRATION`; it receives them as one argument, `calibration`: keywords."""

    def gather(said: dict[str, Any]) -> dict[str, Any]:
        return {**said, "layer_bits": layer_bits(said["layer_bits"])}

    return _with_options(command, "calibration", _CALIBRATION, gather, after=("target", "out"))


def _with_options(
    command: Callable[..., Any],
    argument: str,
    options: Mapping[str, tuple[Any, Any]],
    gather: Callable[[dict[str, Any]], Any],
    after: tuple[str, ...] = (),
) -> Callable[..., Any]:
    """The command with options (annotation and default by name) in the place of one argument, gathered from them.

    --help shows them after the first of the options in `after` that the command has, else at the end.
    """
    named = inspect.signature(command, eval_str=True).parameters.values()
    own = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in named if p.name != argument]
    more = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in options.items()
    ]
    names = [p.name for p in own]
    at = next((names.index(name) + 1 for name in after if name in names), len(names))
    both = [*own[:at], *more, *own[at:]]

    @functools.wraps(command)
    def parsed(**given: Any) -> Any:
        said = {name: given.pop(name) for name in options}
        return command(**given, **{argument: gather(said)})

    parsed.__signature__ = inspect.Signature(both)  # type: ignore[attr-defined]
    parsed.__annotations__ = {p.name: p.annotation for p in both}
    return parsed


def layer_bits(pairs: list[str] | None) -> dict[str, int]:
    """Read ["body.3=16"] as {"body.3": 16}. Raises UsageError."""
    from tvmsr.quant.bits import parse_layer_bits

    return parse_layer_bits(pairs or [])


def size(text: str) -> tuple[int, int]:
    """Read "640x360" as (640, 360). Raises UsageError."""
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise UsageError(f"--size {text}: expected WIDTHxHEIGHT, for example 640x360")
    return int(width), int(height)


def log_level(verbose: bool) -> None:
    """--verbose logs to standard error."""
    if verbose:
        logging.basicConfig(format="%(name)s: %(message)s")
        logging.getLogger("tvmsr").setLevel(logging.INFO)


def counts(text: str) -> tuple[int, ...]:
    """Read "1,2" as (1, 2). Raises UsageError."""
    parts = text.split(",")
    if not all(part.strip().isdigit() and 0 < int(part) <= 256 for part in parts):
        raise UsageError(f"--threads {text}: expected thread counts such as 1,2")
    return tuple(int(part) for part in parts)
