"""Bytes to and from another process or machine, with a limit on how long nothing may move."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from typing import NoReturn

from tvmsr.devices.closing import Closing
from tvmsr.devices.leash import hold
from tvmsr.errors import DeviceError

#: Seconds that a process has to end by itself, after its input ended or it closed its output.
_GRACE = 3.0

#: Bytes of standard error that are kept, the last ones.
_STDERR = 8192

_PIECE = 1 << 20

#: Bytes of parts that are copied rather than sent by themselves.
_SMALL = 1 << 16


class Channel(Closing):
    """Two file descriptors and a name for messages. Any failure closes it; further calls raise DeviceError.

    silence: seconds without a byte moved after which the other side counts as hung. One thread uses it at a time; any
    may kill it, which ends a call that waits.
    """

    #: What is said where the other side ended the stream, and where it moves nothing for {silence} seconds.
    gone_words = "it ended the connection"
    silence_words = "said nothing for {silence:g} seconds"

    def __init__(self, name: str, source: int, sink: int, silence: float) -> None:
        self.name = name
        self.silence = silence
        self._source, self._sink = source, sink
        self._busy = threading.RLock()  # of who uses the descriptors: they are closed when nobody does
        os.set_blocking(source, False)
        os.set_blocking(sink, False)

    @property
    def closed(self) -> bool:
        raise NotImplementedError

    def kill(self) -> None:
        """Close it at once, and end what is behind it where that is ours."""
        raise NotImplementedError

    def close(self) -> None:
        """Close it as one does who has no more to say."""
        self.kill()

    def fail(self, what: str) -> NoReturn:
        """Close and raise a DeviceError that says `what`."""
        self.kill()
        raise DeviceError(f"{self.name}: {what}")

    @contextlib.contextmanager
    def patience(self, seconds: float) -> Iterator[None]:
        """Another limit on silence for some calls."""
        before, self.silence = self.silence, seconds
        try:
            yield
        finally:
            self.silence = before

    @contextlib.contextmanager
    def meaning(self, *, gone: str | None = None, silence: str | None = None) -> Iterator[None]:
        """Other sentences for what may happen meanwhile."""
        before = self.gone_words, self.silence_words
        self.gone_words, self.silence_words = gone or before[0], silence or before[1]
        try:
            yield
        finally:
            self.gone_words, self.silence_words = before

    def check_open(self) -> None:
        if self.closed:
            raise DeviceError(f"{self.name}: is closed; open it again")
        if not hold(self):
            self.fail("was stopped")

    def send(self, *parts: bytes | memoryview) -> None:
        """Send all bytes. DeviceError where the other side does not take them; where it is gone, `receive` says so."""
        with self._busy:
            self.check_open()
            for piece in _gathered(parts):
                self._send(piece)

    def receive(self, size: int) -> bytearray:
        """Exactly `size` bytes. DeviceError where they do not come."""
        with self._busy:
            self.check_open()
            data, at, since = bytearray(size), 0, time.monotonic()
            view = memoryview(data)
            while at < size:
                self._wait(self._source, select.POLLIN, since)
                got = self._read(view[at : at + _PIECE])
                if got > 0:
                    at, since = at + got, time.monotonic()
            return data

    def _read(self, into: memoryview) -> int:
        """Bytes that came; 0 where none did after all."""
        try:
            got = os.readv(self._source, [into])
        except BlockingIOError:
            return 0
        except OSError:
            self._gone()
        if got == 0:
            self._gone()
        return got

    def _wait(self, handle: int, event: int, since: float) -> None:
        """Until it is ready, at most `silence` seconds after `since`."""
        poll = select.poll()
        poll.register(handle, event)
        if not poll.poll(max(0.0, since + self.silence - time.monotonic()) * 1e3):
            self.fail(self.silence_words.format(silence=self.silence))

    def _send(self, data: memoryview) -> None:
        since = time.monotonic()
        while data:
            self._wait(self._sink, select.POLLOUT, since)
            try:
                sent = os.write(self._sink, data[:_PIECE])
            except BlockingIOError:
                continue
            except OSError:  # a broken pipe, a connection that was reset or timed out
                return  # what the other side said before it went can still be read; its end comes after that
            data, since = data[sent:], time.monotonic()

    def _gone(self) -> NoReturn:
        self.fail(self.gone_words)


class SocketChannel(Channel):
    """Over a connected socket; TCP's own limits are set so that a cut line is found while nothing is sent too."""

    def __init__(self, connected: socket.socket, name: str, *, silence: float) -> None:
        self._socket = connected
        if connected.family in (socket.AF_INET, socket.AF_INET6):
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        super().__init__(name, connected.fileno(), connected.fileno(), silence)

    @property
    def closed(self) -> bool:
        return self._socket.fileno() < 0

    def kill(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes a thread that waits
        with self._busy:
            self._socket.close()


class ProcessChannel(Channel):
    """Over the standard input and output of a process in a session of its own.

    Ctrl-C does not reach it, and it is killed with all that it started. What it writes to standard error is kept for
    messages, the last lines.
    """

    def __init__(self, command: Sequence[str], name: str, *, silence: float, program: str = "the program") -> None:
        self.gone_words = f"{program} ended"
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
        super().__init__(name, self._process.stdout.fileno(), self._process.stdin.fileno(), silence)
        self._drain = threading.Thread(target=_keep_end, args=(self._process.stderr.fileno(), self._tail), daemon=True)
        self._drain.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def closed(self) -> bool:
        return self._process.stdin is None or self._process.stdin.closed

    def fail(self, what: str) -> NoReturn:
        """End the process and raise a DeviceError that says `what`, how it ended, and the last that it had to say."""
        code = self._ended(0.0)
        self.kill()
        self._drain.join(_GRACE)
        lines = self._tail.decode("utf-8", "replace").strip().splitlines()
        ended = f" ({_how_it_ended(code)})" if code is not None else ""
        raise DeviceError(f"{self.name}: {what}{ended}" + (f": {lines[-1][:300]}" if lines else ""))

    def close(self) -> None:
        """Let the process end, or end it, at once where another thread waits for it."""
        if self._busy.acquire(blocking=False):
            try:
                with contextlib.suppress(OSError):
                    if not self.closed and self._process.stdin is not None:
                        self._process.stdin.close()
                        self._ended(_GRACE)
            finally:
                self._busy.release()
        self.kill()

    def kill(self) -> None:
        """End the process now, and all that it started."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if threading.current_thread() is not self._drain:  # the collector of garbage runs in any thread
            self._drain.join(_GRACE)
        # A thread that still reads the last words would read from whatever gets the number next.
        spoken = () if self._drain.is_alive() else (self._process.stderr,)
        with self._busy:
            for pipe in (self._process.stdin, self._process.stdout, *spoken):
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

    def _gone(self) -> NoReturn:
        self._ended(_GRACE)
        self.fail(self.gone_words)


def _gathered(parts: Sequence[bytes | memoryview]) -> Iterator[memoryview]:
    """The same bytes, small parts in one: each would be a packet of its own."""
    small = bytearray()
    for part in parts:
        if len(part) < _SMALL:
            small += part
            continue
        if small:
            yield memoryview(small)
            small = bytearray()
        yield memoryview(part).cast("B")
    if small:
        yield memoryview(small)


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
