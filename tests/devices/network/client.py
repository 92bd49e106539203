"""A client to be killed; it says when the device is at work.

python -m tests.devices.network.client HOST PORT KEY TOKEN_FILE ARTIFACT
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.devices.network.scene import working
from tvmsr.devices.reach import Direct
from tvmsr.devices.rpc.device import RpcDevice


def main(host: str, port: str, key: str, token_file: str, artifact: str) -> None:
    with RpcDevice("board", Direct(host, int(port), key, token_file)) as device:
        working(device, Path(artifact), lambda done, total: print("working", flush=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
