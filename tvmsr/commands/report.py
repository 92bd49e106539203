"""`tvmsr report`: what artifacts make of pictures, as one HTML file that needs nothing else."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmsr.commands.calibrate import Calibration
from tvmsr.commands.comparison.variants import Variant as Wanted
from tvmsr.commands.comparison.variants import chosen
from tvmsr.commands.files import check_out, is_artifact
from tvmsr.commands.inputs import check_seed
from tvmsr.commands.progress import Progress, silent
from tvmsr.commands.source import DEFAULT_MODEL, Overrides, open_model, short_name
from tvmsr.errors import UsageError

if TYPE_CHECKING:
    from tvmsr.evaluation.dataset import Pairs
    from tvmsr.evaluation.metrics import Protocol
    from tvmsr.graph.model import Model
    from tvmsr.reporting.facts import Report
    from tvmsr.reporting.subjects import Subject

#: Of a network, where nothing is said.
DEFAULT_VARIANTS = "8,a6w4"


@dataclass(frozen=True, eq=False)
class Reported:
    """A report that was written. size in bytes; side: of its crops, at most, in pixels of the enlarged pictures."""

    path: Path
    size: int
    side: int
    report: Report

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """Label and value, for the command line: where it is, and the means over the pictures."""
        name, rows = self.report.protocol.upper(), []
        for source in self.report.sources:
            if source.key in self.report.pictures[0].figures:
                mean = self.report.mean(source.key)
                took = f", {mean.milliseconds:.2f} ms" if mean.milliseconds is not None else ""
                rows.append((source.name, f"PSNR {name} {mean.psnr:.2f} dB, SSIM {mean.ssim:.4f}{took}"))
        pictures = f"{len(self.report.pictures)} of {self.report.data}"
        return (("report", f"{self.path}, {self.size / 1024:,.0f} KiB"), ("pictures", pictures), *rows)

    def as_json(self) -> dict[str, Any]:
        """Where it is, and the data that it holds."""
        from tvmsr.reporting.data import data_of

        return {"report": str(self.path), "bytes": self.size, "side": self.side, **data_of(self.report)}


def report(
    what: str | Path = DEFAULT_MODEL,
    *,
    data: Path,
    out: Path | None = None,
    model: str | Path | None = None,
    calib: Path | None = None,
    hr: bool = False,
    lr: Path | None = None,
    variants: str | Sequence[str] | None = None,
    threads: int | None = None,
    protocol: str = "y",
    seed: int | None = None,
    overrides: Overrides | None = None,
    command: str = "",
    progress: Progress = silent,
) -> Reported:
    """Write an HTML report of `what` on the HR pictures of `data` to `out` (default: NAME-report.html).

    what: an artifact (`model` shows its FP32 beside it), or a network, of which the `variants` of `compare` are made,
    calibrated with `calib`, `hr` and `seed` as there, and gone afterwards. lr, protocol: as in `evaluate`. command:
    what was typed, which the report tells. Everything runs on this machine. An existing file is replaced. Raises
    UsageError, InputFileError or WorkError.
    """
    from tvmsr.evaluation.metrics import protocol_named
    from tvmsr.imaging.files import list_pictures

    measure = protocol_named(protocol)
    path = Path(out) if out is not None else Path(f"{short_name(what)}-report.html")
    check_out(path)
    list_pictures(data)
    folders = (Path(data), Path(lr) if lr is not None else None)
    task = _Task(folders, measure, threads, overrides, command, progress)
    if is_artifact(what):
        of_network = {"--calib": calib, "--hr": hr or None, "--variants": variants, "--seed": seed}
        _refuse(of_network, f"is for a network; {what} is an artifact, which is made already")
        found = _of_artifact(Path(what), model, task)
    else:
        _refuse({"--model": model}, f"is for an artifact; {what} is a network, whose FP32 is shown anyway")
        check_seed(seed or 0)
        shared = Calibration(calib=Path(calib) if calib is not None else None, hr=hr, seed=seed or 0)
        found = _of_network(what, chosen(variants or DEFAULT_VARIANTS), shared, task)
    return _written(found, path)


@dataclass(frozen=True)
class _Task:
    """What both kinds of reports share. folders: of HR and LR pictures."""

    folders: tuple[Path, Path | None]
    measure: Protocol
    threads: int | None
    overrides: Overrides | None
    command: str
    progress: Progress

    def pairs(self, scale: int) -> Pairs:
        from tvmsr.evaluation.dataset import load_pairs

        return load_pairs(self.folders[0], scale, lr=self.folders[1])


def _refuse(options: Mapping[str, object], why: str) -> None:
    given = next((name for name, value in options.items() if value is not None), None)
    if given is not None:
        raise UsageError(f"{given} {why}")


def _check_colour(model: Model, measure: Protocol) -> None:
    from tvmsr.graph.model import Colour

    if measure.needs_rgb and model.colour is Colour.Y:
        raise UsageError(f"{model.name} computes Y alone and has no RGB to measure; use --protocol y")


def _of_artifact(path: Path, model: str | Path | None, task: _Task) -> Report:
    from tvmsr.artifact.manifest import read_manifest
    from tvmsr.reporting.subjects import Subject

    manifest = read_manifest(path)
    pairs = task.pairs(manifest.scale)
    network = open_model(model, task.overrides) if model is not None else None
    if network is not None:
        _check_colour(network, task.measure)
        if network.checksum != manifest.model_checksum:
            raise UsageError(f"{path} was not made from {model}: the checksums of the networks differ")
    return _measured([Subject.of(path)], network, pairs, task)


def _of_network(what: str | Path, variants: Sequence[Wanted], shared: Calibration, task: _Task) -> Report:
    from tvmsr.commands.comparison.making import make_all
    from tvmsr.imaging.files import list_pictures
    from tvmsr.reporting.subjects import Subject

    network = open_model(what, task.overrides)
    _check_colour(network, task.measure)
    if network.graph.marks:
        raise UsageError(f"{network.name}: another tool has quantized it; compile it and give the artifact")
    pairs = task.pairs(network.scale)
    if shared.calib is not None:
        list_pictures(shared.calib)
    wanted = [variant for variant in variants if variant.changes is not None]
    if not wanted:
        raise UsageError("--variants names nothing to quantize: FP32 is shown anyway; add 8 or a6w4")
    with tempfile.TemporaryDirectory(prefix="tvmsr-report-") as folder:
        made = make_all(network, wanted, shared, Path(folder), task.progress)
        subjects = [Subject.of(one.path, one.variant.name, one.variant.text, one.notes) for one in made]
        return _measured(subjects, network, pairs, task)


def _measured(subjects: Sequence[Subject], network: Model | None, pairs: Pairs, task: _Task) -> Report:
    from tvmsr.devices import Here, Opening
    from tvmsr.reporting.making import Making

    with ExitStack() as stack:
        here = stack.enter_context(Here())
        runners = [stack.enter_context(here.open(one.path, Opening(threads=task.threads))) for one in subjects]
        making = Making(tuple(subjects), tuple(runners), network, pairs, task.measure, task.folders[0].resolve().name)
        return making.report(here, task.command, task.progress)


def _written(found: Report, path: Path) -> Reported:
    from tvmsr.imaging.files import write_text
    from tvmsr.reporting.render import rendered

    page = rendered(found)
    write_text(path, page.text)
    return Reported(path, len(page.text.encode()), page.side, found)
