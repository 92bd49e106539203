"""`tvmsr evaluate`: PSNR and SSIM of an artifact, a plan, or a network in FP32."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmsr.commands.choices import choice_number
from tvmsr.commands.files import is_artifact
from tvmsr.commands.paper import METHOD, evaluate_paper
from tvmsr.commands.progress import Progress, silent
from tvmsr.commands.source import DEFAULT_MODEL, Overrides, open_model
from tvmsr.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tvmsr.adabm_paper.protocol import Protocol as Published
    from tvmsr.devices import Device, Opening
    from tvmsr.devices.pool import Run
    from tvmsr.evaluation.dataset import Pair, Pairs
    from tvmsr.evaluation.evaluate import Evaluation, Row
    from tvmsr.evaluation.metrics import Protocol
    from tvmsr.graph.model import Model

    Upscaler = Callable[[NDArray[np.uint8]], NDArray[Any]]


def fp32_upscaler(model: Model) -> Upscaler:
    """The network in FP32 as a function of an LR picture: uint8 RGB, or the Y plane 0..1 of a Y network."""
    import numpy as np

    from tvmsr.graph.model import Colour
    from tvmsr.quant.picture import fp32_picture

    def run(lr: NDArray[np.uint8]) -> NDArray[Any]:
        out = fp32_picture(model, lr.astype(np.float32) / np.float32(255))
        if model.colour is Colour.Y:
            return out[:, :, 0]
        return np.clip(np.rint(out * 255), 0, 255).astype(np.uint8)

    return run


def reference_upscaler(
    model: Model, plan: Path, choice: str = "auto", chosen: Callable[[str], object] = lambda _: None
) -> Upscaler:
    """The reference executor with a plan: what any artifact made from it gives, to the byte.

    choice: of bits, by its name; "auto": as each picture says. chosen: hears what each picture has of several.
    UsageError where the plan does not have it.
    """
    from tvmsr.quant.adaptive import bind_choices, choosing_of
    from tvmsr.quant.picture import upscale_picture
    from tvmsr.quant.plan import Plan
    from tvmsr.quant.tiles import upscale_tiles

    read = Plan.load(plan)
    choosing = choosing_of(read)
    in_tiles = choosing.tile > 0 and choice == "auto"
    forced = choice_number(plan, choice, choosing.names)
    graphs = bind_choices(model, read)

    def run(lr: NDArray[np.uint8]) -> NDArray[np.uint8]:
        number = choosing.of(lr) if forced is None else forced
        chosen(choosing.names[number] if len(graphs) > 1 else "")
        return upscale_tiles(graphs, choosing, lr) if in_tiles else upscale_picture(graphs[number], lr)

    return run


def evaluate(
    what: str | Path = DEFAULT_MODEL,
    *,
    data: Path,
    lr: Path | None = None,
    model: str | Path | None = None,
    plan: Path | None = None,
    protocol: str = "y",
    threads: int | None = None,
    level: str | None = None,
    choice: str = "auto",
    device: str | Device | Sequence[Device] = "here",
    method: str | None = None,
    bits: str | None = None,
    settings: Published | None = None,
    calib: Path | None = None,
    hr: bool = False,
    seed: int = 0,
    overrides: Overrides | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Measure `what` on the HR pictures of the folder `data` (LR made as MATLAB's imresize does, or taken from `lr`).

    what: an artifact (`model` adds its FP32 figures), or a network: in FP32, or with `plan` through the reference
    executor. choice: of bits, by its name; "auto": as each picture says. device: where an artifact runs; several
    devices share the pictures. protocol: "y" or "rgb". method "adabm-paper": the network by AdaBM as published, at
    `bits` ("a6w8"), on crops of `calib`, all else as published or by `settings`, a tvmsr.adabm_paper.protocol.Protocol
    (docs/adabm.md). Raises UsageError, InputFileError, WorkError or DeviceError.
    """
    from tvmsr.devices import Opening

    def report(done: int, total: int) -> None:
        progress("evaluate", done, total)

    if method is not None:
        _check_method(method, plan)
        elsewhere = {"--choice": choice if choice != "auto" else None, "--device": device if device != "here" else None}
        _refuse({"--model": model, "--threads": threads, "--level": level, **elsewhere}, what)
        return evaluate_paper(
            what, data=data, lr=lr, bits=bits, settings=settings, calib=calib, hr=hr, protocol=protocol, seed=seed,
            overrides=overrides, progress=progress,
        )  # fmt: skip
    if bits is not None or settings is not None or calib is not None or hr:
        words = f"--bits, --scope, --adapt, --quirk, --setting, --calib and --hr are for --method {METHOD}"
        raise UsageError(f"{words}; others: calibrate first, then give --plan")
    if is_artifact(what):
        if plan is not None:
            raise UsageError(f"--plan {plan} is for a network; the artifact {what} has its own plan")
        fp32 = fp32_upscaler(open_model(model, overrides)) if model is not None else None
        return _on_devices(
            Path(what), data, lr, protocol, Opening(threads=threads, level=level, choice=choice), device, fp32, report
        )
    _refuse({"--model": model, "--threads": threads, "--level": level}, what)
    return _here(what, data, lr, protocol, plan, choice, device, overrides, report)


