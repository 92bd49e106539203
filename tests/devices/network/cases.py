"""What is done to devices, and the limits of what may come of it.

The tests check them; benchmarks/device_failures.py prints how it went.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tests.devices.network.crowds import (
    fifty_clients,
    full_queue,
    random_at_the_door,
    random_packets,
    slow_handshakes,
    slow_packet,
)
from tests.devices.network.failing import (
    client_killed,
    far_away,
    hiccup,
    link_cut,
    server_ended,
    server_killed,
    server_restarted,
    signalled,
    time_is_up,
    two_at_once,
)
from tests.devices.network.farm import tracker_restarted
from tests.devices.network.libraries import bad_libraries, library_that_crashes, library_that_stays
from tests.devices.network.limits import LOST, NEXT, SPARE
from tests.devices.network.scene import NATIVE, Ending, Scene
from tvmsr.devices.reach.sockets import SILENCE


@dataclass(frozen=True)
class Case:
    """came: pattern of the outcome. known, served: most seconds of what Ending says."""

    title: str
    run: Callable[[Scene], Ending]
    came: str
    known: float | None = None
    served: float | None = None
    links: bool = False
    architecture: str = NATIVE

    def check(self, ending: Ending) -> None:
        assert re.search(self.came, ending.came), ending
        for limit, seconds in ((self.known, ending.known), (self.served, ending.served)):
            assert limit is None or (seconds is not None and seconds <= limit), ending


_SILENT = rf"said nothing for {SILENCE:g} seconds"
_KILLED, _FROZEN = partial(signalled, signal.SIGKILL), partial(signalled, signal.SIGSTOP)

_INTERRUPTED = (
    Case("link cut for 3 s in the middle", hiccup, "^right bytes", SILENCE, links=True),
    Case("link cut in the middle", link_cut, _SILENT, SILENCE + SPARE, LOST + NEXT + SPARE, links=True),
    Case("server killed in the middle, restarted", server_killed, "ended the connection", NEXT, NEXT),
    Case("server ended (SIGTERM) in the middle, restarted", server_ended, "server on the device was ended", NEXT, NEXT),
    Case("server restarted while its client is idle", server_restarted, "right bytes", NEXT),
    Case("session's process killed", _KILLED, "ended by signal 9", NEXT, NEXT),
    Case("session's process frozen (SIGSTOP)", _FROZEN, _SILENT, SILENCE + SPARE, SILENCE + NEXT + SPARE),
    Case(
        "session's time up in the middle (--session-time 2)", time_is_up, "its limit of 2 seconds", 2 + NEXT, 2 + NEXT
    ),
    Case("client killed in the middle", client_killed, "right bytes", served=NEXT),
)

_ABUSED = (
    Case("garbage, wrong-architecture and truncated libraries", bad_libraries, "each refused", NEXT, NEXT),
    Case("library that crashes when it is loaded", library_that_crashes, "ended by signal 11", NEXT, NEXT),
    Case("library that starts a daemon", library_that_stays, "ends with the session", NEXT, NEXT),
    Case("500 000 random frames without a token", random_at_the_door, "goes on", served=NEXT),
    Case("500 000 random packets with the token", random_packets, "goes on", served=NEXT),
    Case("200 slow-loris handshakes", slow_handshakes, "sent away", LOST, NEXT),
    Case("slow-loris packet with the token (--session-time 4)", slow_packet, "time is up", 4 + SPARE, 4 + NEXT),
    Case("50 clients wait in the queue", fifty_clients, "right bytes", served=60),
    Case("50 clients, room for 8 (--queue 8)", full_queue, "some served"),
)

_EMULATED = (
    Case("aarch64 (qemu): two devices at once", two_at_once, "^right bytes", links=True, architecture="aarch64"),
    Case("aarch64 (qemu): server killed, restarted", server_killed, "ended the", NEXT, NEXT, architecture="aarch64"),
    Case("armv7 (qemu): session's process killed", _KILLED, "ended by signal 9", NEXT, NEXT, architecture="arm"),
    Case("armv7 (qemu): client killed", client_killed, "right bytes", served=NEXT, architecture="arm"),
)

CASES = (
    Case("two devices at once", two_at_once, "^right bytes", links=True),
    Case("80 ms each way, 2 % loss", far_away, "^right bytes", known=60, links=True),
    *_INTERRUPTED,
    *_ABUSED,
    Case("tracker killed, restarted", tracker_restarted, "tracker", NEXT, 10 + SPARE, links=True),
    *_EMULATED,
)
