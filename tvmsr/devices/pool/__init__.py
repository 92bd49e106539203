"""Work on pictures spread over several devices. docs/devices.md."""

from __future__ import annotations

from tvmsr.devices.pool.job import BrokenPicturesError, Job, PiecewiseJob, Run, Share, Spread, unreadable
from tvmsr.devices.pool.limits import Limits
from tvmsr.devices.pool.pool import spread
from tvmsr.devices.pool.together import opened_devices, together

__all__ = [
    "BrokenPicturesError",
    "Job",
    "Limits",
    "PiecewiseJob",
    "Run",
    "Share",
    "Spread",
    "opened_devices",
    "spread",
    "together",
    "unreadable",
]
