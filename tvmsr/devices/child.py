"""The host program as a process of this machine: requests as frames on its standard input and output (host/wire.h)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from tvmsr.devices.channel import ProcessChannel
from tvmsr.devices.closing import Closing
from tvmsr.devices.link import SMALL, ProgressFunction
from tvmsr.devices.wire import HEADER, Frame, GarbageError, Kind, Values, read_frame
from tvmsr.errors import WorkError

#: Seconds without a byte after which a process counts as hung. At work it gives a sign of life twice a second.
SILENCE = 60.0


class Child(Closing):
    """A Link to a process: it is killed with all that it started. Any failure in a call ends it."""

    def __init__(self, command: Sequence[str], name: str, *, silence: float = SILENCE) -> None:
        self._channel = ProcessChannel(command, name, silence=silence, program="the host program")
        self._serial = 0

    @property
    def name(self) -> str:
        return self._channel.name

    @property
    def pid(self) -> int:
        return self._channel.pid

    def place(self, artifact: Path) -> tuple[str, str]:
        """Files are where they are; the loader's own checks do."""
        return str(artifact.resolve()), ""

    def call(
        self,
        command: int,
        *parts: bytes | memoryview,
        progress: ProgressFunction | None = None,
        largest: int = SMALL,
    ) -> tuple[int, bytearray]:
        """As Link.call. Cancelling ends the process."""
        self._channel.check_open()
        self._serial = (self._serial + 1) % 2**32
        head = Frame(Kind.REQUEST, command, self._serial, sum(len(part) for part in parts))
        try:
            self._channel.send(head.to_bytes(), *parts)
            return self._reply(progress, largest)
        except GarbageError as error:
            self.fail(str(error))
        except BaseException:  # Ctrl-C too: nothing is left running, and a reply that comes later is read by nobody
            self.kill()
            raise

    def fail(self, what: str) -> NoReturn:
        """End the process and raise a DeviceError that says `what`, how it ended, and the last that it had to say."""
        self._channel.fail(what)

    def close(self) -> None:
        """Let the process end, or end it."""
        self._channel.close()

    def kill(self) -> None:
        """End the process now, and all that it started."""
        self._channel.kill()

    def _reply(self, progress: ProgressFunction | None, largest: int) -> tuple[int, bytearray]:
        while True:
            frame = read_frame(bytes(self._channel.receive(HEADER.size)))
            if frame.serial != self._serial:
                raise GarbageError("it answered another request")
            if frame.length > (largest if frame.kind == Kind.REPLY else 64):
                raise GarbageError(f"it announced an answer of {frame.length} bytes")
            payload = self._channel.receive(frame.length)
            if frame.kind == Kind.REPLY:
                return frame.code, payload
            if frame.kind == Kind.PROGRESS and progress is not None:
                values = Values(payload)
                if progress(values.u64(), values.u64()):
                    raise WorkError("cancelled")
