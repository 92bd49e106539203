"""Runs artifacts through their C ABI. Needs numpy only."""

from __future__ import annotations

from tvmsr.runtime.session import ArtifactInfo, LastRun, Session, StepTime, load, usable_levels

__all__ = ["ArtifactInfo", "LastRun", "Session", "StepTime", "load", "usable_levels"]
