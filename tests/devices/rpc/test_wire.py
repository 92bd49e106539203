"""Values of TVM's RPC as bytes."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvmsr.devices.rpc.wire import Code, Handle, ModuleHandle, call_packet, packet, read_result, read_sequence, sequence
from tvmsr.devices.wire import GarbageError

INT64 = st.integers(-(2**63), 2**63 - 1)
VALUES = st.lists(
    st.none() | st.booleans() | INT64 | st.floats(allow_nan=False) | st.text(max_size=9) | st.binary(max_size=40)
    | st.builds(Handle, st.integers(0, 2**64 - 1)),
    max_size=6,
)  # fmt: skip


@given(VALUES)
def test_what_is_written_is_read(values):
    raw = b"".join(bytes(part) for part in sequence(tuple(values)))
    assert [bytes(v) if isinstance(v, memoryview) else v for v in read_sequence(memoryview(raw))] == values


@given(st.binary(max_size=200))
def test_any_bytes_are_values_or_garbage(raw):
    for read in (read_sequence, read_result):
        try:
            read(memoryview(raw))
        except GarbageError:
            continue


@given(VALUES.filter(bool), st.data())
def test_every_cut_is_found(values, data):
    raw = b"".join(bytes(part) for part in sequence(tuple(values)))
    at = data.draw(st.integers(0, len(raw) - 1))
    with pytest.raises(GarbageError):
        read_sequence(memoryview(raw)[:at])
    with pytest.raises(GarbageError, match="longer"):
        read_sequence(memoryview(raw + b"x"))


def test_packets_by_the_letter():
    raw = b"".join(bytes(part) for part in call_packet(Handle(7), ("ab", ModuleHandle(9))))
    content = struct.pack("<iQ", 3, 7) + struct.pack("<i", 2)
    content += struct.pack("<iQ", 8, 2) + b"ab" + struct.pack("<iQ", 73, 9)
    assert raw == struct.pack("<Q", len(content)) + content
    assert b"".join(bytes(part) for part in packet(Code.SHUTDOWN)) == struct.pack("<Qi", 4, 1)


def test_results():
    def result(kind, *values):
        return read_result(memoryview(b"".join(bytes(part) for part in sequence((kind, *values)))))

    assert result(73, Handle(5)) == ModuleHandle(5) and type(result(68, Handle(5))) is Handle
    assert result(0, None) is None and result(1, 5) == 5 and bytes(result(66, b"xy")) == b"xy"
    for nothing in ((), (None,), ("a", 1)):
        raw = b"".join(bytes(part) for part in sequence(nothing))
        with pytest.raises(GarbageError):
            read_result(memoryview(raw))
