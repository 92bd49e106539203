"""`bench`: on made-up devices, on several at once, with energy and peers. Nothing depends on how long things take."""

from __future__ import annotations

import json
import re
import tempfile
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

import tvmsr
from tests.commands.boards import Board, Runner, times
from tests.commands.conftest import Made
from tests.devices import trees
from tests.devices.conftest import need_emulator
from tvmsr.cli.main import main
from tvmsr.commands.bench import bench_devices
from tvmsr.commands.benchmark.one import Wish, thread_counts
from tvmsr.commands.compile import Compiled
from tvmsr.devices import Opening, Speed
from tvmsr.errors import DeviceError, InputFileError, UsageError, WorkError
from tvmsr.imaging.picture import demo_picture


def test_speed() -> None:
    speed = Speed(8, 4, 2, tuple(map(float, range(10, 0, -1))))
    assert (speed.runs, speed.minimum, speed.median, speed.mean) == (10, 1.0, 5.5, 5.5)
    assert [speed.percentile(p) for p in (0, 1, 50, 90, 91, 99, 100)] == [1, 1, 5, 9, 10, 10, 10]
    assert Speed(8, 4, 2, (3.0,)).percentile(99) == 3.0


def test_amounts() -> None:
    wish = Wish((8, 8), (1,))
    assert wish.amount(emulated=False)[1:] == (5, 1.0) and wish.amount(emulated=True) == (1, 1, 0.0)
    assert Wish((8, 8), (1,), runs=7).amount(emulated=False) == (2, 7, 0.0)
    turns = {runs: Wish((8, 8), (1,), runs=runs).turns for runs in (None, 1, 4, 6)}
    assert turns == {None: (3, 3, 3), 1: (1,), 4: (1, 1, 2), 6: (2, 2, 2)}


def test_thread_counts(made: Made) -> None:
    assert thread_counts(2) == (2,) and thread_counts([1, 4]) == (1, 4)
    assert [t.threads for t in tvmsr.bench(made.artifact, width=8, height=8, threads=2, runs=1).timings] == [2]
    for threads in ((), 0, (1, 0)):
        with pytest.raises(UsageError, match="at least one count"):
            tvmsr.bench(made.artifact, threads=threads)
        with pytest.raises(UsageError, match="at least one count"):
            bench_devices(made.artifact, threads=threads, devices="here")


def test_a_handle_of_this_process(made: Made, tmp_path: Path) -> None:
    Image.fromarray(demo_picture()[:32, :32]).save(tmp_path / "a.png")
    with tvmsr.device("here") as here:
        assert here.bench(made.artifact, width=8, height=8, threads=1, runs=1).timings[0].memory == 0
        assert len(here.evaluate("default:x2", data=tmp_path).rows) == 1
        found = tvmsr.bench(made.artifact, width=8, height=8, threads=1, runs=1, device=here)
        assert (found.device, found.timings[0].memory) == ("here", 0)
        assert tvmsr.evaluate(made.artifact, data=tmp_path, device=[here]).rows
    with pytest.raises(UsageError, match="computed here; --device pi5 runs an artifact"):
        tvmsr.evaluate("default:x2", data=tmp_path, device=tvmsr.device(Board("pi5", [])))


def test_figures_of_a_board(made: Made) -> None:
    board = Board("pi5", [trees.pi5(), trees.pi5(celsius=60)])
    found = tvmsr.bench(made.artifact, width=24, height=16, threads=(1, 2), runs=10, layers=True, device=board)
    first = found.timings[0]
    assert (first.runs, first.minimum, first.median, first.p90, first.p99) == pytest.approx((10, 1.0, 5.5, 9.0, 10.0))
    assert first.mean == pytest.approx(5.5) and first.times == pytest.approx(tuple(range(1, 11)))
    assert [opening.threads for opening in board.opened] == [1, 2] and first.workspace > 0
    assert board.renewed == [0, 1] and [timing.memory for timing in found.timings] == [3 << 20] * 2
    assert sum(layer.share for layer in found.layers) == pytest.approx(1.0)
    assert found.notes == () and found.changes == ("cpu-thermal: 52 to 60 C",)
    assert found.before is not None and found.before.governors == ("performance",)
    data = json.loads(json.dumps(found.as_json()))
    assert data["before"]["clocks"][0]["top"] == 2400 and data["after"]["hottest"]["celsius"] == 60
    assert data["timings"][0]["joules"] is None and data["peer"] is None and data["target"] == ""


def test_doubtful_figures_say_so(made: Made) -> None:
    found = tvmsr.bench(made.artifact, width=24, height=16, threads=(1,), device=Board("pi4", [trees.hot_pi4()]))
    assert "voltage is too low" in found.notes[0] and "power supply" in found.notes[0]


def test_a_device_that_tells_nothing_is_doubted(made: Made) -> None:
    board = Board("mute", [])
    board.broken = "files"
    found = tvmsr.bench(made.artifact, width=24, height=16, threads=(1,), device=board)
    assert found.before is None and "does not tell how it is" in found.notes[0] and len(found.timings) == 1


