"""Places for the cases: namespaces where they can be had."""

from __future__ import annotations

import pytest

from tests.devices.network.net import Here, Network, NoNetworkError
from tests.devices.network.scene import PLACES


@pytest.fixture(scope="package")
def net():
    """Namespaces, else this machine's loopback. `reason`: why there are none."""
    try:
        made = Network(*PLACES)
    except NoNetworkError as error:
        made = Here()
        made.reason = str(error)
    with made:
        yield made
