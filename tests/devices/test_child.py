"""A host program that dies, hangs, or answers nonsense: one error that says so, and nothing left running."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from tvmsr.devices.child import Child
from tvmsr.devices.hosted import Connection, HostedRunner
from tvmsr.devices.wire import HEADER, MAGIC, VERSION, Command, Kind, text, u32, u64
from tvmsr.errors import DeviceError, WorkError

HELLO = (
    u32(VERSION) + text("aarch64") + text("Linux") + text("glibc 2.36") + u64(2) + u64(0) + u32(4, 4096) + u64(1 << 32)
)
INFO = u32(1, 2, 0, 1, 1, 5) + u32(1) + text("neon") + u32(1) + u32(1) + text("a8")

#: What every fake begins with: how to read a request and to send a frame.
TOOLS = f"""
import os, struct, sys, time
HELLO, INFO = {HELLO!r}, {INFO!r}
def request():
    magic, kind, code, serial, length = struct.unpack("<4IQ", sys.stdin.buffer.read(24))
    return code, serial, sys.stdin.buffer.read(length)
def send(kind, code, serial, payload=b"", length=None, magic={MAGIC}):
    head = struct.pack("<4IQ", magic, kind, code, serial, len(payload) if length is None else length)
    os.write(1, head + payload)
def serve(**answers):
    while True:
        code, serial, payload = request()
        send(2, 0, serial, {{1: HELLO, 2: INFO, **{{int(k[1:]): v for k, v in answers.items()}}}}.get(code, b""))
"""


def fake(script: str) -> list[str]:
    return [sys.executable, "-S", "-c", TOOLS + textwrap.dedent(script)]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("sys.stderr.write('first\\nno such thing\\n'); sys.exit(7)", "exit code 7.*: no such thing"),
        (
            "request(); sys.stderr.write('qemu: bad opcode'); sys.stderr.flush(); os.kill(os.getpid(), 4)",
            "SIGILL.*opcode",
        ),
        ("time.sleep(60)", "said nothing for 0.5 seconds"),
        ("request(); time.sleep(60)", "said nothing for 0.5 seconds"),
        ("code, serial, _ = request(); send(2, 0, serial, HELLO, magic=7); time.sleep(60)", "no answer"),
        ("print('Segmentation fault, perhaps', flush=True); time.sleep(60)", "no answer"),
        ("code, serial, _ = request(); send(2, 0, serial + 1, HELLO); time.sleep(60)", "another request"),
        ("code, serial, _ = request(); send(2, 0, serial, HELLO[:-1]); time.sleep(60)", "cut short"),
        ("code, serial, _ = request(); send(2, 0, serial, HELLO + b'x'); time.sleep(60)", "longer than it should"),
        ("code, serial, _ = request(); send(2, 0, serial, length=1 << 29); time.sleep(60)", "announced an answer of"),
        ("code, serial, _ = request(); send(2, 0, serial, length=1 << 62); time.sleep(60)", "announced an answer of"),
        ("code, serial, _ = request(); send(9, 0, serial); time.sleep(60)", "no answer"),
        ("code, serial, _ = request(); send(2, 0, serial, b'\\x09' + HELLO[1:]); time.sleep(60)", "version 9"),
        ("code, serial, _ = request(); send(2, 0, serial, HELLO, length=len(HELLO) + 9); sys.exit(0)", "ended"),
        ("code, serial, _ = request(); send(2, 100, serial, b'not understood'); time.sleep(60)", "not understood"),
    ],
)
def test_faults(script, words):
    started = time.monotonic()
    with pytest.raises(DeviceError, match=f"(?s)a fake: .*{words}") as error:
        Connection(Child(fake(script), "a fake", silence=0.5 if "nothing" in words else 30))
    assert "\n" not in str(error.value)
    assert time.monotonic() - started < 15


def test_signs_of_life_count():
    script = """
        code, serial, _ = request()
        for i in range(6):
            time.sleep(0.3)
            send(4 if i % 2 else 3, 0, serial, b"" if i % 2 else bytes(16))
        send(2, 0, serial, HELLO)
        request()
    """
    with Connection(Child(fake(script), "a fake", silence=1.0)) as connection:
        assert connection.facts.features == {"neon"} and connection.facts.cores == 4


def test_a_host_that_does_not_read(tmp_path):
    """A picture larger than a pipe holds, to a process that never takes it."""
    script = "code, serial, _ = request(); send(2, 0, serial, HELLO); time.sleep(60)"
    connection = Connection(Child(fake(script), "a fake", silence=0.5))
    with pytest.raises(DeviceError, match="said nothing"):
        connection.request(Command.UPSCALE, bytes(1 << 22))
    assert not alive(connection.link.pid)
    with pytest.raises(DeviceError, match="closed"):
        connection.request(Command.LAST)


def runner(script: str) -> HostedRunner:
    return HostedRunner(Connection(Child(fake(script), "a fake", silence=20)), Path("sr.so"), {"levels": []})


def test_a_picture_of_the_wrong_size():
    with runner("serve(_4=bytes(11))") as short, pytest.raises(DeviceError, match="11 bytes in the place of 12"):
        short.upscale(np.zeros((1, 1, 3), np.uint8))


def test_counts_that_are_not_there():
    pixel = np.zeros((1, 1, 3), np.uint8)
    script = "serve(_4=bytes(12), _10=struct.pack('<I', 1 << 31), _8=struct.pack('<I', 3))"
    for ask in (HostedRunner.traced, HostedRunner.profiled):
        with runner(script) as one, pytest.raises(DeviceError, match="cut short"):
            ask(one, pixel)


def test_cancelling_ends_the_process():
    script = """
        while True:
            code, serial, payload = request()
            send(3, 0, serial, struct.pack("<2q", 5, 10))
            send(2, 0, serial, {1: HELLO, 2: INFO, 4: bytes(12)}.get(code, b""))
    """
    seen = []
    with runner(script) as one:
        pid = one.link.pid
        with pytest.raises(WorkError, match="cancelled"):
            one.upscale(np.zeros((1, 1, 3), np.uint8), lambda done, total: seen.append((done, total)) or True)
        assert not alive(pid)
    assert seen == [(5, 10)]


def test_an_exception_ends_the_process():
    pids = []
    with pytest.raises(ZeroDivisionError), runner("serve()") as one:
        pids.append(one.link.pid)
        raise ZeroDivisionError
    assert not alive(pids[0])


def test_interrupted_while_it_waits(tmp_path):
    """Ctrl-C during a call: the child, which the signal does not reach, and what it started are gone."""
    note = tmp_path / "pids"
    host = f"""
        import subprocess
        code, serial, _ = request()
        send(2, 0, serial, HELLO)
        other = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"])
        open({str(note)!r} + ".new", "w").write(f"{{os.getpid()}} {{other.pid}}")
        os.rename({str(note)!r} + ".new", {str(note)!r})
        time.sleep(60)
    """
    program = f"""
