"""Fixtures that several packages share."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType

import pytest

_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"


def data_folder() -> Path:
    """$TVMSR_DATA, or shared/data beside the checkout; there or not."""
    return Path(os.environ.get("TVMSR_DATA", _BESIDE))


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
