"""Where artifacts run: this process; later emulators and devices over RPC."""

from __future__ import annotations

from tvmsr.devices.runner import HereRunner, Runner, Speed

__all__ = ["HereRunner", "Runner", "Speed"]
