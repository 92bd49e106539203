"""How a device is reached, from what the user wrote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tvmsr.errors import UsageError

if TYPE_CHECKING:
    from tvmsr.devices.registry import Way

#: Ports of TVM's own server and tracker.
SERVER_PORT, TRACKER_PORT = 9090, 9190

#: Architectures by what else people call them.
_ARCHITECTURES = {"aarch64": "aarch64", "arm64": "aarch64", "arm": "arm", "armv7": "arm", "armhf": "arm"}


def way_from(
    *,
    ssh: str | None = None,
    ssh_options: Sequence[str] = (),
    adb: str | None = None,
    rpc: str | None = None,
    tracker: str | None = None,
    qemu: str | None = None,
    key: str = "",
) -> Way:
    """The one way that is given; adb "" means the only phone. UsageError where that is not exactly one, or is wrong."""
    from tvmsr.devices import registry as r

    given = {"--ssh": ssh, "--adb": adb, "--rpc": rpc, "--tracker": tracker, "--qemu": qemu}
    said = [option for option, value in given.items() if value is not None]
    if len(said) != 1:
        raise UsageError(
            f"how is it reached? Give one of {', '.join(given)}" + (f", not {' and '.join(said)}" if said else "")
        )
    if ssh_options and ssh is None:
        raise UsageError(f"--ssh-option is for --ssh, not for {said[0]}")
    if key and rpc is None and tracker is None:
        raise UsageError(f"--key is for --rpc and --tracker, not for {said[0]}")
    if ssh is not None:
        return _ssh(ssh, tuple(ssh_options))
    if adb is not None:
        return r.AdbWay(serial=_serial(adb))
    if rpc is not None:
        host, port = host_and_port(rpc, "--rpc", SERVER_PORT)
        return r.RpcWay(host=host, port=port, key=key)
    if tracker is not None:
        if not key:
            raise UsageError("--tracker needs --key: the name under which the farm's devices are registered there")
        host, port = host_and_port(tracker, "--tracker", TRACKER_PORT)
        return r.TrackerWay(host=host, port=port, key=key)
    assert qemu is not None
    return _qemu(qemu)


def host_and_port(text: str, option: str, default: int) -> tuple[str, int]:
    """Read "host:port", "host", "[::1]:9090". UsageError where it is none of them."""
    host, colon, port = text, "", ""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        colon, port = rest[:1], rest[1:]
    elif text.count(":") == 1:
        host, colon, port = text.partition(":")
    number = int(port) if port.isascii() and port.isdigit() else 0 if colon else default
    if not host or any(c.isspace() for c in host) or colon not in ("", ":") or not 0 < number < 65536:
        raise UsageError(f"{option} {text}: expected HOST:PORT, for example 192.168.1.20:{default}")
    return host, number


def _ssh(host: str, options: tuple[str, ...]) -> Way:
    from tvmsr.devices.reach import Ssh
    from tvmsr.devices.registry import SshWay

    name, _, port = host.rpartition(":")
    if name and ":" not in name and port.isascii() and port.isdigit():
        raise UsageError(
            f"--ssh {host}: the port is an option of its own: --ssh {name} --ssh-option -p --ssh-option {port}"
        )
    Ssh(host, options)  # refuses what is no host
    return SshWay(host=host, options=options)


def _serial(serial: str) -> str:
    from tvmsr.devices.reach.adb import Adb, only_one

    Adb(serial)
    return serial or only_one()


def _qemu(text: str) -> Way:
    """[ARCH:]CPU; where the architecture is not said, it is the one whose emulator has such a CPU."""
    from tvmsr.devices.qemu import ARCHITECTURES, DEFAULT_CPU, Qemu
    from tvmsr.devices.registry import QemuWay
    from tvmsr.errors import DeviceError

    first, colon, cpu = text.partition(":")
    if first in _ARCHITECTURES:
        chosen = QemuWay(architecture=_ARCHITECTURES[first], cpu=cpu or DEFAULT_CPU)
        Qemu(chosen.architecture, chosen.cpu)
        return chosen
    if colon or not text:
        raise UsageError(f"--qemu {text}: expected [ARCH:]CPU, ARCH one of {', '.join(ARCHITECTURES)}")
    errors: list[DeviceError] = []
    for architecture in ARCHITECTURES:
        try:
            Qemu(architecture, text)
            return QemuWay(architecture=architecture, cpu=text)
        except DeviceError as error:
            errors.append(error)
    raise errors[0]
