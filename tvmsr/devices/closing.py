"""What has to be closed, however a block ends."""

from __future__ import annotations

import weakref
from types import TracebackType
from typing import TypeVar

_Self = TypeVar("_Self", bound="Closing")


class Closing:
    """A context manager around `close`."""

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Owner(Closing):
    """Closes, when it is closed, what it was told to keep and what still lives."""

    def __init__(self) -> None:
        self._kept: weakref.WeakSet[Closing] = weakref.WeakSet()

    def close(self) -> None:
        for one in list(self._kept):
            one.close()
