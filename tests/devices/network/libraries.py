"""Cases: libraries that are none, or do harm."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from tests.devices.network.scene import Ending, Scene, one_sentence
from tvmsr.artifact.zig import run_tool, zig_command
from tvmsr.devices.hosted import Connection
from tvmsr.devices.program import agent_library
from tvmsr.devices.rpc.agent import Agent
from tvmsr.errors import DeviceError

SEED = 3


def bad_libraries(scene: Scene) -> Ending:
    """Garbage, a library of another architecture, cut ones; as an artifact, and as an agent."""
    good = scene.artifact.read_bytes()
    bad = {
        "garbage": np.random.default_rng(SEED).bytes(len(good)),
        "garbage behind a header": good[:64] + np.random.default_rng(SEED).bytes(len(good) - 64),
        "empty": b"",
        "cut after its header": good[:64],
        "cut in half": good[: len(good) // 2],
        "cut by a page": good[:-4096],
        "wrong architecture": agent_library(_other_triple(scene)).read_bytes(),
    }
    said: list[str] = []
    began = time.monotonic()
    with scene.board() as board, scene.place("client").entered(), board.device() as device:
        session = device.reach.connect("board")
        with Agent(session, ()) as agent:
            for name, data in bad.items():
                path = scene.folder / f"{name}.so"
                path.write_bytes(data)
                for attempt in (partial(_as_artifact, agent, path), partial(_as_agent, agent, path)):
                    said.append(f"{name}: {_refused(attempt)}")
                    assert not session.closed, f"{said[-1]}: the session is gone"
            with Connection(agent.link()) as connection:
                assert connection.load(scene.artifact, "tvmsr").runs, "the session does not work any more"
        known = time.monotonic() - began
        served = scene.serve(board.device())
    return Ending("each refused with a sentence, the session goes on", known / len(said), served, said)


def _other_triple(scene: Scene) -> str:
    return "x86_64-linux-gnu.2.17" if scene.triple.startswith("aarch64") else "aarch64-linux-gnu.2.17"


def _as_artifact(agent: Agent, path: Path) -> None:
    with Connection(agent.link()) as connection:
        connection.load(path, "tvmsr")


def _as_agent(agent: Agent, path: Path) -> None:
    agent.session.upload("agent.so", path.read_bytes())
    agent.session.load("agent.so")


def _refused(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except DeviceError as error:
        return one_sentence(error)
    raise AssertionError("a library that is none was loaded")


#: A process of its own group and session that outlives its parent, in a library's constructor.
_DAEMON = """
#include <unistd.h>
__attribute__((constructor)) static void start(void) {
    if (fork() != 0) return;
    setsid();
    if (fork() != 0) _exit(0);
    for (int fd = 0; fd < 256; fd++) close(fd);
    for (int i = 0; i < 120; i++) sleep(1);
    _exit(0);
}
"""

_CRASH = "__attribute__((constructor)) static void crash(void) { *(volatile int *)0 = 1; }\n"


def _library(scene: Scene, source: str) -> bytes:
    """A library of this source."""
    text, made = scene.folder / "bad.c", scene.folder / "bad.so"
    text.write_text(source)
    run_tool([*zig_command("cc"), "-target", scene.triple, "-shared", "-O1", text, "-o", made], "a library that is bad")
    return made.read_bytes()


def library_that_crashes(scene: Scene) -> Ending:
    """A library whose constructor ends the process: the session is gone, and nothing else."""
    with scene.board() as board, scene.place("client").entered(), board.device() as device:
        session = device.reach.connect("one")
        session.upload("agent.so", _library(scene, _CRASH))
        began = time.monotonic()
        try:
            session.load("agent.so")
        except DeviceError as error:
            known = time.monotonic() - began
            assert session.closed, "the session is over, and the client does not know"
            return Ending(one_sentence(error), known, scene.serve(board.device()))
    raise AssertionError("it was loaded")


def library_that_stays(scene: Scene) -> Ending:
    """A library that starts a process in a session of its own, as daemons do: it goes with its session."""
    with scene.board() as board, scene.place("client").entered(), board.device() as device:
        with device.reach.connect("one") as session:
            session.upload("agent.so", _library(scene, _DAEMON))
            session.load("agent.so")
        began = time.monotonic()
        board.check_idle()
        known = time.monotonic() - began
        return Ending("its process ends with the session", known, scene.serve(board.device()))
