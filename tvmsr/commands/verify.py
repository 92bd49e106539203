"""`tvmsr verify`: an artifact against the definition of its arithmetic, byte for byte, on any device."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmsr.commands.progress import Progress, silent
from tvmsr.commands.source import Overrides, open_model
from tvmsr.errors import DeviceError, InputFileError, StatusError, TvmsrError, UsageError, WorkError

if TYPE_CHECKING:
    from tvmsr.commands.proofs import Proof, Sample
    from tvmsr.devices import Device, Opening, Runner

#: Thread counts compared: alone, even and odd.
THREADS = (1, 2, 3)

#: Parts of a picture's workspace that a session is limited to, the tightest first, so that it works in strips.
TIGHT = (0.3, 0.5, 0.7, 0.85)


@dataclass(frozen=True)
class Verified:
    """What was compared; all of it was equal.

    proof: "reference" (the executor computed every result) or "checksums" (of the executor's results, from the
    manifest). skipped: levels that the device's CPU lacks, and why. strips: the most that a picture was cut into.
    others: the same of the other devices that were asked for, in their order.
    """

    artifact: str
    device: str
    proof: str
    levels: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]
    threads: tuple[int, ...]
    pictures: int
    runs: int
    strips: int
    bytes: int
    others: tuple[Verified, ...] = ()

    @property
    def each(self) -> tuple[Verified, ...]:
        """One result a device."""
        return (replace(self, others=()), *self.others)

    def as_json(self) -> dict[str, Any]:
        """Of one device a dictionary of its facts; of several {"devices": [one dictionary each]}."""
        if self.others:
            return {"devices": [one.as_json() for one in self.each]}
        own = {key: value for key, value in vars(self).items() if key != "others"}
        return {**own, "levels": list(self.levels), "skipped": dict(self.skipped), "threads": list(self.threads)}


def verify(
    artifact: Path,
    *,
    model: str | Path | None = None,
    plan: Path | None = None,
    device: str | Device | Sequence[Device] = "here",
    seed: int = 0,
    overrides: Overrides | None = None,
    progress: Progress = silent,
) -> Verified:
    """Compare `artifact` at every level that the device's CPU has, with 1, 2 and 3 threads, whole and in strips.

    model: the network it was made from, for the reference executor; plan: its plan (default: the one it carries).
    Without model: the checksums in its manifest. Every one of several devices does all of it. Raises WorkError where a
    byte differs (it names the first layer that does), UsageError where model and artifact do not belong together,
    DeviceError where a device fails; of several devices when the last one has ended.
    """
    from tvmsr.devices.pool import opened_devices, together

    artifact = Path(artifact)
    proof = _proof(artifact, model, plan, seed, overrides)
    with opened_devices(device) as devices:
        bar = _Bar(progress)
        if len(devices) == 1:
            return _on_device(artifact, devices[0], proof, bar.expect, bar.tick)
        found = together(devices, lambda where, call: _on_device(
            artifact, where, proof, lambda rounds: call(lambda: bar.expect(rounds)), lambda: call(bar.tick)
        ))  # fmt: skip
        return _all_of(devices, found)


class _Bar:
    """One bar for all devices: rounds that are done, of those known so far."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._done, self._total = progress, 0, 0

    def expect(self, rounds: int) -> None:
        self._total += rounds
        self._progress("verify", self._done, self._total)

    def tick(self) -> None:
        self._done += 1
        self._progress("verify", self._done, self._total)


def _on_device(
    artifact: Path, where: Device, proof: Proof, expect: Callable[[int], object], tick: Callable[[], object]
) -> Verified:
    levels = where.levels(artifact)
    skipped = _skipped(artifact, where, levels)
    if not levels:
        raise WorkError(f"{artifact}: {where.name} runs none of its levels: {skipped[0][1]}")
    tally, rounds = _Tally(), [(level, threads) for level in levels for threads in THREADS]
    expect(len(rounds))
    for level, threads in rounds:
        tally = _round(artifact, where, proof, level, threads, tally)
        tick()
    return Verified(
        artifact=str(artifact), device=where.name, proof=proof.kind, levels=levels, skipped=skipped,
        threads=THREADS, pictures=len(proof.samples), **vars(tally),
    )  # fmt: skip


def _all_of(devices: Sequence[Device], found: Sequence[Verified | TvmsrError]) -> Verified:
    """The results as one; or one error for all that failed, WorkError where a byte differs on one of them."""
    good = [one for one in found if isinstance(one, Verified)]
    bad = [(where.name, one) for where, one in zip(devices, found, strict=True) if isinstance(one, TvmsrError)]
    if not bad:
        return replace(good[0], others=tuple(good[1:]))
    reasons = "; ".join(f"{name}: {str(error).removeprefix(f'{name}: ')}" for name, error in bad)
    fine = f"; equal on {', '.join(one.device for one in good)}" if good else ""
    kinds = [type(error) for _, error in bad]
    order = (WorkError, UsageError, InputFileError, DeviceError)
    kind = next((kind for kind in order if any(issubclass(k, kind) for k in kinds)), DeviceError)
    raise kind(f"{len(bad)} of {len(devices)} devices failed: {reasons}{fine}")