import signal
from tvmsr.devices.child import Child
from tvmsr.devices.hosted import Connection
from tvmsr.devices.wire import Command
signal.signal(signal.SIGINT, signal.default_int_handler)
connection = Connection(Child({fake(host)!r}, "a fake"))
try:
    connection.request(Command.LAST)
except KeyboardInterrupt:
    print("interrupted")
"""
    client = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    until = time.monotonic() + 30
    while not note.exists():
        assert time.monotonic() < until
        time.sleep(0.05)
    time.sleep(0.2)
    client.send_signal(signal.SIGINT)
    assert client.communicate(timeout=30)[0] == "interrupted\n"
    child, other = map(int, note.read_text().split())
    assert not alive(child)
    until = time.monotonic() + 10
    while alive(other) and "Z" not in Path(f"/proc/{other}/stat").read_text().split()[2]:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_forgotten_children_end():
    connection = Connection(Child(fake("serve()"), "a fake", silence=20))
    pid = connection.link.pid
    del connection
    gc.collect()
    assert not alive(pid)


def test_a_command_that_is_not_there():
    with pytest.raises(DeviceError, match="cannot run"):
        Child(["/no/such/program"], "a fake")


def test_much_on_standard_error_blocks_nobody():
    script = "sys.stderr.write('x' * (1 << 22) + '\\nlast line\\n'); sys.stderr.flush(); serve()"
    with (
        Connection(Child(fake(script), "a fake", silence=20)) as connection,
        pytest.raises(DeviceError, match=r": last line$"),
    ):
        connection.link.fail("stopped")


def test_header_of_a_frame():
    assert HEADER.size == 24 and Kind.ALIVE == 4
