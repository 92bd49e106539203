"""What runs on each device: the artifact that was given, or one compiled from a network for the device's target."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from tvmsr.commands.benchmark.one import Subject
from tvmsr.commands.choices import choice_number
from tvmsr.commands.files import is_artifact
from tvmsr.commands.progress import Progress
from tvmsr.commands.source import Overrides, open_model
from tvmsr.devices.examine import target_of
from tvmsr.errors import UsageError

if TYPE_CHECKING:
    from tvmsr.devices.runner import Device
    from tvmsr.graph.model import Model

#: Choices of what `--bits 8` and its like make.
_ONE = ("default",)

#: The default of `bench`: whoever asks for it of an artifact cannot be told from whoever asks for nothing.
_BITS = "8"


class Material:
    """A context: what it compiled is gone afterwards. Compiles once for each target, in the thread that asks."""

    def __init__(
        self,
        what: str | Path,
        *,
        target: str | None,
        bits: str,
        choice: str = "auto",
        overrides: Overrides | None,
        model: str | Path | None,
        peer: str,
        progress: Progress,
    ) -> None:
        """Raises UsageError or InputFileError where the options do not fit `what`."""
        self._what, self._target, self._bits = what, target, bits
        self._overrides, self._progress = overrides, progress
        self._given = is_artifact(what)
        if self._given:
            self._check_given(Path(what), choice)
        else:
            _check_choice(what, bits, choice)
        self._made: dict[str, Path] = {}
        self.network = self._network(model, peer)
        self._folder = tempfile.TemporaryDirectory(prefix="tvmsr-bench-")

    def __enter__(self) -> Material:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folder.cleanup()

    def target_for(self, device: Device) -> str:
        """What is compiled for on a device; "" where an artifact was given. DeviceError where no target suits it."""
        if self._given:
            return ""
        return self._target or target_of(device)

    def subject(self, target: str) -> Subject:
        """What runs for a target as `target_for` says it."""
        if self._given:
            return Subject(Path(self._what), str(self._what), "", self.network)
        return Subject(self._compiled(target), f"{self._what} for {target}", target, self.network)

    def _check_given(self, artifact: Path, choice: str) -> None:
        """An artifact that is none, or has no such choice, is said once, not by every device."""
        from tvmsr.artifact.manifest import read_manifest

        if self._target is not None or self._bits != _BITS:
            raise UsageError(f"{artifact} is compiled already: --target and --bits are for a network")
        choice_number(artifact, choice, read_manifest(artifact).choices)

    def _compiled(self, target: str) -> Path:
        if target not in self._made:
            from tvmsr.commands.compile import compile as compile_model
            from tvmsr.commands.compile import target_word

            out = Path(self._folder.name, f"{len(self._made)}-{target_word(target)}.so")
            made = compile_model(
                self._what, out=out, target=target, bits=self._bits, overrides=self._overrides, progress=self._progress
            )
            self._made[target] = made.artifact
        return self._made[target]

    def _network(self, model: str | Path | None, peer: str) -> Model | None:
        """The network that a peer runs; None without one."""
        if not peer:
            if model is not None:
                raise UsageError("--model names the network of an artifact for --peer, which was not given")
            return None
        from tvmsr.evaluation.peers import PEERS

        if peer not in PEERS:
            raise UsageError(f"--peer {peer}: no such runtime; known are {', '.join(PEERS)}")
        if not self._given:
            return open_model(self._what, self._overrides)
        if model is None:
            raise UsageError(f"{self._what} has no float32 network in it: name it with --model, for --peer {peer}")
        from tvmsr.artifact.manifest import read_manifest

        network = open_model(model, self._overrides)
        if read_manifest(Path(self._what)).model_checksum != network.checksum:
            raise UsageError(f"{self._what} was not made from {model}: the checksums of the networks differ")
        return network


def _check_choice(what: str | Path, bits: str, choice: str) -> None:
    """UsageError where what a network is compiled to cannot have a bit choice of that name: before it is compiled."""
    from tvmsr.quant.adabm.choices import NAMES
    from tvmsr.quant.bits import Auto, parse_wish

    if choice in ("auto", *_ONE):
        return
    if not isinstance(parse_wish(bits), Auto):
        raise UsageError(f"--choice {choice}: {what} has one choice of bits at --bits {bits}; leave it out")
    if choice not in NAMES.values():
        names = ", ".join(NAMES.values())
        raise UsageError(f"--choice {choice}: at --bits {bits} there may be {names}, and auto; name one of these")