def _here(
    what: str | Path,
    data: Path,
    lr: Path | None,
    protocol: str,
    plan: Path | None,
    choice: str,
    device: str | Device | Sequence[Device],
    overrides: Overrides | None,
    report: Callable[[int, int], object],
) -> Evaluation:
    """A network in FP32, or with a plan through the reference executor."""
    from tvmsr.devices import Here
    from tvmsr.devices.find import find_devices
    from tvmsr.evaluation.evaluate import evaluate as measure

    there = [one.name for one in find_devices(device) if one.name != Here.name]
    if there:
        raise UsageError(f"{what} is a network, which is computed here; --device {','.join(there)} runs an artifact")
    if plan is None and choice != "auto":
        raise UsageError(f"--choice {choice} is one of an artifact or a plan, and {what} is a network in FP32")
    network = open_model(what, overrides)
    pairs = _pairs(data, lr, network.scale)
    if plan is None:
        return measure(fp32_upscaler(network), pairs, network.scale, protocol, None, report)
    names: list[str] = []
    upscaler = reference_upscaler(network, Path(plan), choice, names.append)
    found = measure(upscaler, pairs, network.scale, protocol, fp32_upscaler(network), report)
    rows = tuple(replace(row, choice=name) for row, name in zip(found.rows, names, strict=True))
    return replace(found, rows=rows)


def _refuse(options: Mapping[str, object], what: str | Path) -> None:
    """Options of an artifact alone, beside a network."""
    given = next((name for name, value in options.items() if value is not None), None)
    if given is not None:
        raise UsageError(f"{given} is for an artifact; {what} is a network, which is computed here")


def _check_method(method: str, plan: Path | None) -> None:
    if method != METHOD:
        raise UsageError(f"--method {method!r}: {METHOD} alone is measured without a plan; calibrate, then give --plan")
    if plan is not None:
        raise UsageError(f"--plan {plan}: --method {METHOD} makes no use of a plan; leave one out")


class _Measured:
    """Figures of the pairs of a set (a PiecewiseJob of tvmsr.devices.pool, for what it says of bit choices)."""

    def __init__(self, pairs: Pairs, protocol: Protocol, fp32: Upscaler | None) -> None:
        self._pairs, self._protocol, self._fp32 = pairs, protocol, fp32
        self._rows: dict[int, Row] = {}

    @property
    def count(self) -> int:
        return len(self._pairs)

    @property
    def rows(self) -> tuple[Row, ...]:
        """In the order of the set."""
        return tuple(self._rows[number] for number in sorted(self._rows))

    def name(self, number: int) -> str:
        return self._pairs.files[number][0].name

    def read(self, number: int) -> Pair:
        return self._pairs[number]

    def upscale(self, number: int, source: Pair, run: Run) -> Row:
        from tvmsr.evaluation.evaluate import measure_one

        del number
        result = run(source.lr)
        row = measure_one(source, lambda _: result, self._pairs.scale, self._protocol, self._fp32)
        names, tiles = run.info.choices, run.tiles
        most = tiles.index(max(tiles)) if tiles else run.choices[0]
        return replace(row, choice=names[most]) if len(names) > 1 else row

    def deliver(self, number: int, kept: Row) -> None:
        self._rows[number] = kept

    def discard(self, kept: Row) -> None:
        """It is nowhere else."""


def _on_devices(
    artifact: Path,
    data: Path,
    lr: Path | None,
    protocol: str,
    opening: Opening,
    device: str | Device | Sequence[Device],
    fp32: Upscaler | None,
    report: Callable[[int, int], object],
) -> Evaluation:
    from tvmsr.artifact.manifest import read_manifest
    from tvmsr.devices.pool import opened_devices, spread
    from tvmsr.evaluation.evaluate import Evaluation
    from tvmsr.evaluation.metrics import protocol_named

    chosen = protocol_named(protocol)
    with opened_devices(device) as devices:
        scale = read_manifest(artifact).scale
        job = _Measured(_pairs(data, lr, scale), chosen, fp32)
        found = spread(devices, artifact, job, opening=opening, report=lambda done: report(done, job.count))
        return Evaluation(scale, chosen.name, job.rows, found.notes)


def _pairs(data: Path, lr: Path | None, scale: int) -> Pairs:
    from tvmsr.evaluation.dataset import load_pairs

    return load_pairs(Path(data), scale, lr=Path(lr) if lr is not None else None)
