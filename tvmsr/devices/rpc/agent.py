"""The agent (host/agent.h) in a session of a TVM RPC server: what a server has built in, else what we upload."""

from __future__ import annotations

import contextlib
import hashlib
import math
import struct
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from tvmsr.devices.closing import Closing
from tvmsr.devices.link import SMALL, ProgressFunction
from tvmsr.devices.program import AGENT_FUNCTION, agent_key, agent_library
from tvmsr.devices.rpc.client import RemoteError, RpcSession
from tvmsr.devices.rpc.wire import Handle
from tvmsr.devices.wire import LARGEST, Command, GarbageError, Values, read_files, text, u32
from tvmsr.errors import DeviceError, InputFileError, WorkError

_BEGIN, _MORE, _WAIT, _READ, _CANCEL, _FILES = 1, 2, 3, 4, 5, 6
_RECEIVING, _WORKING, _DONE, _BAD = 0, 1, 2, 3

INSTANCES = 16

#: Bytes of a payload in one call.
_PIECE = 1 << 20

#: Milliseconds that the agent waits for the end of the work before it answers; where somebody looks, and else.
_LOOKING, _PATIENCE = 100, 500

#: Seconds without CPU time or progress after which the work counts as hung.
_STUCK = 60.0


#: An upscale is hung that takes so many times as long as its size and the slowest before it say, and so many seconds.
_SLOWER, _LEAST_LIMIT = 30, 60.0


class Agent(Closing):
    """The agent of one session; several artifacts can be open in it at once.

    triples: what it may have to be built for (ziglang's), tried in order where the server has none of its own. Raises
    DeviceError where none of them loads.
    """

    def __init__(self, session: RpcSession, triples: Sequence[str]) -> None:
        self.session = session
        self._function = session.function(f"tvmsr.agent.{agent_key()}") or _uploaded(session, triples)
        self.lock = threading.RLock()  # of whoever has a request under way
        self.busy: int | None = None  # the instance whose it is
        self._free = list(range(INSTANCES))
        self._placed: dict[str, str] = {}

    def link(self) -> AgentLink:
        """A link of its own for one artifact. DeviceError where too many are open."""
        if not self._free:
            raise DeviceError(f"{self.session.name}: {INSTANCES} artifacts are open there; close one")
        return AgentLink(self, self._free.pop(0))

    def release(self, instance: int) -> None:
        self._free.append(instance)

    @contextlib.contextmanager
    def at_work(self, instance: int) -> Iterator[None]:
        """Nobody else has a request under way meanwhile."""
        with self.lock:
            before, self.busy = self.busy, instance
            try:
                yield
            finally:
                self.busy = before

    def place(self, artifact: Path) -> tuple[str, str]:
        """Upload a file, once a session; its path there and its SHA-256."""
        try:
            data = artifact.read_bytes()
        except OSError as error:
            raise InputFileError(f"cannot read {artifact}: {error.strerror or error}") from None
        checksum = hashlib.sha256(data).hexdigest()
        with self.lock:
            if checksum not in self._placed:
                self._placed[checksum] = self.session.upload(f"{checksum[:32]}.so", data)
            return self._placed[checksum], checksum

    def files(self, patterns: Iterable[str]) -> dict[str, bytes]:
        """Small files of the system there (host/files.h); answered while an artifact is at work too."""
        wanted = tuple(patterns)
        values = Values(self.ask(_FILES, 0, u32(len(wanted)), *map(text, wanted)))
        try:
            if values.u32() != _DONE or values.u32() != 0 or values.u64() < 4:
                raise GarbageError("the agent answered something else than files")
            return read_files(values)
        except GarbageError as error:
            self.session.fail(str(error))

    def ask(self, op: int, instance: int, *parts: bytes | memoryview) -> memoryview:
        """One call of the agent."""
        request = b"".join((struct.pack("<II", op, instance), *parts))
        answer = self.session.call(self._function, request)
        if not isinstance(answer, memoryview):
            self.session.fail("the agent answered something else than bytes")
        return answer

    def close(self) -> None:
        self.session.close()


