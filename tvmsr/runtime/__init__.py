"""Runs artifacts through their C ABI. Needs numpy only."""

from __future__ import annotations

from tvmsr.runtime.results import ArtifactInfo, LastRun, StepSum, StepTime
from tvmsr.runtime.session import Session, load, usable_levels

__all__ = ["ArtifactInfo", "LastRun", "Session", "StepSum", "StepTime", "load", "usable_levels"]
