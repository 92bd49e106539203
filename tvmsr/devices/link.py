"""Link: how requests reach a dispatcher (host/dispatch.c) and its replies come back, whatever lies between."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, Protocol

#: Called with the rows of the result that are done and those in all; True cancels.
ProgressFunction = Callable[[int, int], object]

#: Bytes of answers that are not pictures.
SMALL = 16 << 20


class Link(Protocol):
    """One artifact and its session on the other side. name: of the device, for messages.

    Calls raise DeviceError where the other side fails; what is behind the link is closed then.
    """

    @property
    def name(self) -> str:
        """The device, in words."""

    def place(self, artifact: Path) -> tuple[str, str]:
        """Bring a file to where the dispatcher sees it: its path there and its SHA-256 in hex ("" for no check)."""

    def call(
        self,
        command: int,
        *parts: bytes | memoryview,
        progress: ProgressFunction | None = None,
        largest: int = SMALL,
    ) -> tuple[int, bytearray]:
        """Send a request and wait for its reply: its code and payload, of at most `largest` bytes.

        progress: called while an upscale is at work; True cancels it (WorkError).
        """

    def fail(self, what: str) -> NoReturn:
        """Close and raise a DeviceError that says `what` of the other side."""

    def close(self) -> None:
        """Let go of the artifact there."""