class AgentLink(Closing):
    """A Link (devices/link.py) to one instance of the agent."""

    def __init__(self, agent: Agent, instance: int) -> None:
        self._agent = agent
        self._instance = instance
        self._open = True
        self._pace = 0.0  # seconds a byte of the slowest upscale so far

    @property
    def name(self) -> str:
        return self._agent.session.name

    def place(self, artifact: Path) -> tuple[str, str]:
        return self._agent.place(artifact)

    def call(
        self,
        command: int,
        *parts: bytes | memoryview,
        progress: ProgressFunction | None = None,
        largest: int = SMALL,
    ) -> tuple[int, bytearray]:
        """As Link.call. Cancelling waits until the upscale has ended at its next strip; the session stays."""
        if not self._open:
            raise DeviceError(f"{self.name}: is closed; open it again")
        try:
            with self._agent.at_work(self._instance):
                call = _Call(self._agent, self._instance, progress, largest, self._limit(command, parts))
                answer = call.run(command, *parts)
            if command == Command.UPSCALE:
                self._pace = max(self._pace, call.seconds / sum(map(len, parts)))
            return answer
        except GarbageError as error:
            self.fail(str(error))
        except (RemoteError, WorkError):
            raise
        except BaseException:  # Ctrl-C: what is at work there ends with the connection
            self._agent.session.kill()
            raise

    def _limit(self, command: int, parts: Sequence[bytes | memoryview]) -> float:
        """Seconds that a request may take: an upscale, by what earlier ones took."""
        if command != Command.UPSCALE or not self._pace:
            return math.inf
        return max(_LEAST_LIMIT, _SLOWER * self._pace * sum(map(len, parts)))

    def fail(self, what: str) -> NoReturn:
        self._agent.session.fail(what)

    def close(self) -> None:
        """Unload the artifact there; where another thread waits for an answer of it, end the whole session."""
        if not self._open:
            return
        if self._agent.busy == self._instance:
            self._agent.session.kill()
        with contextlib.suppress(DeviceError):
            if not self._agent.session.closed:
                self.call(Command.UNLOAD)
        self._open = False
        self._agent.release(self._instance)


class _Call:
    """One request: sent in pieces, waited for, read in pieces."""

    def __init__(
        self, agent: Agent, instance: int, progress: ProgressFunction | None, largest: int, limit: float
    ) -> None:
        self._agent, self._instance, self._progress, self._largest = agent, instance, progress, largest
        self._began, self._limit = time.monotonic(), limit
        self._wait = struct.pack("<I", _PATIENCE if progress is None else _LOOKING)
        self._cpu, self._rows, self._moved = -1, -1, time.monotonic()

    def run(self, command: int, *parts: bytes | memoryview) -> tuple[int, bytearray]:
        payload = memoryview(b"".join(parts))
        head = struct.pack("<IQ", command, len(payload)) + self._wait
        state, values = self._ask(_BEGIN, head, payload[:_PIECE])
        for at in range(_PIECE, len(payload), _PIECE):
            if state != _RECEIVING or values.u64() != at:
                raise GarbageError("the agent lost a part of the request")
            state, values = self._ask(_MORE, self._wait, payload[at : at + _PIECE])
        while state == _WORKING:
            op = _CANCEL if self._wants_end(values) else _WAIT
            state, values = self._ask(op, self._wait)
            if op == _CANCEL:
                self._until_done(state, values)
                raise WorkError("cancelled")
        return self._reply(state, values)

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._began

    def _ask(self, op: int, *parts: bytes | memoryview) -> tuple[int, Values]:
        answer = self._agent.ask(op, self._instance, *parts)
        values = Values(answer)
        state = values.u32()
        if state == _BAD:
            raise GarbageError(f"the agent says: {str(answer[4:304], 'utf-8', 'replace')}")
        return state, values

    def _wants_end(self, values: Values) -> bool:
        """Report progress; true where the client cancels. GarbageError where nothing moves any more."""
        done, total, cpu = values.u64(), values.u64(), values.u64()
        now = time.monotonic()
        if cpu != self._cpu or done != self._rows:
            self._cpu, self._moved = cpu, now
        if now - self._moved > _STUCK:
            raise GarbageError(f"its work has not moved for {_STUCK:g} seconds")
        if self.seconds > self._limit:
            raise GarbageError(f"took {self.seconds:.0f} seconds, {_SLOWER} times as long as pictures before")
        new, self._rows = done != self._rows, done
        return bool(new and total and self._progress is not None and self._progress(done, total))

    def _until_done(self, state: int, values: Values) -> None:
        while state == _WORKING:
            self._progress = None
            self._wants_end(values)
            state, values = self._ask(_WAIT, self._wait)

    def _reply(self, state: int, values: Values) -> tuple[int, bytearray]:
        if state != _DONE:
            raise GarbageError("the agent is in a state that does not exist")
        code, length = values.u32(), values.u64()
        if length > min(self._largest, LARGEST):
            raise GarbageError(f"it announced an answer of {length} bytes")
        payload = bytearray(values.rest())
        while len(payload) < length:
            state, values = self._ask(_READ, struct.pack("<QI", len(payload), _PIECE))
            piece = values.rest() if state == _DONE and values.u32() == code and values.u64() == length else b""
            if not piece:
                raise GarbageError("its answer is cut short")
            payload += piece
        if len(payload) != length:
            raise GarbageError("its answer is longer than it should be")
        return code, payload


def _uploaded(session: RpcSession, triples: Sequence[str]) -> Handle:
    """The agent's function out of the first library that the other side can load."""
    said: list[str] = []
    for triple in triples:
        name = f"tvmsr-agent-{agent_key()}-{triple}.so"
        try:
            session.upload(name, agent_library(triple).read_bytes())
            return session.function_of(session.load(name), AGENT_FUNCTION)
        except RemoteError as error:
            said.append(f"{triple}: {str(error).removeprefix(session.name + ': ')}")
    session.fail(f"none of our agents can be loaded there ({'; '.join(said)})")
