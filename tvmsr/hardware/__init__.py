"""Targets: what is built for. Reads targets/*.toml and knows this machine."""

from tvmsr.hardware.cpuinfo import cpu_name
from tvmsr.hardware.data import data_dir
from tvmsr.hardware.llvm import check_levels
from tvmsr.hardware.registry import host_levels, host_target, list_targets, load_target
from tvmsr.hardware.target import Level, Target

__all__ = [
    "Level",
    "Target",
    "check_levels",
    "cpu_name",
    "data_dir",
    "host_levels",
    "host_target",
    "list_targets",
    "load_target",
]
