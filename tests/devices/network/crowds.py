"""Cases: peers that send nonsense, or slowly, and clients that are many."""

from __future__ import annotations

import threading
import time
from functools import partial

from tests.devices.network import peers
from tests.devices.network.board import Board, until
from tests.devices.network.limits import LOST, NEXT
from tests.devices.network.scene import Ending, Scene, one_sentence, picture, together, upscaled
from tvmsr.errors import DeviceError

SEED = 20260731


def random_at_the_door(scene: Scene) -> Ending:
    """500 000 random frames from someone who knows no token, and a client in the middle of it."""
    with scene.board() as board, scene.place("client").entered():
        notes: list[str] = []

        def noise() -> None:
            with scene.place("client").entered():
                began = time.monotonic()
                count = peers.random_frames_at_the_door(board, 500_000, SEED)
                notes.append(f"500 000 frames on {count} connections in {time.monotonic() - began:.1f} s")

        served: list[float] = []
        together((noise, lambda: served.append(scene.serve(board.device()))), 60)
        return Ending("the server goes on", None, served[0], notes)


def random_packets(scene: Scene) -> Ending:
    """500 000 random packets from a client that knows the token, and another client in the middle of it."""
    with scene.board() as board:
        noisy = peers.RandomClient(board, SEED)
        served: list[float] = []
        began = time.monotonic()

        def noise() -> None:
            with scene.place("client").entered():
                noisy.run(500_000, 60)

        def other() -> None:
            until(lambda: noisy.sessions > 2, 20, "the noise did not begin")
            served.append(scene.serve(board.device()))

        together((noise, other), 70)
        note = f"{noisy.frames} frames in {noisy.sessions} sessions, {noisy.answers >> 20} MiB of answers, "
        note += f"{time.monotonic() - began:.1f} s"
        scene.serve(board.device())
        return Ending("the server goes on", None, served[0], [note])


def slow_handshakes(scene: Scene) -> Ending:
    """200 connections that send their handshake byte by byte; the queue has room for 64."""
    with scene.board() as board, scene.place("client").entered():
        slow = peers.Slow(board, 200)
        served: list[float] = []
        other = threading.Thread(target=lambda: served.append(scene.serve(board.device())), daemon=True)
        began = time.monotonic()
        try:
            other.start()
            while slow.step():
                assert time.monotonic() < began + LOST, "slow peers are never sent away"
                time.sleep(0.2)
            known = time.monotonic() - began
            other.join(NEXT)
        finally:
            slow.close()
        assert served, "a client was not served meanwhile"
        return Ending("sent away", known, served[0])


def slow_packet(scene: Scene) -> Ending:
    """A client with the right token that never finishes its packet holds the device until its time is up."""
    with scene.board("one", "--session-time", "4") as board, scene.place("client").entered():
        served: list[float] = []
        other = threading.Thread(target=lambda: served.append(scene.serve(board.device())), daemon=True)
        began = time.monotonic()
        for turn, there in enumerate(peers.trickling(board)):
            if turn == 0:
                other.start()
            assert time.monotonic() < began + LOST, "a slow client keeps the device for ever"
            if there:
                time.sleep(0.2)
        known = time.monotonic() - began
        other.join(NEXT)
        assert served, "the next client was not served"
        return Ending("its time is up", known, served[0])


CLIENTS = 50


def fifty_clients(scene: Scene) -> Ending:
    """All come while another one has the device; then each gets its result, in the order in which they came."""
    with scene.board() as board:
        done, seconds = _crowd(scene, board)
    order = [number for number, came in done if came == "right bytes"]
    assert len(order) == CLIENTS, [came for _, came in done if came != "right bytes"][:3]
    displaced = max(abs(place - number) for place, number in enumerate(order))
    assert displaced <= 5, f"not in the order of arrival: {order}"
    notes = [f"no client was served more than {displaced} places from its turn"]
    return Ending("right bytes for each, in order", None, seconds, notes)


def full_queue(scene: Scene) -> Ending:
    """The same where only 8 may wait: the others are told."""
    with scene.board("one", "--queue", "8") as board:
        done, _ = _crowd(scene, board)
    right = sum(came == "right bytes" for _, came in done)
    told = {came for _, came in done} - {"right bytes"}
    assert len(done) == CLIENTS and right >= 8 and len(told) == 1, (right, told)
    return Ending(f"some served; the others: {told.pop()}", notes=[f"{right} of {CLIENTS} served"])


def _crowd(scene: Scene, board: Board) -> tuple[list[tuple[int, str]], float]:
    """What came of each of 50 clients, in the order in which they knew; seconds from the first turn until all did."""
    done: list[tuple[int, str]] = []
    source, artifact = picture(33, 47), scene.artifact  # made before the time runs
    first, began = board.device(), []

    def client(number: int) -> None:
        with scene.place("client").entered():
            time.sleep(number * 0.02)
            try:
                with board.device() as device:
                    upscaled(device, artifact, source)
                done.append((number, "right bytes"))
            except DeviceError as error:
                done.append((number, one_sentence(error)))

    def holder() -> None:
        time.sleep(CLIENTS * 0.02 + 0.5)
        began.append(time.monotonic())
        first.close()

    with scene.place("other").entered(), first:
        first.facts()
        together([holder, *(partial(client, number) for number in range(CLIENTS))], 60)
    return done, time.monotonic() - began[0]
