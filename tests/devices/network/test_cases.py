"""Everything that happens to devices in networks: a result or one clear sentence, in time, and nothing is left."""

from __future__ import annotations

import pytest

from tests.devices.conftest import need_emulator
from tests.devices.network.cases import CASES, Case
from tests.devices.network.scene import NATIVE, Scene
from tests.needs import lacking


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title.replace(" ", "-"))
def test_case(case: Case, net, tmp_path_factory):
    if case.links and not net.has_links:
        lacking(net.reason)
    if case.architecture != NATIVE:
        need_emulator(case.architecture)
    net.heal()
    ending = case.run(Scene(net, tmp_path_factory.mktemp("scene"), case.architecture))
    case.check(ending)
