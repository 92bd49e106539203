"""Work that may hang, in a thread of its own with a limit."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from tvmsr.devices.leash import Leash
from tvmsr.errors import DeviceError

T = TypeVar("T")

#: Seconds that a thread has to end after what it waits for was taken away.
_GRACE = 5.0


class Limited(Generic[T]):
    """Begins at once. What it waits for on a device ends when its time is up, when it is ended, and at Ctrl-C."""

    def __init__(self, work: Callable[[], T], seconds: float, what: str) -> None:
        self._work, self._seconds, self._what = work, seconds, what
        self._leash = Leash()
        self._result: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def result(self) -> T:
        """What the work returned or raised; DeviceError where it takes longer than its limit, counted from now."""
        try:
            self._thread.join(self._seconds)
            late = self._thread.is_alive()
        finally:
            self.end()
        if late:
            raise DeviceError(f"{self._what} took longer than {self._seconds:g} seconds")
        if self._error is not None:
            raise self._error
        return self._result[0]

    def end(self) -> None:
        if self._thread.is_alive():
            self._leash.pull()
            self._thread.join(_GRACE)

    def _run(self) -> None:
        with self._leash:
            try:
                self._result.append(self._work())
            except BaseException as error:
                self._error = error


def limited(work: Callable[[], T], seconds: float, what: str) -> T:
    """What `work` returns; DeviceError where it takes longer."""
    return Limited(work, seconds, what).result()