def test_a_network_is_compiled_for_the_device(tmp_path: Path) -> None:
    need_emulator("arm")
    found = tvmsr.bench("default:x2", width=16, height=16, threads=(1,), device="qemu:arm")
    assert (found.target, found.level) == ("linux-armv7", "neon32") and found.artifact == "default:x2 for linux-armv7"
    assert "not of a CPU" in found.notes[0] and found.before is None and found.timings[0].memory > 0


def test_a_target_is_suggested_where_nobody_said_one(monkeypatch: pytest.MonkeyPatch) -> None:
    board = Board("found", [], target=None)
    board.tree = trees.server()
    asked = []
    monkeypatch.setattr("tvmsr.commands.compile.compile", lambda *_, **how: asked.append(how["target"]) or _stop())
    with pytest.raises(DeviceError, match="enough"):
        tvmsr.bench("default:x2", device=board)
    with pytest.raises(DeviceError, match="enough"):
        tvmsr.bench("default:x2", device=board, target="x86-64")
    assert asked == ["x86-64-v3", "x86-64"]


def test_errors_of_a_compiled_network_name_the_network(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(Board):
        def open(self, artifact: str | Path, opening: Opening = Opening()) -> Runner:  # noqa: B008
            raise WorkError(f"{artifact}: {self.name} has no room for it")

    monkeypatch.setattr("tvmsr.commands.compile.compile", lambda *_, out, **__: replace(compiled, artifact=out))
    compiled = Compiled(made.artifact, (), "", "host", (), "8", 0, 0, 0.0, ())
    with pytest.raises(WorkError, match=r"^default:x2 for host: pi5 has no room for it$"):
        tvmsr.bench("default:x2", device=Full("pi5", []))
    with pytest.raises(WorkError, match=re.escape(f"{made.artifact}: pi5 has no room for it")):
        tvmsr.bench(made.artifact, device=Full("pi5", []))


def test_what_an_artifact_was_compiled_for_is_settled(made: Made, capfd) -> None:
    for options in ({"target": "x86-64"}, {"bits": "6"}):
        with pytest.raises(UsageError, match=r"is compiled already: --target and --bits are for a network"):
            tvmsr.bench(made.artifact, **options)
    assert main(["bench", str(made.artifact), "--target", "rpi5"]) == 2


def test_a_file_that_is_no_artifact_is_said_once(tmp_path: Path) -> None:
    for content in (None, b"nonsense", b"\x7fELF" + bytes(100)):
        if content is not None:
            (tmp_path / "sr.so").write_bytes(content)
        with pytest.raises(InputFileError, match=r"sr\.so"):
            bench_devices(tmp_path / "sr.so", devices=[Board("one", []), Board("two", [])])


def _stop() -> None:
    raise DeviceError("enough")


def test_several(made: Made) -> None:
    boards = [
        Board("one", [trees.pi5()]), Board("two", [trees.hot_pi4()]), Board("three", [trees.pi5()]),
    ]  # fmt: skip
    boards[0].broken = "open"
    done = []
    found = bench_devices(
        made.artifact, devices=boards, width=24, height=16, threads=(1, 2), progress=lambda *what: done.append(what)
    )
    assert [row.device for row in found.devices] == ["one", "two", "three"]
    assert str(found.devices[0].error) == "one: the cable is out" and found.devices[0].found is None
    assert [row.device for row in found.failed] == ["one"]
    assert [len(times(row.found)) for row in found.devices[1:] if row.found is not None] == [2, 2]
    assert done[0] == ("bench", 0, 6) and done[-1] == ("bench", 6, 6)
    rows = json.loads(json.dumps(found.as_json()))["devices"]
    assert rows[0] == {"device": "one", "error": "one: the cable is out"} and rows[1]["error"] is None
    assert [bool(row.get("notes")) for row in rows] == [False, True, False]


def test_devices_of_one_machine_take_turns(made: Made) -> None:
    inside, most, lock = [0], [0], threading.Lock()
    both = threading.Barrier(2)

    class Watched(Board):
        def open(self, artifact: str | Path, opening: Opening = Opening()) -> Runner:  # noqa: B008
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            if self.boot != "same":
                both.wait(60)  # passed only where both are at work together
            runner = super().open(artifact, opening)
            with lock:
                inside[0] -= 1
            return runner

    apart = [Watched("a", [trees.pi5()], "x"), Watched("b", [trees.pi5()], "y")]
    found = bench_devices(made.artifact, devices=apart, width=24, height=16, threads=(1,))
    assert not found.failed and most[0] == 2
    most[0] = 0
    together = [Watched(name, [trees.pi5()], "same") for name in "cdef"]
    found = bench_devices(made.artifact, devices=together, width=24, height=16, threads=(1,))
    assert not found.failed and most[0] == 1


def test_what_cannot_be_compiled_ends_all(tmp_path: Path) -> None:
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"nonsense")
    with pytest.raises(InputFileError):
        bench_devices(bad, devices=[Board("one", []), Board("two", [])])


