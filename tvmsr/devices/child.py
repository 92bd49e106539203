"""A process that serves requests on its standard input and output, with limits on how long it may be silent."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from typing import NoReturn

from tvmsr.devices.closing import Closing
from tvmsr.devices.wire import HEADER, Frame, GarbageError, Kind, Values, read_frame
from tvmsr.errors import DeviceError, WorkError

#: Seconds without a byte after which a process counts as hung. At work it gives a sign of life twice a second.
SILENCE = 60.0

#: Seconds that a process has to end by itself, after its input ended or it closed its output.
_GRACE = 3.0

#: Bytes of standard error that are kept, the last ones.
_STDERR = 8192

#: Bytes of answers that are not pictures.
SMALL = 16 << 20

_PIECE = 1 << 20

ProgressFunction = Callable[[int, int], object]


class Child(Closing):
    """One process in a session of its own: Ctrl-C does not reach it, and it is killed with all that it started.

    name: for messages. Any failure in a call ends the process; further calls raise DeviceError.
    """

    def __init__(self, command: Sequence[str], name: str, *, silence: float = SILENCE) -> None:
        self.name = name
        self._silence = silence
        self._serial = 0
        self._tail = bytearray()
        try:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            raise DeviceError(f"{name}: cannot run {command[0]}: {error.strerror}") from error
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._in, False)
        os.set_blocking(self._out, False)
        self._drain = threading.Thread(target=_keep_end, args=(self._process.stderr.fileno(), self._tail), daemon=True)
        self._drain.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def call(
        self,
        command: int,
        *parts: bytes | memoryview,
        progress: ProgressFunction | None = None,
        largest: int = SMALL,
    ) -> tuple[int, bytearray]:
        """Send a request and wait for its reply: its code and payload. DeviceError where there is none.

        progress: called with rows done and rows in all; True cancels, which ends the process (WorkError).
        """
        if self._process.stdin is None or self._process.stdin.closed:
            raise DeviceError(f"{self.name}: is closed; open it again")
        self._serial = (self._serial + 1) % 2**32
        head = Frame(Kind.REQUEST, command, self._serial, sum(len(part) for part in parts))
        try:
            for part in (head.to_bytes(), *parts):
                self._send(memoryview(part).cast("B"))
            return self._reply(progress, largest)
        except GarbageError as error:
            self.fail(str(error))
        except BaseException:  # Ctrl-C too: nothing is left running, and a reply that comes later is read by nobody
            self.kill()
            raise

    def fail(self, what: str) -> NoReturn:
        """End the process and raise a DeviceError that says `what`, how it ended, and the last that it had to say."""
        code = self._ended(0.0)
        self.kill()
        self._drain.join(_GRACE)
        lines = self._tail.decode("utf-8", "replace").strip().splitlines()
        ended = f" ({_how_it_ended(code)})" if code is not None else ""
        raise DeviceError(f"{self.name}: {what}{ended}" + (f": {lines[-1][:300]}" if lines else ""))

    def close(self) -> None:
        """Let the process end, or end it."""
        if self._process.stdin and not self._process.stdin.closed:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            self._ended(_GRACE)
        self.kill()

    def kill(self) -> None:
        """End the process now, and all that it started."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if threading.current_thread() is not self._drain:  # the collector of garbage runs in any thread
            self._drain.join(_GRACE)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def __del__(self) -> None:
        if hasattr(self, "_drain"):
            self.kill()

    def _ended(self, seconds: float) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(seconds)
        return self._process.poll()

    def _wait(self, handle: int, event: int, since: float) -> None:
        """Until a pipe is ready, at most `silence` seconds after `since`."""
        poll = select.poll()
        poll.register(handle, event)
        if not poll.poll(max(0.0, since + self._silence - time.monotonic()) * 1e3):
            self.fail(f"said nothing for {self._silence:g} seconds")

    def _send(self, data: memoryview) -> None:
        since = time.monotonic()
        while data:
            self._wait(self._in, select.POLLOUT, since)
            try:
                sent = os.write(self._in, data[:_PIECE])
            except BlockingIOError:
                continue
            except BrokenPipeError:
                self._gone()
            data, since = data[sent:], time.monotonic()

    def _gone(self) -> NoReturn:
        self._ended(_GRACE)
        self.fail("the host program ended")

    def _receive(self, size: int) -> bytearray:
        data, view_at, since = bytearray(size), 0, time.monotonic()
        view = memoryview(data)
        while view_at < size:
            self._wait(self._out, select.POLLIN, since)
            try:
                got = os.readv(self._out, [view[view_at : view_at + _PIECE]])
            except BlockingIOError:
                continue
            if got == 0:
                self._gone()
            view_at, since = view_at + got, time.monotonic()
        return data

    def _reply(self, progress: ProgressFunction | None, largest: int) -> tuple[int, bytearray]:
        while True:
            frame = read_frame(bytes(self._receive(HEADER.size)))
            if frame.serial != self._serial:
                raise GarbageError("it answered another request")
            if frame.length > (largest if frame.kind == Kind.REPLY else 64):
                raise GarbageError(f"it announced an answer of {frame.length} bytes")
            payload = self._receive(frame.length)
            if frame.kind == Kind.REPLY:
                return frame.code, payload
            if frame.kind == Kind.PROGRESS and progress is not None:
                values = Values(payload)
                if progress(values.u64(), values.u64()):
                    raise WorkError("cancelled")


def _keep_end(handle: int, tail: bytearray) -> None:
    """Read a pipe until its end, so that nobody waits for it; `tail` gets the last that came."""
    while True:
        try:
            piece = os.read(handle, _STDERR)
        except OSError:
            return
        if not piece:
            return
        tail += piece
        del tail[:-_STDERR]


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
