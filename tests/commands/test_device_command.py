"""`tvmsr device` beside the ways that have tests of their own (tests/devices/reach): servers, emulators, mistakes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import tvmsr
from tests.devices.conftest import need_emulator
from tvmsr.cli.main import main
from tvmsr.commands.devices.limited import limited
from tvmsr.devices.registry import Registry
from tvmsr.errors import DeviceError, UsageError

TOKEN = "a-token-of-some-length-1234"


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TVMSR_CONFIG", str(tmp_path / "config"))
    monkeypatch.delenv("TVMSR_TOKEN", raising=False)
    return tmp_path / "config"


@dataclass(frozen=True)
class Served:
    port: int
    token: Path


@contextmanager
def serving(token: Path, *options: str) -> Iterator[Served]:
    """`tvmsr device serve` on this machine, with a key and a token."""
    token.write_text(TOKEN + "\n")
    token.chmod(0o600)
    options = ("--listen", "127.0.0.1:0", "--key", "here", "--token-file", str(token), *options)
    command = [sys.executable, "-m", "tvmsr.cli.main", "device", "serve", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.fullmatch(r"listening on 127\.0\.0\.1:(\d+)\n", line)
            assert found, line
            yield Served(int(found[1]), token)
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("served") / "token", "--session-time", "600") as made:
        yield made


def rpc(served: Served, *more: str) -> list[str]:
    return ["--rpc", f"127.0.0.1:{served.port}", "--key", "here", "--token-file", str(served.token), *more]


def test_a_server_is_added_listed_doctored_and_removed(served: Served, config: Path, capfd) -> None:
    assert main(["device", "add", "desk", *rpc(served, "--json")]) == 0
    added = json.loads(capfd.readouterr().out)
    assert added["machine"]["architecture"] == "x86_64" and added["device"]["target"].startswith("x86-64")
    assert TOKEN not in (config / "devices.json").read_text()
    assert main(["device", "list", "--json", "--check"]) == 0
    (listed,) = json.loads(capfd.readouterr().out)["devices"]
    assert listed["answers"] is True and listed["reach"]["port"] == served.port and listed["seen"]["triple"]
    assert main(["device", "list"]) == 0
    assert re.search(rf"desk +rpc 127\.0\.0\.1:{served.port} +x86-64", capfd.readouterr().out)
    # How the machine is now is nobody's promise: its governor, its load.
    assert main(["device", "doctor", "desk", "--json"]) in (0, 1)
    found = json.loads(capfd.readouterr().out)
    names = [check["name"] for check in found["checks"]]
    assert names[:5] == ["reachable", "session", "agent", "as it was added", "target"] and found["reached"]
    assert all(check["ok"] for check in found["checks"][:4]) and found["health"]["memory"] > 0
    details = {check["name"]: check["detail"] for check in found["checks"]}
    assert "features: " in details["agent"] and "none told" not in details["agent"]
    assert f"tvmsr device serve {tvmsr.__version__}, our agent is sent there" in details["session"]
    assert details["session"].endswith("TVM's RPC protocol 0.8.0")
    assert main(["device", "remove", "desk"]) == 0
    assert capfd.readouterr().out == "removed desk\n" and Registry().entries() == ()


def test_python(served: Served) -> None:
    added = tvmsr.add_device("desk", rpc=f"127.0.0.1:{served.port}", key="here", token_file=served.token)
    assert added.entry.name == "desk"
    with tvmsr.device("desk") as desk:
        assert desk.facts().machine == desk.machine().architecture == os.uname().machine
        assert desk.health().memory and repr(desk) == f"<device desk, target {added.entry.target}>"
        checks = desk.doctor().checks
        assert [check.name for check in checks][:3] == ["reachable", "session", "agent"]
    assert [one.entry.name for one in tvmsr.list_devices()] == ["desk"]
    assert tvmsr.remove_device("desk").name == "desk" and tvmsr.list_devices() == ()


def test_a_handle_keeps_its_connection(served: Served, made) -> None:
    tvmsr.add_device("desk", rpc=f"127.0.0.1:{served.port}", key="here", token_file=served.token)
    with tvmsr.device("desk") as desk:
        desk.facts()
        before = desk._where._agent.session
        assert desk.verify(made.artifact).device == "desk"
        assert desk._where._agent.session is before and not before.closed
        kept = desk.bench(made.artifact, width=2000, height=1000, threads=(1,), runs=1).timings[0].memory
        session = desk._where._agent.session
        assert before.closed and session is not before  # the peak of its memory is of bench alone
        small = desk.bench(made.artifact, width=32, height=24, threads=(1,), runs=1).timings[0].memory
        assert 0 < small < kept - (12 << 20)
    assert desk._where._agent is None


def test_power_is_sampled_while_an_artifact_is_at_work(served: Served, made, monkeypatch) -> None:
    from tvmsr.commands.benchmark import energy
    from tvmsr.devices.power import Power

    monkeypatch.setattr(energy, "SAMPLES", 2)
    monkeypatch.setattr(energy, "SETTLING", 0.0)
    monkeypatch.setattr(energy, "PERIOD", 0.01)
    monkeypatch.setattr(energy, "power_of", lambda files: Power(5.0, "made up"))
    tvmsr.add_device("desk", rpc=f"127.0.0.1:{served.port}", key="here", token_file=served.token)
    with tvmsr.device("desk") as desk, desk.open(made.artifact, threads=1) as runner:
        assert energy.watts_at_work(desk, runner, (1000, 1000), 0.1) == 5.0
        picture = np.zeros((8, 8, 3), np.uint8)
        assert runner.upscale(picture).shape == (16, 16, 3)  # what was cancelled left nothing behind
        assert energy.watts_at_work(desk, runner, (8, 8), 10.0) is None


@pytest.mark.parametrize("spoil", ["key", "token", "no token"])
def test_a_wrong_key_or_token(spoil: str, served: Served, tmp_path: Path, capfd) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text(TOKEN[::-1])
    arguments = {
        "key": ["--key", "there", "--token-file", str(served.token)],
        "token": ["--key", "here", "--token-file", str(wrong)],
        "no token": ["--key", "here"],
    }[spoil]
    assert main(["device", "add", "desk", "--rpc", f"127.0.0.1:{served.port}", *arguments]) == 4
    said = capfd.readouterr().err
    assert "desk: it refused the key or the token" in said and TOKEN not in said and len(said.splitlines()) == 1
    assert Registry().entries() == ()


def test_doctor_names_what_is_wrong(served: Served, capfd) -> None:
    """Another CPU than when it was added, a target that is none of its, a token that is gone, a server that is gone."""
    tvmsr.add_device("desk", rpc=f"127.0.0.1:{served.port}", key="here", token_file=served.token)
    (entry,) = Registry().entries()

    def verdict(change: dict[str, object], code: int) -> str:
        Registry().add(entry.model_copy(update=change), overwrite=True)
        assert main(["device", "doctor", "desk", "--json"]) == code
        return json.loads(capfd.readouterr().out)["verdict"]

    assert "target: arm is not for this device: it is x86_64, the target aarch64" in verdict({"target": "arm"}, 1)
    older = entry.seen.model_copy(update={"machine": "aarch64"})
    Registry().add(entry.model_copy(update={"seen": older}), overwrite=True)
    found = {check.name: check for check in tvmsr.doctor_device("desk").checks}
    assert found["as it was added"].ok is None and "CPU was aarch64 and is x86_64" in found["as it was added"].detail
    assert verdict({"token_file": None}, 4).startswith("session: it refused the key or the token")
    gone = entry.reach.model_copy(update={"port": 1})
    assert verdict({"reach": gone}, 4).startswith(
        "reachable: nothing listens on 127.0.0.1:1; start `tvmsr device serve`"
    )


def test_a_farm(tmp_path: Path, capfd) -> None:
    """A device that TVM's own tracker hands out."""
    pytest.importorskip("tornado", reason="needs tornado: pip install tornado")
    tracker = pytest.importorskip("tvm.rpc.tracker").Tracker(host="127.0.0.1", port=9190, port_end=9290, silent=True)
    try:
        place = f"127.0.0.1:{tracker.port}"
        with serving(tmp_path / "token", "--tracker", place) as made:
            farm = ["--tracker", place, "--key", "here", "--token-file", str(made.token)]
            assert main(["device", "add", "any", *farm]) == 0
            assert main(["device", "list", "--check"]) == 0
            assert re.search(rf"any +tracker {place}, key here .*answers in", capfd.readouterr().out)
            assert main(["device", "doctor", "any", "--json"]) in (0, 1)
            found = json.loads(capfd.readouterr().out)
            assert found["reached"] and "the tracker has 1 devices with the key" in found["checks"][0]["detail"]
        assert main(["device", "add", "none", "--tracker", place, "--key", "there", "--turn", "1"]) == 4
        capfd.readouterr()
        (entry,) = Registry().entries()
        other = entry.model_copy(update={"reach": entry.reach.model_copy(update={"key": "there"})})
        Registry().add(other, overwrite=True)
        assert main(["device", "doctor", "any"]) == 4
        assert f"the tracker {place} has no device with the key there" in capfd.readouterr().out
    finally:
        tracker.terminate()
    assert main(["device", "doctor", "any"]) == 4
    assert f"nothing listens on {place}; start `python -m tvm.exec.rpc_tracker`" in capfd.readouterr().out


