"""What a machine can do at most: multiplications of each primitive, reads of each memory."""

from tvmsr.hardware.peaks.computed import computed_peaks
from tvmsr.hardware.peaks.measured import Meter
from tvmsr.hardware.peaks.values import FLOAT, Bandwidth, Origin, Peaks, Roof

__all__ = ["FLOAT", "Bandwidth", "Meter", "Origin", "Peaks", "Roof", "computed_peaks"]
