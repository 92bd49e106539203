"""What TVM's errors mean, in sentences."""

from __future__ import annotations

import re

#: Pattern of an error of the other side, and what it says to a user. Groups fill the places.
_MEANINGS: tuple[tuple[str, str], ...] = (
    (r"Your ([\d.]+)s session has expired", "its limit of {0} seconds for a session is up"),
    (r"the session's (\d+) s on the device are over", "its limit of {0} seconds for a session is up"),
    (r"a packet of the session stood still for (\d+) s",
     "nothing of a packet moved for {0} seconds; it gave the session up"),
    (r"the session was idle for (\d+) s", "it was asked for nothing for {0} seconds, and gave the session up"),
    (r"protocol version mismatch.*server protocol=([\w.]+)", "it speaks version {0} of TVM's RPC, and this is 0.8.0"),
    (r"(?:wrong ELF class|invalid ELF header|file too short|Exec format error|cannot open shared object).*",
     "the library cannot be loaded there: {whole}"),
    (r"version `([\w.]+)' not found", "its C library is older than the file needs ({0})"),
    (r"code == (?:RPCCode::)?kReturn",
     "the session ended in the middle of a call: it ran out of time or memory, or crashed"),
    (r"Cannot found remote function ([\w.]+)", "it has no function {0}: it is not a server that artifacts can run on"),
    (r"bad_alloc|[Oo]ut of memory", "it is out of memory"),
    (r"No space left on device", "its disk is full"),
    (r"File too large", "the file is larger than its limit allows"),
)  # fmt: skip

_LONGEST = 300


def meaning(text: str) -> str:
    """One sentence for an error text of TVM: what it means where that is known, else its last line."""
    for pattern, sentence in _MEANINGS:
        found = re.search(pattern, text)
        if found:
            return sentence.format(*found.groups(), whole=found.group(0).strip()[:_LONGEST])
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return lines[-1][:_LONGEST] if lines else "it reported an error without a text"
