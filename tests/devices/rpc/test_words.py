"""What TVM's errors become for a user."""

from __future__ import annotations

import pytest

from tvmsr.devices.rpc.words import meaning


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            'Traceback (most recent call last):\n  File "rpc_endpoint.cc", line 1\n'
            "RPCError: Error caught from RPC call:\nCheck failed: (code == RPCCode::kReturn) is false: code=kShutdown",
            "the session ended in the middle of a call: it ran out of time or memory, or crashed",
        ),
        ("InternalError: Check failed: code == kReturn (4 vs. 3)", "the session ended in the middle of a call"),
        ("RPCSessionTimeoutError: Your 20s session has expired, please try again", "its limit of 20 seconds"),
        ("protocol version mismatch, server protocol=0.7.0, client protocol=0.8.0", "it speaks version 0.7.0 of TVM's"),
        (
            "OSError: a.so: wrong ELF class: ELFCLASS32",
            "the library cannot be loaded there: wrong ELF class: ELFCLASS32",
        ),
        (
            "/lib/libm.so.6: version `GLIBC_2.29' not found (required by a.so)",
            "its C library is older than the file needs (GLIBC_2.29)",
        ),
        ("Cannot found remote function tvm.rpc.server.x", "it has no function tvm.rpc.server.x"),
        ("std::bad_alloc", "it is out of memory"),
        ("fwrite: No space left on device", "its disk is full"),
        ("Traceback\n  somewhere\nValueError: shapes differ\n\n", "ValueError: shapes differ"),
        (" \n", "it reported an error without a text"),
    ],
)
def test_meaning(text: str, sentence: str) -> None:
    said = meaning(text)
    assert said.startswith(sentence) and "\n" not in said and "kReturn" not in said


def test_a_text_without_end_is_cut() -> None:
    assert len(meaning("x" * 10_000)) == 300
