"""Names of devices, and what is said where one cannot be had."""

from __future__ import annotations

import pytest

from tests.devices.conftest import need_emulator
from tvmsr.devices import Here, find_device, find_devices
from tvmsr.devices.handle import DeviceHandle, device
from tvmsr.devices.qemu import ARCHITECTURES, Qemu, cpu_models
from tvmsr.errors import DeviceError, UsageError


@pytest.mark.parametrize("name", ["", "there", "here:1", "qemu", "qemu:", "qemu:mips", "qemu:arm:", "HERE"])
def test_unknown_names_list_the_known(name):
    with pytest.raises(UsageError, match=r"here, qemu:aarch64\[:CPU\], qemu:arm\[:CPU\]"):
        find_device(name)


def test_here_is_the_default():
    assert find_device().name == "here"
    device = Here()
    assert find_device(device) is device
    facts = device.facts()
    assert facts.machine and facts.cores >= 1


def test_a_handle_stands_for_its_device():
    kept = Here()
    ended = []
    kept.close = lambda: ended.append(True)
    handle = DeviceHandle(kept)
    for found in (find_device(handle), *find_devices(handle), *find_devices([handle, "here", Here()])):
        with found:
            assert (found.name, found.target, found.shell, found.emulated) == ("here", "host", None, False)
    assert not ended and "here" in repr(find_device(handle))
    with device(handle) as again:
        assert again.facts() == handle.facts() and again.files(["/proc/stat"])
    assert not ended
    handle.close()
    assert ended


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_a_cpu_model_that_is_not_there(architecture):
    need_emulator(architecture)
    with pytest.raises(DeviceError, match=r"no CPU model 'z80'; it has .*max") as error:
        find_device(f"qemu:{architecture}:z80")
    assert error.value.exit_code == 4


@pytest.mark.parametrize(("architecture", "package"), [("aarch64", "libc6-arm64-cross"), ("arm", "libc6-armhf-cross")])
def test_what_to_install(architecture, package, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeviceError, match=f"not installed; apt-get install qemu-user {package}"):
        Qemu(architecture)
    emulator = tmp_path / f"qemu-{architecture}"
    emulator.write_text("#!/bin/sh\n")
    emulator.chmod(0o755)
    monkeypatch.setenv("QEMU_LD_PREFIX", str(tmp_path))
    with pytest.raises(DeviceError, match=f"no C library for .* in {tmp_path}; apt-get install qemu-user {package}"):
        Qemu(architecture)


def test_cpu_models(tmp_path):
    emulator = tmp_path / "qemu"
    emulator.write_text("#!/bin/sh\nprintf 'Available CPUs:\\n  cortex-a53\\n  max  (alias)\\n\\nmore\\n'\n")
    emulator.chmod(0o755)
    assert cpu_models(str(emulator)) == ("cortex-a53", "max")