def test_several_on_the_command_line(made: Made, capfd) -> None:
    need_emulator("aarch64")
    arguments = ["bench", str(made.artifact), "--size", "24x16", "--threads", "1", "--device", "here,qemu:aarch64"]
    assert main(arguments) == 4
    said = capfd.readouterr()
    assert "here" in said.out and "failed: " in said.out and "is AArch64 with Linux" in said.out
    assert main([*arguments, "--json"]) == 4
    rows = json.loads(capfd.readouterr().out)["devices"]
    assert [row["device"] for row in rows] == ["here", "qemu:aarch64:max"] and rows[0]["timings"]


def test_one_on_the_command_line(made: Made, capfd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tvmsr.devices.find_device", lambda _: Board("pi4", [trees.hot_pi4()]))
    assert main(["bench", str(made.artifact), "--size", "24x16", "--threads", "1", "--runs", "3", "--layers"]) == 0
    said = capfd.readouterr()
    assert "p99 ms" in said.out and "82 C (cpu-thermal)" in said.out and "governor ondemand" in said.out
    assert "throttled: the supply voltage is too low" in said.err


def test_peer_by_turns(made: Made, monkeypatch: pytest.MonkeyPatch, capfd) -> None:
    from tvmsr.evaluation import peers

    order: list[str] = []
    slower = [1.0]

    class FakePeer:
        runtime, version, difference = peers.PEERS["ort"], "1.2", 2e-6

        def times(self, threads: int, runs: int) -> tuple[float, ...]:
            order.append(f"peer {threads}, {runs}")
            return (0.006 * slower[0],) + (0.006,) * (runs - 1)

        def close(self) -> None:
            order.append("closed")

    monkeypatch.setattr(peers, "ready_peer", lambda *_: FakePeer())
    monkeypatch.setattr(peers, "check_place", lambda *_: None)
    bench = Runner.bench

    def spied(self: Runner, *size: int, **how) -> Speed:
        order.append("ours")
        return bench(self, *size, **how)

    monkeypatch.setattr(Runner, "bench", spied)
    board = Board("pi5", [trees.pi5()])
    found = tvmsr.bench(made.artifact, width=24, height=16, threads=(1,), device=board, peer="ort", model="default:x2")
    assert order == ["ours", *["ours", "peer 1, 3"] * 3, "closed"]
    assert found.peer is not None and (found.peer.runtime, found.peer.version) == ("ONNX Runtime", "1.2")
    (timing,) = found.peer.timings
    assert (timing.runs, timing.median, timing.ours, timing.ratio) == pytest.approx((9, 6.0, 2.0, 3.0))
    assert timing.doubt.startswith("theirs/ours on 1 threads is not to be trusted, as our runs took 1.00 to 3.00 ms")
    order.clear()
    monkeypatch.setattr(Runner, "bench", lambda *_, runs, **__: Speed(24, 16, 1, (0.002,) * runs))
    how = {"width": 24, "height": 16, "threads": 1, "device": board, "peer": "ort", "model": "default:x2", "runs": 4}
    found = tvmsr.bench(made.artifact, **how)
    assert order == ["peer 1, 1", "peer 1, 1", "peer 1, 2", "closed"]
    assert found.peer is not None and (found.peer.timings[0].runs, found.peer.timings[0].doubt) == (4, "")
    slower[0] = 2.5
    found = tvmsr.bench(made.artifact, **how)
    assert found.peer is not None and "as ONNX Runtime's runs took 6.00 to 15.00 ms" in found.peer.timings[0].doubt
    monkeypatch.setattr("tvmsr.devices.find_device", lambda _: Board("pi5", [trees.pi5()]))
    arguments = ["bench", str(made.artifact), "--size", "24x16", "--threads", "1", "--peer", "ort"]
    assert main([*arguments, "--model", "default:x2"]) == 0
    said = capfd.readouterr()
    assert "ONNX Runtime 1.2 on the same network" in said.out and "ONNX Runtime's runs took 6.00 to 15.00" in said.err


def test_peer_mistakes(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(UsageError, match="no such runtime; known are ort, ncnn"):
        tvmsr.bench(made.artifact, peer="tflite")
    with pytest.raises(UsageError, match="no float32 network in it: name it with --model"):
        tvmsr.bench(made.artifact, peer="ort")
    with pytest.raises(UsageError, match="--model names the network of an artifact for --peer"):
        tvmsr.bench(made.artifact, model="default:x2")
    with pytest.raises(UsageError, match="was not made from default:x4"):
        tvmsr.bench(made.artifact, peer="ort", model="default:x4")
    monkeypatch.setattr("tvmsr.commands.compile.compile", lambda *_, **__: pytest.fail("it was compiled first"))
    board = Board("pi5", [trees.pi5()])
    with pytest.raises(UsageError, match=r"needs a device that runs commands.*pi5 does not"):
        tvmsr.bench("default:x2", peer="ort", device=board, width=16, height=16)
    (row,) = bench_devices("default:x2", peer="ort", devices=[board], width=16, height=16).devices
    assert "pi5 does not" in str(row.error)
    assert not list(tmp_path.iterdir())
