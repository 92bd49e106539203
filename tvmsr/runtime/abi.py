"""The C ABI of include/tvmsr.h in ctypes."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tvmsr.errors import InputFileError
from tvmsr.runtime.dynamic import load_library

ABI_VERSION = 1

OK, CANCELLED, MEMORY_LIMIT, WRONG_CPU, BUSY, DAMAGED, CHECK_FAILED = 0, 1, 6, 7, 8, 9, 10

#: Pixel format of a number of channels.
FORMATS = {1: 1, 3: 2, 4: 3}


class Picture(ctypes.Structure):
    """tvmsr_picture"""

    _fields_ = [
        ("format", ctypes.c_int32),
        ("width", ctypes.c_int32),
        ("height", ctypes.c_int32),
        ("reserved", ctypes.c_int32),
        ("planes", ctypes.c_void_p * 3),
        ("strides", ctypes.c_ssize_t * 3),
    ]


class Info(ctypes.Structure):
    """tvmsr_info"""

    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("abi_version", ctypes.c_uint32),
        ("scale", ctypes.c_int32),
        ("colour", ctypes.c_int32),
        ("minimum_width", ctypes.c_int32),
        ("minimum_height", ctypes.c_int32),
        ("receptive_radius", ctypes.c_int32),
        ("levels", ctypes.c_int32),
        ("choices", ctypes.c_int32),
        ("reserved", ctypes.c_int32),
        ("manifest", ctypes.c_char_p),
        ("manifest_bytes", ctypes.c_size_t),
        ("size_multiple", ctypes.c_int32),
        ("reserved_too", ctypes.c_int32),
    ]


class Options(ctypes.Structure):
    """tvmsr_options"""

    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("threads", ctypes.c_int32),
        ("level", ctypes.c_char_p),
        ("memory_limit", ctypes.c_uint64),
        ("fixed_bits", ctypes.c_int32),
        ("reserved", ctypes.c_int32),
        ("self_check", ctypes.c_int32),
        ("reserved_too", ctypes.c_int32),
    ]


class LastRun(ctypes.Structure):
    """tvmsr_last_run"""

    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("choice", ctypes.c_int32),
        ("threads", ctypes.c_int32),
        ("strips", ctypes.c_int32),
        ("workspace", ctypes.c_uint64),
        ("nanoseconds", ctypes.c_uint64),
        ("level", ctypes.c_char_p),
        ("tiles", ctypes.c_int32),
        ("reserved", ctypes.c_int32),
        ("tiles_of", ctypes.POINTER(ctypes.c_int32)),
    ]


class Tiles(ctypes.Structure):
    """tvmsr_tiles"""

    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("size", ctypes.c_int32),
        ("across", ctypes.c_int32),
        ("down", ctypes.c_int32),
        ("choices", ctypes.POINTER(ctypes.c_uint8)),
    ]


class StepTime(ctypes.Structure):
    """tvmsr_step_time"""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("nanoseconds", ctypes.c_uint64),
        ("macs", ctypes.c_uint64),
        ("calls", ctypes.c_uint64),
    ]


class StepSum(ctypes.Structure):
    """tvmsr_step_sum"""

    _fields_ = [
        ("step", ctypes.c_char_p),
        ("tensor", ctypes.c_char_p),
        ("first", ctypes.c_int32),
        ("channels", ctypes.c_int32),
        ("sum", ctypes.c_uint64),
    ]


Progress = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)

_SESSION = ctypes.c_void_p
_P = ctypes.POINTER

#: Name: result and arguments.
_FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "get_info": (ctypes.c_int32, (_P(Info),)),
    "level_name": (ctypes.c_char_p, (ctypes.c_int32,)),
    "choice_name": (ctypes.c_char_p, (ctypes.c_int32,)),
    "level_runs": (ctypes.c_int32, (ctypes.c_int32,)),
    "open": (ctypes.c_int32, (_P(Options), _P(_SESSION))),
    "open_error": (None, (ctypes.c_char_p, ctypes.c_size_t)),
    "close": (None, (_SESSION,)),
    "upscale": (ctypes.c_int32, (_SESSION, _P(Picture), _P(Picture), Progress, ctypes.c_void_p)),
    "workspace": (ctypes.c_int32, (_SESSION, ctypes.c_int32, ctypes.c_int32, _P(ctypes.c_uint64))),
    "predict_choice": (ctypes.c_int32, (_SESSION, _P(Picture), _P(ctypes.c_int32))),
    "force_choice": (ctypes.c_int32, (_SESSION, ctypes.c_int32)),
    "last": (ctypes.c_int32, (_SESSION, _P(LastRun))),
    "profile": (ctypes.c_int32, (_SESSION, ctypes.c_int32)),
    "read_profile": (ctypes.c_int32, (_SESSION, _P(_P(StepTime)), _P(ctypes.c_size_t))),
    "error": (ctypes.c_char_p, (_SESSION,)),
}

#: Functions that files of earlier releases lack.
_ADDED: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "trace": (ctypes.c_int32, (_SESSION, ctypes.c_int32)),
    "read_trace": (ctypes.c_int32, (_SESSION, _P(_P(StepSum)), _P(ctypes.c_size_t))),
    "check": (ctypes.c_int32, (_SESSION,)),
    "read_tiles": (ctypes.c_int32, (_SESSION, _P(Picture), _P(Tiles))),
    "force_tiles": (ctypes.c_int32, (_SESSION, _P(ctypes.c_uint8), ctypes.c_int32, ctypes.c_int32)),
}


class Abi:
    """The functions of one artifact, typed. Loaded once a file; the library stays loaded."""

    def __init__(self, path: Path, prefix: str) -> None:
        try:
            self._library = load_library(path)
        except OSError as error:
            raise InputFileError(f"{path}: cannot be loaded: {str(error).splitlines()[0]}") from error
        self._path = path
        for name, (result, arguments) in (_FUNCTIONS | _ADDED).items():
            try:
                function = getattr(self._library, f"{prefix}_{name}")
            except AttributeError as error:
                if name in _ADDED:
                    continue
                raise InputFileError(f"{path}: has no {prefix}_{name}: not an artifact of tvmsr") from error
            function.restype = result
            function.argtypes = arguments
            setattr(self, name, function)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name in _ADDED:
            raise InputFileError(f"{self._path}: was compiled by an earlier tvmsr, without {name}; compile it again")
        raise AttributeError(name)

    def info(self) -> Info:
        info = Info(struct_size=ctypes.sizeof(Info))
        self.get_info(ctypes.byref(info))
        return info

    def why_not_opened(self) -> str:
        text = ctypes.create_string_buffer(256)
        self.open_error(text, len(text))
        return text.value.decode("utf-8", "replace")
