"""The servers at TVM's own tracker."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.artifact import fake_reference
from tests.devices.server import handshake
from tests.devices.server.conftest import EVERY, SECONDS, Serve, Server, program_for, wait_until
from tests.devices.server.stock import rpc, tripling
from tvmsr.devices.reach.tracked import Tracked
from tvmsr.devices.rpc.client import RpcSession
from tvmsr.devices.rpc.device import RpcDevice

HOST = "127.0.0.1"


@pytest.fixture(scope="module")
def tracker() -> Iterator[int]:
    """The port of one."""
    pytest.importorskip("tornado", reason="needs tornado: pip install tornado")
    from tvm.rpc.tracker import Tracker

    made = Tracker(host=HOST, port=9190, port_end=9290, silent=True)
    yield made.port
    made.terminate()


@dataclass
class Unused:
    """A place that somebody asked for and does not come to, and who waits for it meanwhile."""

    server: Server
    key: str
    next_one: Future[RpcSession]


@pytest.fixture(scope="module")
def unused(tracker: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Unused]:
    """Begun before the first test, as it takes ten seconds."""
    options = ("--tracker", f"{HOST}:{tracker}", "--key", "unused")
    server = Server(program_for("native"), tmp_path_factory.mktemp("unused"), *options)
    with ThreadPoolExecutor(1) as pool:
        _, _, key = _take(rpc.connect_tracker(HOST, tracker), "unused")
        yield Unused(server, key, pool.submit(Tracked(HOST, tracker, "unused").connect, "board"))
    server.close()


@pytest.fixture(autouse=True)
def begun(unused: Unused) -> None:
    """Any test begins it."""


def _take(link: Any, key: str) -> tuple[str, int, str]:
    """What the tracker gives to who asks: host, port and key of one client's place."""
    from tvm.rpc import base

    base.sendjson(link._sock, [base.TrackerCode.REQUEST, key, "", 1])
    code, given = base.recvjson(link._sock)
    assert code == base.TrackerCode.SUCCESS
    return tuple(given)


def _free(link: Any, key: str) -> int:
    return link.summary()["queue_info"].get(key, {"free": 0})["free"]


@pytest.mark.parametrize("kind", EVERY)
def test_tracker(kind: str, serve: Serve, tracker: int) -> None:
    server = serve("--tracker", f"{HOST}:{tracker}", "--key", f"board-{kind}", kind=kind)
    link = rpc.connect_tracker(HOST, tracker)
    for _ in range(3):
        remote = link.request(f"board-{kind}", session_timeout=20)
        assert remote.get_function("tvm.rpc.server.workpath")("")
        assert f"server:board-{kind}" in link.text_summary()
        remote.get_function("CloseRPCConnection")()
    with handshake.connect(server.port, f"client:board-{kind}") as made:
        assert handshake.code(made) == handshake.MISMATCH


@pytest.mark.parametrize("kind", EVERY)
def test_an_artifact_through_the_tracker(
    kind: str, serve: Serve, tracker: int, local_fake: Path, emulated_fake: Callable[[str], Path]
) -> None:
    """Registered, uploaded, run, byte-equal, profiled."""
    serve("--tracker", f"{HOST}:{tracker}", "--key", f"run-{kind}", kind=kind)
    artifact = emulated_fake(kind) if kind in ("aarch64", "arm") else local_fake
    image = np.random.default_rng(0).integers(0, 256, (33, 47, 3), np.uint8)
    with RpcDevice("board", Tracked(HOST, tracker, f"run-{kind}")) as device, device.open(artifact) as runner:
        np.testing.assert_array_equal(runner.upscale(image), fake_reference.upscale(image))
        assert [step.calls for step in runner.profiled(image)] and runner.last().seconds > 0
        assert device.facts().machine.startswith({"arm": "armv", "aarch64": "aarch64"}.get(kind, platform.machine()))


@pytest.mark.parametrize("options", [(), ("--trust-tracker",)])
def test_a_token_beside_the_tracker(options: tuple[str, ...], serve: Serve, tracker: int, tmp_path: Path) -> None:
    """A stock client has none: it comes in where the tracker is trusted; who has it comes in either way."""
    (tmp_path / "token").write_text("a-token-of-sixteen\n")
    (tmp_path / "token").chmod(0o600)
    key = f"secret{len(options)}"
    serve("--tracker", f"{HOST}:{tracker}", "--key", key, "--token-file", str(tmp_path / "token"), *options)
    link = rpc.connect_tracker(HOST, tracker)
    wait_until(lambda: _free(link, key) == 1)
    if options:
        link.request(key, session_timeout=20).get_function("CloseRPCConnection")()
    else:
        with pytest.raises(RuntimeError):
            link.request(key, max_retry=1)
    with RpcDevice("board", Tracked(HOST, tracker, key, str(tmp_path / "token"))) as device:
        assert device.facts().cores >= 1


