"""Fixtures that several packages share."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import ModuleType

import pytest

#: Files that take longest, the longest first: where several processes share the tests, what is begun last is short.
LONGEST = (
    "devices/server/test_program.py",
    "kernels/test_winograd.py",
    "integration/test_checkpoints.py",
    "kernels/test_conv.py",
    "integration/test_emulated.py",
    "integration/test_networks.py",
    "devices/network/test_cases.py",
    "integration/test_families.py",
    "frontend/test_operations.py",
    "kernels/test_epilogue.py",
    "integration/test_all_targets.py",
    "kernels/test_edges.py",
    "kernels/test_assembly.py",
    "devices/reach/test_ssh.py",
    "kernels/test_pointwise.py",
    "kernels/test_planar.py",
    "integration/test_choices.py",
)

_HERE = Path(__file__).parent
_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"


def data_folder() -> Path:
    """$TVMSR_DATA, or shared/data beside the checkout; there or not."""
    return Path(os.environ.get("TVMSR_DATA", _BESIDE))


def pytest_configure() -> None:
    """Where tests run in the background of a shell, Ctrl-C is ignored, and programs that they begin would ignore it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole files change places, LONGEST to the front; no test within its file."""
    places = {_HERE / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(LONGEST)))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with published weights and test images: $TVMSR_DATA, or shared/data beside the checkout."""
    folder = data_folder()
    if not (folder / "weights").is_dir():
        pytest.skip(f"no evaluation data in {folder}; set TVMSR_DATA to the folder that holds weights/ and images/")
    return folder


@pytest.fixture(scope="session")
def torch() -> ModuleType:
    """PyTorch; a test that needs it skips without it, but fails in CI, where it has to be there."""
    try:
        import torch as module
    except ImportError:
        if os.environ.get("CI"):
            pytest.fail("PyTorch is not installed, and tests may not skip in CI; pip install tvmsr[torch]")
        pytest.skip("needs PyTorch: pip install tvmsr[torch]")
    return module
