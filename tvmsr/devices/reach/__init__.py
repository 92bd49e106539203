"""How a device is reached: each way ends in a session of TVM's RPC."""

from __future__ import annotations

from tvmsr.devices.reach.adb import Adb
from tvmsr.devices.reach.direct import Direct
from tvmsr.devices.reach.reach import Reach
from tvmsr.devices.reach.shell import Shell
from tvmsr.devices.reach.ssh import Ssh
from tvmsr.devices.reach.tracked import Tracked

__all__ = ["Adb", "Direct", "Reach", "Shell", "Ssh", "Tracked"]
