"""Targets: what is built for. Reads targets/*.toml and knows this machine."""

from tvmsr.targets.data import data_dir
from tvmsr.targets.registry import host_levels, host_target, list_targets, load_target
from tvmsr.targets.target import Level, Target

__all__ = ["Level", "Target", "data_dir", "host_levels", "host_target", "list_targets", "load_target"]