@dataclass(frozen=True)
class _Tally:
    runs: int = 0
    strips: int = 0
    bytes: int = 0

    def plus(self, strips: int, size: int) -> _Tally:
        return replace(self, runs=self.runs + 1, strips=max(self.strips, strips), bytes=self.bytes + size)


def _proof(
    artifact: Path, model: str | Path | None, plan: Path | None, seed: int, overrides: Overrides | None
) -> Proof:
    from tvmsr.artifact.manifest import read_manifest, read_plan_text
    from tvmsr.commands.proofs import REPORT, ChecksumProof, ReferenceProof
    from tvmsr.quant.adaptive import bind_choices, choosing_of
    from tvmsr.quant.plan import Plan

    manifest = read_manifest(artifact)
    if model is None:
        if plan is not None:
            raise UsageError("--plan says how a network is computed, so it needs --model too")
        return ChecksumProof(manifest, artifact)
    network = open_model(model, overrides)
    if manifest.model_checksum != network.checksum:
        raise UsageError(f"{artifact} was not made from {model}: the checksums of the networks differ")
    read = Plan.load(Path(plan)) if plan is not None else Plan.from_json(read_plan_text(artifact), str(artifact))
    choosing = choosing_of(read)
    if list(choosing.names) != manifest.choices:
        raise UsageError(
            f"{plan or artifact}: the plan has the bit choices {', '.join(choosing.names)}, the artifact "
            f"{', '.join(manifest.choices)}"
        )
    own = hashlib.sha256(read.to_json().encode()).hexdigest() == manifest.plan_checksum
    advice = REPORT if own or plan is None else f"it was not made with {plan}"
    return ReferenceProof(bind_choices(network, read), choosing, manifest, seed, advice)


def _skipped(artifact: Path, where: Device, levels: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Levels of the artifact that the device does not run, and what the artifact says to that."""
    from tvmsr.artifact.manifest import read_manifest
    from tvmsr.devices import Opening

    found = []
    for level in read_manifest(artifact).levels:
        if level.name in levels:
            continue
        try:
            with where.open(artifact, Opening(level=level.name)):
                raise WorkError(f"{artifact}: level {level.name} is said not to run on {where.name}, but it opens")
        except InputFileError as error:
            found.append((level.name, str(error).removeprefix(f"{artifact}: ")))
    return tuple(found)


def _round(artifact: Path, where: Device, proof: Proof, level: str, threads: int, tally: _Tally) -> _Tally:
    """All pictures at one level with some threads; then the tallest one again, in strips."""
    from tvmsr.devices import Opening

    opening = Opening(threads=threads, level=level)
    tallest = proof.samples[-1]
    with where.open(artifact, opening) as runner:
        if proof.kind == "checksums":
            runner.check()
        for sample in proof.samples:
            size = _compare(artifact, runner, proof, sample)
            tally = tally.plus(runner.last().strips, size)
        if len(runner.info.choices) > 1:
            runner.force_choice(None)
        whole = runner.workspace(tallest.picture.shape[1], tallest.picture.shape[0])
    return _in_strips(artifact, where, proof, opening, whole, tally)


def _in_strips(artifact: Path, where: Device, proof: Proof, opening: Opening, whole: int, tally: _Tally) -> _Tally:
    """The tallest picture, through all choices, with the tightest limit of memory that it gets by with.

    whole: bytes it takes without.
    """
    import numpy as np

    last = proof.samples[-1].picture
    tallest = [sample for sample in proof.samples if np.array_equal(sample.picture, last)]
    for part in TIGHT:
        with where.open(artifact, replace(opening, memory=whole * part / 2**20)) as runner:
            done = tally
            try:
                for sample in tallest:
                    size = _compare(artifact, runner, proof, sample)
                    done = done.plus(runner.last().strips, size)
            except _TooTightError:
                continue
            return done
    return tally


class _TooTightError(Exception):
    """The picture does not fit the memory limit in the smallest strips."""


def _compare(artifact: Path, runner: Runner, proof: Proof, sample: Sample) -> int:
    """Upscale a sample; returns the number of bytes. WorkError where one differs."""
    from tvmsr.runtime.abi import MEMORY_LIMIT

    several = len(runner.info.choices) > 1
    if several:
        runner.force_choice(sample.choice if sample.forced else None)
    try:
        got = runner.upscale(sample.picture)
    except StatusError as error:
        if error.status == MEMORY_LIMIT:
            raise _TooTightError from error
        raise
    if several and runner.last().choice != sample.choice:
        names, found = runner.info.choices, runner.last().choice
        raise WorkError(
            f"{artifact}: {runner.name}, level {runner.level}: the picture {sample.name!r} ({sample.size}) got the bit "
            f"choice {names[found]}, not {names[sample.choice]}; {proof.advice}"
        )
    wrong = sample.wrong(got)
    if wrong:
        last = runner.last()
        where = f"{runner.name}, level {last.level}, {last.threads} threads, {last.strips} strips"
        raise WorkError(
            f"{artifact}: {where}: {wrong} from the reference on the picture {sample.name!r} ({sample.size}); "
            f"{_explain(runner, proof, sample)}; {proof.advice}"
        )
    return got.size


def _explain(runner: Runner, proof: Proof, sample: Sample) -> str:
    try:
        return proof.explain(sample, runner.traced(sample.picture)[1])
    except InputFileError as error:  # an artifact of a release without traces
        return str(error)
