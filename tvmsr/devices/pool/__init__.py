"""Work on pictures spread over several devices. docs/devices.md."""

from __future__ import annotations

from tvmsr.devices.pool.job import Job, Share, Spread
from tvmsr.devices.pool.limits import Limits
from tvmsr.devices.pool.pool import spread
from tvmsr.devices.pool.together import opened_devices, together

__all__ = ["Job", "Limits", "Share", "Spread", "opened_devices", "spread", "together"]
