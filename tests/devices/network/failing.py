"""Cases: networks that are slow or cut, and servers, sessions and clients that end in the middle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial

import numpy as np

from tests.devices.network.board import KEY, Board, until
from tests.devices.network.limits import LOST, NEXT, SPARE
from tests.devices.network.net import ROOT, Network
from tests.devices.network.scene import (
    Ending,
    Scene,
    interrupted,
    one_sentence,
    picture,
    together,
    upscaled,
    wanted,
    working,
)
from tvmsr.errors import DeviceError


def two_at_once(scene: Scene) -> Ending:
    """Two devices and a client, three addresses: both give the right bytes, again and again, at the same time."""
    with scene.board("one") as one, scene.board("two") as two:

        def work(board: Board, seed: int) -> None:
            with scene.place("client").entered(), board.device() as device, device.open(scene.artifact) as runner:
                for turn in range(5):
                    result = runner.upscale(picture(133, 147, seed + turn))
                    assert np.array_equal(result, wanted(133, 147, seed + turn)), "wrong bytes"

        began = time.monotonic()
        together((partial(work, one, 0), partial(work, two, 10)), 60)
        return Ending("right bytes", time.monotonic() - began)


def far_away(scene: Scene) -> Ending:
    """80 ms each way, and 2 % of the packets lost in each direction."""
    assert isinstance(scene.net, Network)
    with scene.board() as board:
        near = scene.serve(board.device(), "client")
        scene.net.set("client", delay=0.08, loss=0.02)
        try:
            far = scene.serve(board.device(), "client")
        finally:
            scene.net.heal()
    return Ending("right bytes", far, notes=[f"without delay and loss {near:.2f} s"])


def link_cut(scene: Scene) -> Ending:
    """Nothing comes through any more, and nobody says so: in the middle of work on `one`, with `two` held but idle.

    Another client, whose link is whole, waits for both.
    """
    assert isinstance(scene.net, Network)
    cut = partial(scene.net.set, "client", cut=True)
    with scene.board("one") as one, scene.board("two") as two, scene.place("client").entered():
        with one.device() as device, two.device() as idle:
            idle.facts()
            waits = [_Waiting(scene, board) for board in (one, two)]

            def event() -> None:
                cut()
                for wait in waits:
                    wait.start()

            try:
                ending = interrupted(device, scene.slow, event)
                ending.served, served_two = (wait.seconds() for wait in waits)
            finally:
                scene.net.heal()
            for again in (device, idle):
                upscaled(again, scene.artifact, picture(33, 47))
        ending.notes = [f"the idle session was given up after {served_two:.2f} s; healed, both devices work again"]
    return ending


class _Waiting(threading.Thread):
    """Another client that waits until a device is free."""

    def __init__(self, scene: Scene, board: Board) -> None:
        super().__init__(daemon=True)
        self._scene, self._board = scene, board
        self._seconds: list[float] = []

    def run(self) -> None:
        self._seconds.append(self._scene.serve(self._board.device()))

    def seconds(self) -> float:
        """How long it waited. AssertionError where it waits longer than a lost client may hold a device."""
        self.join(LOST + NEXT + SPARE)
        assert self._seconds, "another client was not served: the device is still held by the one that is cut off"
        return self._seconds[0]


def hiccup(scene: Scene) -> Ending:
    """A link that is cut for three seconds: TCP sends again what was lost, nobody is told."""
    assert isinstance(scene.net, Network)
    with scene.board() as board, scene.place("client").entered(), board.device() as device:
        healing = threading.Timer(3.0, scene.net.heal)

        def event() -> None:
            scene.net.set("client", cut=True)
            healing.start()

        try:
            return interrupted(device, scene.slow, event)
        finally:
            if healing.is_alive():
                healing.join()
            scene.net.heal()


def server_killed(scene: Scene) -> Ending:
    """SIGKILL of the front, started again a moment later."""
    with scene.board() as board, scene.place("client").entered(), board.device() as device:
        front = board.pid
        ending = interrupted(device, scene.slow, board.kill)
        began = time.monotonic()
        until(lambda: not board.processes(), NEXT, f"processes outlive their server {front}")
        board.start()
        until(lambda: not board.session_files(), NEXT, "files of the server before are left")
        upscaled(device, scene.artifact, picture(33, 47))
        ending.served = time.monotonic() - began
    return ending


def server_restarted(scene: Scene) -> Ending:
    """Ended and started again while its client asks for nothing: the same device object works on."""
    with scene.board() as board, scene.place("client").entered(), board.device() as device:
        upscaled(device, scene.artifact, picture(33, 47))
        board.stop()
        board.start()
        began = time.monotonic()
        upscaled(device, scene.artifact, picture(33, 47))
        return Ending("right bytes", time.monotonic() - began)


def server_ended(scene: Scene) -> Ending:
    """SIGTERM of the front in the middle."""
    with scene.board() as board, scene.place("client").entered(), board.device() as device:
        ending = interrupted(device, scene.slow, board.stop)
        began = time.monotonic()
        board.start()
        upscaled(device, scene.artifact, picture(33, 47))
        ending.served = time.monotonic() - began
    return ending


def time_is_up(scene: Scene) -> Ending:
    """A client that works on and on, until its session's time is up."""
    with scene.board("one", "--session-time", "2") as board, scene.place("client").entered(), board.device() as device:
        came, began = "", time.monotonic()
        while not came:
            assert time.monotonic() < began + LOST, "its time is never up"
            try:
                working(device, scene.slow, lambda done, total: None)
            except DeviceError as error:
                came = one_sentence(error)
        known = time.monotonic() - began
        upscaled(device, scene.artifact, picture(33, 47))
        return Ending(came, known, time.monotonic() - began)


def signalled(number: signal.Signals, scene: Scene) -> Ending:
    """A signal to the session's process: killed or frozen."""
    with scene.board() as board, scene.place("client").entered(), board.device() as device:
        times: list[float] = []

        def event() -> None:
            times.append(time.monotonic())
            os.kill(board.session_pid(), number)

        ending = interrupted(device, scene.slow, event)
        scene.serve(board.device())
        ending.served = time.monotonic() - times[0]
        upscaled(device, scene.artifact, picture(33, 47))
    return ending


def client_killed(scene: Scene) -> Ending:
    """SIGKILL of a client whose picture is at work."""
    with scene.board() as board:
        command = [sys.executable, "-m", "tests.devices.network.client", board.place.address, str(board.port), KEY]
        command += [str(board.token_file), str(scene.slow)]
        with scene.place("client").entered():
            client = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        with client:
            assert client.stdout is not None and client.stdout.readline() == "working\n", "the client did not begin"
            client.kill()
        return Ending("the next client has the right bytes", served=scene.serve(board.device()))