def test_a_key_for_each_free_place(serve: Serve, tracker: int) -> None:
    """Three clients at once; a key is good once; a client that ends makes room for one more."""
    server = serve("--tracker", f"{HOST}:{tracker}", "--key", "three", "--sessions", "3")
    link = rpc.connect_tracker(HOST, tracker)
    wait_until(lambda: _free(link, "three") == 3)
    keys = [_take(link, "three")[2] for _ in range(3)]
    assert len(set(keys)) == 3 and _free(link, "three") == 0
    made = [handshake.connect(server.port, f"client:{key}") for key in reversed(keys)]
    for one in made:
        assert handshake.welcome(one) == "server:three"
    with handshake.connect(server.port, f"client:{keys[0]}") as again:
        assert handshake.code(again) == handshake.MISMATCH
    assert _free(link, "three") == 0
    made[1].close()
    wait_until(lambda: _free(link, "three") == 1)
    for one in made:
        one.close()
    wait_until(lambda: _free(link, "three") == 3)


def test_advertised_host(serve: Serve, tracker: int) -> None:
    server = serve("--tracker", f"{HOST}:{tracker}", "--key", "named", "--advertise", "board.example")
    link = rpc.connect_tracker(HOST, tracker)
    assert _take(link, "named")[:2] == ("board.example", server.port)
    addresses = [one["addr"] for one in link.summary()["server_info"] if one["key"] == "server:named"]
    assert addresses == [["board.example", server.port]]


def test_tracker_that_sends_clients_where_none_can_come(tmp_path: Path) -> None:
    command = [*program_for("native").command, "--listen", f"{HOST}:0", "--folder", tmp_path / "s", "--key", "k"]
    done = subprocess.run(
        [*command, "--tracker", "192.0.2.1:9190"], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 1 and "only this one reaches 127.0.0.1:0" in done.stderr
    assert not (tmp_path / "s").exists()
    with subprocess.Popen(
        [*command, "--tracker", "192.0.2.1:9190", "--advertise", "gate"], stdout=subprocess.PIPE, text=True
    ) as front:
        assert front.stdout is not None and front.stdout.readline().startswith("listening on ")
        front.terminate()
        assert front.wait(SECONDS) == 0


def test_tracker_that_comes_back(serve: Serve) -> None:
    pytest.importorskip("tornado", reason="needs tornado: pip install tornado")
    from tvm.rpc.tracker import Tracker

    first = Tracker(host=HOST, port=9300, port_end=9400, silent=True)
    serve("--tracker", f"{HOST}:{first.port}", "--key", "board")
    rpc.connect_tracker(HOST, first.port).request("board").get_function("CloseRPCConnection")()
    first.terminate()
    second = Tracker(host=HOST, port=first.port, port_end=first.port + 1, silent=True)
    try:
        remote = rpc.connect_tracker(HOST, second.port).request("board")
        assert remote.get_function("tvm.rpc.server.workpath")("")
        remote.get_function("CloseRPCConnection")()
    finally:
        second.terminate()


def test_metaschedule_measures(serve: Serve, tracker: int, tmp_path: Path) -> None:
    """TVM's tuner finds what it needs: the tracker's entry, a fill of random values, a timer, names that it removes."""
    from tvm.s_tir.meta_schedule import arg_info
    from tvm.s_tir.meta_schedule.runner import EvaluatorConfig, RPCConfig, RPCRunner, RunnerInput

    serve("--tracker", f"{HOST}:{tracker}", "--key", "tuned")
    library = tripling(program_for("native"), tmp_path)
    there = RPCConfig(tracker_host=HOST, tracker_port=tracker, tracker_key="tuned", session_timeout_sec=20)
    runner = RPCRunner(there, EvaluatorConfig(number=2, repeat=3, enable_cpu_cache_flush=True))
    asked = RunnerInput(str(library), "cpu", [arg_info.TensorInfo("float32", [1000])] * 2)
    (answer,) = runner.run([asked])
    result = answer.result()
    assert result.error_msg is None, result.error_msg
    assert len(result.run_secs) == 3


def test_tracker_key_that_nobody_uses(unused: Unused) -> None:
    """Who asks and does not come is not waited for: the next one gets a new key."""
    with unused.next_one.result(SECONDS) as session:
        assert session.call("tvm.rpc.server.workpath", "")
        with handshake.connect(unused.server.port, f"client:{unused.key}") as made:
            assert handshake.code(made) == handshake.MISMATCH
