"""What a test needs and this machine lacks."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any, NoReturn

import pytest


def lacking(reason: str) -> NoReturn:
    """Skip the test; in CI, which installs what it shows, fail it."""
    if os.environ.get("CI"):
        pytest.fail(f"may not skip in CI: {reason}")
    pytest.skip(reason)


def installed(name: str, how: str) -> Any:
    """A module that all tests of a file need, for its top: without it they are skipped; in CI, the file fails.

    how: what installs it.
    """
    try:
        return import_module(name)
    except ImportError:
        if os.environ.get("CI"):
            pytest.fail(f"may not skip in CI: needs {name}: {how}")
        pytest.skip(f"needs {name}: {how}", allow_module_level=True)
