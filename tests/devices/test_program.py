"""The host program itself, built for this machine: what it does with requests and files that nobody should send."""

from __future__ import annotations

import os
import struct
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.artifact import fake_reference
from tests.artifact.test_sanitizers import compiler
from tests.devices.test_child import alive
from tvmsr.artifact.link import INCLUDE
from tvmsr.devices import program
from tvmsr.devices.child import Child
from tvmsr.devices.hosted import Connection, HostedRunner
from tvmsr.devices.runner import Opening
from tvmsr.devices.wire import HEADER, MAGIC, Command, Kind, text, u32
from tvmsr.errors import DeviceError, StatusError, UsageError


@pytest.fixture(scope="module", params=["as it is", "with sanitizers"])
def host(request, triple, tmp_path_factory) -> Path:
    if request.param == "as it is":
        return program.host_program(triple)
    made = tmp_path_factory.mktemp("host") / "host"
    flags = ["-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined"]
    command = [compiler(), *flags, "-fno-sanitize-recover=all", f"-I{INCLUDE}", *program.sources(), "-pthread", "-ldl"]
    done = subprocess.run([*command, "-o", made], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return made


def test_built_once(triple):
    host = program.host_program(triple)
    before = host.stat().st_mtime_ns
    assert program.host_program(triple) == host and host.stat().st_mtime_ns == before


def test_other_systems(triple):
    with pytest.raises(DeviceError, match="aarch64-macos"):
        program.host_program("aarch64-macos")


def test_the_same_bytes(host, fake):
    image = np.random.default_rng(0).integers(0, 256, (33, 47, 3), np.uint8)
    with HostedRunner(Connection(Child([str(host)], "a child")), fake, {}) as runner:
        np.testing.assert_array_equal(runner.upscale(image), fake_reference.upscale(image))


def test_choices(host, fake):
    """Forced when it is opened and later; the picture's own again; numbers and names that there are none of."""
    image = np.random.default_rng(0).integers(0, 256, (33, 47, 3), np.uint8)
    with HostedRunner(Connection(Child([str(host)], "a child")), fake, {}, Opening(choice="a6")) as runner:
        for choice, forced in ((1, None), (0, 0), (1, 1)):
            if forced is not None:
                runner.force_choice(forced)
            np.testing.assert_array_equal(runner.upscale(image), fake_reference.upscale(image, choice))
            assert runner.last().choice == choice
            assert runner.last().tiles == tuple(int(number == choice) for number in range(2))
        runner.force_choice(None)
        runner.upscale(image)
        assert runner.last().choice == 0
        with pytest.raises(StatusError, match="choice 7; the file has 2"):
            runner.force_choice(7)
    with pytest.raises(UsageError, match="no bit choice 'a4' in this file; it has a8, a6, and auto"):
        HostedRunner(Connection(Child([str(host)], "a child")), fake, {}, Opening(choice="a4"))


def test_a_program_older_than_choices(host, fake, monkeypatch):
    commands = {command.name: command for command in Command} | {"FORCE_CHOICE": 99}
    monkeypatch.setattr("tvmsr.devices.hosted.Command", SimpleNamespace(**commands))
    with pytest.raises(DeviceError, match="a child: its program is of an earlier tvmsr, which cannot force"):
        HostedRunner(Connection(Child([str(host)], "a child")), fake, {}, Opening(choice="a6"))


def test_memory(triple, fake):
    command = [str(program.host_program(triple))]  # sanitizers reserve terabytes
    with HostedRunner(Connection(Child(command, "a child")), fake, {}) as runner:
        before = runner.memory()
        runner.upscale(np.zeros((700, 1000, 3), np.uint8))
        memory = runner.memory()
        assert 0 < memory.resident <= memory.peak
        least = 700 * 1000 * 3 * 4  # the result; it stays until the next reply
        assert memory.resident - before.resident > least and memory.mapped - before.mapped > least
        # Pages of files in the page cache that this process has not touched count in one and not in the other.
        assert memory.mapped >= memory.resident * 0.8


def requests(host: Path, *frames: bytes) -> tuple[int, list[tuple[int, bytes]], str]:
    """Send frames and the end of the stream; the exit code, the replies (code, payload) and the standard error."""
    done = subprocess.run([host], input=b"".join(frames), capture_output=True, timeout=60, check=False)
    replies, at = [], 0
    while at < len(done.stdout):
        magic, kind, code, _, length = HEADER.unpack_from(done.stdout, at)
        assert magic == MAGIC
        if kind == Kind.REPLY:
            replies.append((code, done.stdout[at + HEADER.size : at + HEADER.size + length]))
        at += HEADER.size + length
    return done.returncode, replies, done.stderr.decode()


def frame(code: int, payload: bytes = b"", *, kind: int = Kind.REQUEST, magic: int = MAGIC, length: int = -1) -> bytes:
    return HEADER.pack(magic, kind, code, 1, len(payload) if length < 0 else length) + payload


@pytest.mark.parametrize(
    "bad", [frame(1, magic=5), frame(1, kind=2), frame(1, length=1 << 40), b"GET / HTTP/1.1\r\n" * 4]
)
def test_no_request(host, bad):
    code, replies, words = requests(host, frame(1, u32(1)), bad)
    assert code == 2 and len(replies) == 1 and "no request" in words


@pytest.mark.parametrize("tail", [b"", frame(1)[:7], frame(1, b"xx", length=100)])
def test_the_end_of_the_stream_ends_it(host, tail):
    code, replies, words = requests(host, frame(1, u32(1)), tail)
    assert (code, len(replies), words) == (0, 1, "")


def load_request(path: Path, prefix: str = "tvmsr") -> bytes:
    return frame(Command.LOAD, text(str(path)) + text(prefix) + text(""))


def open_request() -> bytes:
    return frame(Command.OPEN, u32(1, 0, 0, 0, 0) + text(""))


def test_requests_in_the_wrong_order(host, fake):
    _, replies, _ = requests(
        host,
        frame(99),
        frame(0),
        frame(Command.LAST),
        open_request(),
        load_request(fake),
        load_request(fake),
        frame(Command.UPSCALE, u32(2, 1, 1) + bytes(3)),
        open_request(),
        open_request(),
        frame(Command.CLOSE),
        frame(Command.CLOSE),
        frame(Command.LAST),
    )
    assert [code for code, _ in replies] == [100, 100, 102, 102, 0, 100, 102, 0, 100, 0, 0, 102]


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"", 100),
        (u32(2, 1, 1), 100),
        (u32(2, 1, 1) + bytes(2), 100),
        (u32(2, 1, 1) + bytes(4), 100),
        (u32(7, 1, 1) + bytes(3), 100),
        (u32(2, 0, 1), 100),
        (u32(2, 0xFFFFFFFF, 0xFFFFFFFF), 3),
        (u32(2, 0x40000000, 2) + bytes(3), 3),
        (u32(1, 0x3FFFFFFF, 1) + bytes(1), 3),
        (u32(2, 20000, 20000) + bytes(3), 3),
        (u32(2, 100, 100) + bytes(3), 100),
        (u32(2, 1, 1) + bytes(3), 0),
    ],
)
def test_pictures_that_are_none(host, fake, payload, code):
    _, replies, _ = requests(host, load_request(fake), open_request(), frame(Command.UPSCALE, payload))
    assert replies[2][0] == code