def test_an_emulator_under_a_name(capfd) -> None:
    need_emulator("aarch64")
    need_emulator("arm")
    assert main(["device", "add", "a76", "--qemu", "cortex-a76"]) == 0
    assert main(["device", "add", "a7", "--qemu", "cortex-a7"]) == 0
    said = capfd.readouterr()
    assert "dotprod, fp16, neon" in said.out and "--target arm" in said.out and "--target linux-armv7" in said.out
    assert [one.reach.words for one in Registry().entries()] == ["qemu arm:cortex-a7", "qemu aarch64:cortex-a76"]
    assert main(["device", "doctor", "a76"]) == 0
    assert "nothing is wrong with a76" in capfd.readouterr().out
    assert main(["device", "add", "a76", "--qemu", "arm64:cortex-a53"]) == 2
    assert main(["device", "add", "a76", "--qemu", "arm64:cortex-a53", "--overwrite"]) == 0
    assert [one.reach.words for one in Registry().entries()][1] == "qemu aarch64:cortex-a53"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["add", "pi5"], 2, "how is it reached? Give one of --ssh, --adb, --rpc, --tracker, --qemu"),
        (["add", "pi5", "--ssh", "a", "--rpc", "b"], 2, "not --ssh and --rpc"),
        (["add", "here", "--ssh", "a"], 2, "here means something else already"),
        (["add", "a,b", "--ssh", "a"], 2, "a name is letters, digits"),
        (["add", "pi5", "--ssh", "-oProxyCommand=x"], 2, "expected [USER@]HOST"),
        (["add", "pi5", "--ssh", "a", "--ssh-option", "2222"], 2, "expected an option of ssh, each word by itself"),
        (["add", "pi5", "--rpc", "a", "--ssh-option", "-4"], 2, "--ssh-option is for --ssh, not for --rpc"),
        (["add", "pi5", "--ssh", "a", "--key", "k"], 2, "--key is for --rpc and --tracker"),
        (["add", "pi5", "--ssh", "a", "--token-file", "t"], 2, "--token-file is for --rpc and --tracker"),
        (["add", "pi5", "--rpc", "a:b"], 2, "expected HOST:PORT, for example"),
        (["add", "pi5", "--rpc", "a:70000"], 2, "expected HOST:PORT"),
        (["add", "pi5", "--rpc", "a", "--token-file", "missing"], 3, "cannot read the token file missing"),
        (["add", "pi5", "--tracker", "a"], 2, "--tracker needs --key"),
        (["add", "pi5", "--qemu", "z80"], 4, "no CPU model 'z80'"),
        (["add", "pi5", "--qemu", "mips:x"], 2, "expected [ARCH:]CPU"),
        (["add", "pi5", "--ssh", "a", "--target", "pi55"], 2, "no target 'pi55'"),
        (["add", "pi5", "--ssh", "a", "--turn", "0"], 2, "--turn 0"),
        (["remove", "pi5"], 2, "no device 'pi5' was added; there is none yet"),
        (["doctor", "pi5"], 2, "no device 'pi5' was added"),
        (["build"], 2, "one of --target and --triple"),
        (["build", "--target", "apple-silicon"], 2, "Linux and Android only"),
        (["build", "--target", "android-arm64"], 2, "--toolchain NDK/build/cmake/android.toolchain.cmake"),
        (["build", "--target", "arm", "--toolchain", "missing"], 2, "there is no such file"),
        (["build", "--target", "arm", "-o", "no/folder/x"], 2, "no/folder does not exist"),
        (["serve", "--trust-tracker"], 2, "--trust-tracker needs --tracker"),
        (["serve", "--token-file", "missing"], 3, "cannot read the token file missing"),
    ],
)
def test_mistakes(arguments: list[str], code: int, words: str, tmp_path: Path, monkeypatch, capfd) -> None:
    if "--qemu" in arguments:
        need_emulator("aarch64")
    monkeypatch.chdir(tmp_path)
    assert main(["device", *arguments]) == code
    said = capfd.readouterr().err
    assert words in said and len(said.splitlines()) == 1 and Registry().entries() == ()


