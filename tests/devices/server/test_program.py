"""The servers with TVM's own Python client: what they serve, and what they cost."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tvm

import tvmsr
from tests.artifact import fake_reference
from tests.devices.server.conftest import ALL, BOTH, EVERY, PYTHON, SECONDS, Serve, program_for, wait_until
from tests.devices.server.stock import client, last_line, tripling
from tvmsr.devices.program import agent_key

psutil = pytest.importorskip("psutil", reason="needs psutil: pip install psutil")


@pytest.mark.parametrize("kind", EVERY)
def test_artifact(
    kind: str, serve: Serve, emulated_fake: Callable[[str], Path], request: pytest.FixtureRequest
) -> None:
    program_for(kind)
    path = request.getfixturevalue("fake") if kind in BOTH else emulated_fake(kind)
    picture = np.random.default_rng(1).integers(0, 256, (9, 14, 3), np.uint8)
    server = serve(kind=kind)
    with client(server.port) as remote:
        remote.upload(str(path), "sr.so")
        module = remote.load_module("sr.so")
        source = tvm.runtime.tensor(picture, device=remote.cpu())
        result = tvm.runtime.tensor(np.zeros((18, 28, 3), np.uint8), device=remote.cpu())
        module["sr_upscale"](source, result)
        assert np.array_equal(result.numpy(), fake_reference.upscale(picture))
        times = module.time_evaluator("sr_upscale", remote.cpu(), number=2, repeat=3)(source, result)
        assert len(times.results) == 3 and all(t > 0 for t in times.results)
    wait_until(server.idle)


@pytest.mark.parametrize("kind", EVERY)
def test_compiled_kernels(kind: str, serve: Serve, tmp_path: Path) -> None:
    """What TVM compiles finds the thread pool and the error functions of the server."""
    library = tripling(program_for(kind), tmp_path)
    with client(serve(kind=kind).port) as remote:
        remote.upload(str(library))
        module = remote.load_module("triple.so")
        values = np.arange(1000, dtype="float32")
        a = tvm.runtime.tensor(values, device=remote.cpu())
        b = tvm.runtime.tensor(np.zeros_like(values), device=remote.cpu())
        module["main"](a, b)
        assert np.array_equal(b.numpy(), values * 3)
        flushed = module.time_evaluator("main", remote.cpu(), number=1, repeat=2, cache_flush_bytes=1 << 20)(a, b)
        assert len(flushed.results) == 2
        with pytest.raises(Exception, match=r"shape|expect"):
            module["main"](tvm.runtime.tensor(values[:9], device=remote.cpu()), b)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "float16", "float32", "float64", "int32"])
@pytest.mark.parametrize("kind", BOTH)
def test_values_to_measure_with(serve: Serve, kind: str, dtype: str) -> None:
    with client(serve(kind=kind).port) as remote:
        tensor = tvm.runtime.tensor(np.zeros((4, 33), dtype), device=remote.cpu())
        remote.get_function("tvm.contrib.random.random_fill_for_measure")(tensor)
        values = tensor.numpy()
    assert len(np.unique(values)) > 5
    if values.dtype.kind == "f":
        assert values.min() >= 1 and values.max() <= 10


@pytest.mark.parametrize("kind", EVERY)
def test_it_says_its_version(kind: str, serve: Serve) -> None:
    with client(serve(kind=kind).port) as remote:
        name = "tvmsr device serve" if kind == "python" else "tvmsr-device"
        assert remote.get_function("tvmsr.version")() == f"{name} {tvmsr.__version__}"


@pytest.mark.parametrize("kind", ALL)
def test_agent_is_there(kind: str, serve: Serve) -> None:
    with client(serve(kind=kind).port) as remote:
        agent = remote.get_function(f"tvmsr.agent.{agent_key()}")
        reply = bytes(agent(struct.pack("<IIIQI", 1, 0, 1, 0, 500)))
        deadline = time.monotonic() + SECONDS
        while struct.unpack_from("<I", reply)[0] == 1 and time.monotonic() < deadline:
            reply = bytes(agent(struct.pack("<III", 3, 0, 500)))
        assert struct.unpack_from("<II", reply) == (2, 0)


@pytest.mark.parametrize("kind", BOTH)
def test_files(serve: Serve, kind: str) -> None:
    server = serve("--disk", "1", kind=kind)
    with client(server.port) as remote:
        workpath = remote.get_function("tvm.rpc.server.workpath")
        folder = Path(workpath(""))
        assert folder.parent == server.folder and folder.stat().st_mode & 0o777 == 0o700
        remote.upload(bytearray(b"one"), "a.bin")
        remote.upload(bytearray(b"two"), "b/c.bin")
        assert bytes(remote.download("a.bin")) == b"one" and (folder / "b" / "c.bin").read_bytes() == b"two"
        remote.upload(bytearray(b"three"), "a.bin")
        assert bytes(remote.download("a.bin")) == b"three"
        remote.remove("a.bin")
        assert not (folder / "a.bin").exists()
        with pytest.raises(Exception) as error:
            remote.upload(bytearray(1 << 20), "large.bin")
        assert "the files of a session are limited (--disk)" in last_line(error)
        assert not (folder / "large.bin").exists()
    wait_until(server.idle)


@pytest.mark.parametrize(
    "name", ["../x", "/tmp/x", "a/../../x", "a//x", "./x", "..", ".", "x/", "link", "dir/x", "n" * 300]
)
@pytest.mark.parametrize("kind", BOTH)
def test_names_stay_inside(serve: Serve, kind: str, name: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x").write_text("untouched")
    server = serve(kind=kind)
    with client(server.port) as remote:
        workpath = remote.get_function("tvm.rpc.server.workpath")
        folder = Path(workpath(""))
        (folder / "link").symlink_to(outside / "x")
        (folder / "dir").symlink_to(outside)
        for call in (remote.download, remote.load_module, workpath):
            with pytest.raises(Exception) as error:
                call(name)
            assert any(word in last_line(error) for word in ("names no file", "link", "directory", "too")), call
        if name != "link":
            with pytest.raises(tvm.error.RPCError):
                remote.upload(bytearray(b"changed"), name)
            with pytest.raises(tvm.error.RPCError):
                remote.remove(name)
        else:
            remote.upload(bytearray(b"changed"), name)  # a new file in the link's place
    wait_until(server.idle)
    assert (outside / "x").read_text() == "untouched"
    assert sorted(p.name for p in outside.iterdir()) == ["x"]


@pytest.mark.parametrize("kind", BOTH)
def test_bad_libraries(serve: Serve, kind: str, fake: Path, emulated_fake: Callable[[str], Path]) -> None:
    whole = fake.read_bytes()
    server = serve(kind=kind)
    with client(server.port) as remote:
        for name, content in (("garbage.so", os.urandom(5000)), ("cut.so", whole[: len(whole) // 2]), ("none.so", b"")):
            remote.upload(bytearray(content), name)
            with pytest.raises(Exception) as error:
                remote.load_module(name)
            assert name in last_line(error)
        remote.upload(str(emulated_fake("aarch64")), "other.so")
        with pytest.raises(Exception, match=r"other\.so"):
            remote.load_module("other.so")
        remote.upload(str(fake), "good.so")
        remote.load_module("good.so")["sr_upscale"]


@pytest.mark.parametrize("kind", BOTH)
def test_resident_memory(serve: Serve, kind: str) -> None:
    server = serve(kind=kind)
    time.sleep(0.3)
    assert psutil.Process(server.pid).memory_info().rss < 8 << 20
    assert sum(p.memory_info().rss for p in server.processes()) < (100 << 20 if kind == PYTHON else 1)


@pytest.mark.parametrize("kind", BOTH)
def test_session_is_confined(serve: Serve, kind: str) -> None:
    server = serve("--memory", "300", "--disk", "7", "--processes", "20", kind=kind)
    with client(server.port) as remote:
        process = server.session()
        assert process.rlimit(psutil.RLIMIT_DATA if kind == PYTHON else psutil.RLIMIT_AS) == (300 << 20, 300 << 20)
        assert process.rlimit(psutil.RLIMIT_FSIZE) == (7 << 20, 7 << 20)
        assert process.rlimit(psutil.RLIMIT_CORE) == (0, 0)
        assert process.rlimit(psutil.RLIMIT_NPROC)[1] < 20000
        assert os.getsid(process.pid) == os.getpgid(process.pid) == process.pid
        open_files = [str(entry.readlink()) for entry in Path(f"/proc/{process.pid}/fd").iterdir()]
        assert len({name for name in open_files if "socket" in name}) == 1
        with pytest.raises(Exception, match=r"alloc|memory|RPCError"):
            tvm.runtime.empty((1 << 30,), "uint8", remote.cpu())
        assert remote.get_function("tvm.rpc.server.workpath")("x")


@pytest.mark.parametrize("kind", BOTH)
def test_memory_that_a_machine_keeps(serve: Serve, kind: str) -> None:
    with client((server := serve(kind=kind)).port):
        limit = server.session().rlimit(psutil.RLIMIT_DATA if kind == PYTHON else psutil.RLIMIT_AS)[0]
    assert 0.75 < limit / psutil.virtual_memory().total < 0.85