@pytest.mark.parametrize(
    "payload", [b"", u32(5) + b"abc", u32(0xFFFFFFFF), text("a\0b") + text("tvmsr"), text("x" * 5000)]
)
def test_no_path(host, payload):
    _, replies, _ = requests(host, frame(Command.LOAD, payload))
    assert replies[0][0] == 100


def patched(fake: Path, at: int, layout: str, value: int) -> bytes:
    raw = bytearray(fake.read_bytes())
    struct.pack_into(layout, raw, at, value)
    return bytes(raw)


FILES = {
    "empty": (lambda _: b"", "no ELF"),
    "text": (lambda _: b"#!/bin/sh\n" * 10, "no ELF"),
    "head": (lambda f: f.read_bytes()[:40], "cut short"),
    "half": (lambda f: f.read_bytes()[: f.stat().st_size // 2], "cut short"),
    "end": (lambda f: f.read_bytes()[:-1], "cut short"),
    "machine": (lambda f: patched(f, 18, "<H", 243), "CPU family 243"),
    "class": (lambda f: patched(f, 4, "<B", 1), "word size"),
    "order": (lambda f: patched(f, 5, "<B", 2), "big-endian"),
    "kind": (lambda f: patched(f, 16, "<H", 2), "no shared library"),
    "programs": (lambda f: patched(f, 32, "<Q", 2**64 - 8), "cut short"),
    "many programs": (lambda f: patched(f, 56, "<H", 0xFFFF), "program headers|segment"),
    "sections": (lambda f: patched(f, 40, "<Q", 2**63), "cut short"),
}


@pytest.mark.parametrize("name", list(FILES))
def test_files_that_are_no_artifacts(host, fake, name, tmp_path):
    make, words = FILES[name]
    path = tmp_path / "bad.so"
    path.write_bytes(make(fake))
    code, replies, _ = requests(host, load_request(path), frame(1, u32(1)))
    assert code == 0 and replies[0][0] == 101 and replies[1][0] == 0
    assert any(word in replies[0][1].decode() for word in words.split("|")), replies[0][1]


def test_no_file_and_another_prefix(host, fake, tmp_path):
    for path, prefix, words in (
        (tmp_path, "tvmsr", "regular"),
        (tmp_path / "no", "tvmsr", "read"),
        (fake, "imdn", "imdn_"),
    ):
        _, replies, _ = requests(host, load_request(path, prefix))
        assert replies[0][0] == 101 and words in replies[0][1].decode()


def test_ends_when_the_client_dies_while_it_works(host, fake):
    """The client is gone, a large picture is under way: the next sign of life finds nobody to hear it."""
    height, width = 3000, 3000
    child = subprocess.Popen([host], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin and child.stdout
    child.stdin.write(load_request(fake) + open_request())
    child.stdin.write(frame(Command.UPSCALE, u32(2, width, height) + bytes(3 * width * height)))
    child.stdin.close()
    child.stdout.close()
    until = time.monotonic() + 60
    while child.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert child.returncode == 0 and not alive(child.pid)


def test_ends_when_the_client_dies_while_it_waits(host):
    read, write = os.pipe()
    child = subprocess.Popen([host], stdin=read, stdout=subprocess.DEVNULL)
    os.close(read)
    os.close(write)
    assert child.wait(30) == 0