def test_an_empty_list_says_how_to_begin(capfd) -> None:
    assert main(["device", "list"]) == 0
    assert "no device was added yet; `tvmsr device add" in capfd.readouterr().err
    assert main(["device", "list", "--json"]) == 0
    assert json.loads(capfd.readouterr().out) == {"devices": []}


def test_build(tmp_path: Path, capfd) -> None:
    out = tmp_path / "server"
    assert main(["device", "build", "--target", "rpi4", "-o", str(out), "--json"]) == 0
    built = json.loads(capfd.readouterr().out)
    assert built["triple"] == "aarch64-linux-gnu.2.17" and built["size"] == out.stat().st_size < 4 << 20
    assert out.read_bytes()[:4] == b"\x7fELF" and out.stat().st_mode & 0o100
    assert tvmsr.build_device(triple="aarch64-linux-gnu.2.17").path.read_bytes() == out.read_bytes()


def test_help_of_device_loads_nothing_heavy() -> None:
    code = "import sys\nfrom tvmsr.cli.main import main\nmain(['device', 'add', '--help'])\nprint(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(re.findall(r"'(\w+)'", done.stdout.splitlines()[-1]))
    assert not loaded & {"tvm", "torch", "onnx", "numpy"} and "typer" in loaded


def test_work_that_hangs_ends_with_its_limit(served: Served, tmp_path: Path) -> None:
    import socket
    import time

    from tvmsr.devices.reach import Direct
    from tvmsr.devices.reach.shell import run_client
    from tvmsr.devices.rpc.device import RpcDevice

    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and says nothing
        device = RpcDevice("mute", Direct("127.0.0.1", silent.getsockname()[1]))
        start = time.monotonic()
        with pytest.raises(DeviceError, match=r"it took longer than 0\.5 seconds"):
            limited(device.facts, 0.5, "it")
        assert time.monotonic() - start < 30

    def sleeping() -> None:
        run_client(["sh", "-c", f"echo $$ > {tmp_path}/pid; exec sleep 600"], "x", seconds=600)

    with pytest.raises(DeviceError, match=r"it took longer than 1 seconds"):
        limited(sleeping, 1.0, "it")
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    with pytest.raises(UsageError, match="mine"):
        limited(lambda: (_ for _ in ()).throw(UsageError("mine")), 5.0, "it")
