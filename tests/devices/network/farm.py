"""Cases: a tracker that goes away."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time

from tests.devices.network.board import KEY, Board, until
from tests.devices.network.net import Place
from tests.devices.network.scene import Ending, Scene, one_sentence, picture, upscaled
from tvmsr.devices.reach import Tracked
from tvmsr.devices.rpc.device import RpcDevice
from tvmsr.errors import DeviceError

TRACKER_PORT = 9190


def tracker_restarted(scene: Scene) -> Ending:
    """The tracker is killed and started again: the server registers again, clients find it."""
    at = scene.place("other")
    tracker = _start_tracker(at)
    options = ("--tracker", f"{at.address}:{TRACKER_PORT}")
    try:
        with scene.board("one", *options) as board, scene.place("client").entered():
            first = _through_tracker(scene, board, at)
            _kill_group(tracker)
            began = time.monotonic()
            try:
                _through_tracker(scene, board, at)
                raise AssertionError("there is no tracker")
            except DeviceError as error:
                came, known = one_sentence(error), time.monotonic() - began
            tracker = _start_tracker(at)
            again = _through_tracker(scene, board, at)
            third = _through_tracker(scene, board, at)
            return Ending(came, known, again, [f"before {first:.2f} s; the client after it {third:.2f} s"])
    finally:
        _kill_group(tracker)


def _through_tracker(scene: Scene, board: Board, tracker: Place) -> float:
    began = time.monotonic()
    with RpcDevice("board", Tracked(tracker.address, TRACKER_PORT, KEY, str(board.token_file))) as device:
        upscaled(device, scene.artifact, picture(33, 47))
    return time.monotonic() - began


def _start_tracker(place: Place) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tvm.exec.rpc_tracker", "--host", place.address, "--port", str(TRACKER_PORT)]
    command += ["--port-end", str(TRACKER_PORT + 1), "--silent"]
    with place.entered():
        process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
        try:
            until(lambda: _listens(process, place), 30, "the tracker does not listen")
        except BaseException:
            _kill_group(process)
            raise
    return process


def _listens(process: subprocess.Popen[bytes], place: Place) -> bool:
    assert process.poll() is None, "the tracker did not start"
    try:
        socket.create_connection((place.address, TRACKER_PORT), 1.0).close()
        return True
    except OSError:
        return False


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """It has a process of its own for the work."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
