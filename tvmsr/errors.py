"""The errors a user can cause or meet; each knows the exit code of the command that it ends."""

from __future__ import annotations


class TvmsrError(Exception):
    """Base of all expected errors. The message says what was wrong, where, and what to do about it."""

    exit_code = 1


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, and what of the work was kept: the message says where it is."""


class WorkError(TvmsrError):
    """The work itself failed: a bound could not be met, a tool broke, a disk was full."""

    exit_code = 1


class StatusError(WorkError):
    """A call of an artifact's C ABI failed. status: what it returned (tvmsr.h)."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


class UsageError(TvmsrError):
    """The request is incomplete, ambiguous or contradicts itself; the message names the options to give."""

    exit_code = 2


class InputFileError(TvmsrError):
    """A file that was given cannot be read, is damaged, or holds what is not supported."""

    exit_code = 3


class DeviceError(TvmsrError):
    """A device, emulator or connection to one failed."""

    exit_code = 4
