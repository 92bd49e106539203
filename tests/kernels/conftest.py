"""Fixtures of the tests that run kernels."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tests.kernels.emulator import isa_of, open_kernels


@pytest.fixture(scope="module")
def opened():
    """opened(name, cases): the kernels k0, k1, ... of a row or an emulated machine, built once for a module."""
    with ExitStack() as stack:
        found = {}

        def get(name, cases):
            if name not in found:
                specs = {f"k{i}": case.spec_for(isa_of(name)) for i, case in enumerate(cases)}
                found[name] = stack.enter_context(open_kernels(name, specs))
            return found[name]

        yield get
