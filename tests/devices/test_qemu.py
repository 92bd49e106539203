"""Artifacts for ARM under QEMU's user mode."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from tests.artifact import fake_reference
from tests.devices.conftest import need_emulator
from tvmsr.artifact.link import link_shared
from tvmsr.devices import Opening, Runner, find_device
from tvmsr.devices.qemu import ARCHITECTURES
from tvmsr.errors import DeviceError, InputFileError, UsageError, WorkError
from tvmsr.imaging.colour import gray_of_rgb, resize_bytes
from tvmsr.runtime import load

DEVICES = ("qemu:aarch64", "qemu:aarch64:cortex-a53", "qemu:arm", "qemu:arm:cortex-a7")


def picture(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 256, (height, width, channels), np.uint8)


def artifact_of(device: str, emulated_fake) -> Path:
    return emulated_fake(device.split(":")[1])


@pytest.mark.parametrize("device", DEVICES)
def test_bytes_are_the_references(device, emulated_fake):
    path = artifact_of(device, emulated_fake)
    with find_device(device) as where:
        assert where.emulated and where.levels(path) == ("direct", "copied")
        for level, threads in (("direct", 1), ("copied", 3)):
            with where.open(path, Opening(level=level, threads=threads)) as one:
                runner: Runner = one
                assert (runner.level, runner.info.scale, runner.info.colour) == (level, 2, "rgb")
                for size in ((1, 1), (33, 47)):
                    image = picture(*size, 4)
                    want = fake_reference.upscale(image[:, :, :3])
                    np.testing.assert_array_equal(runner.upscale(image[:, :, :3]), want)
                    got = runner.upscale(image)
                    np.testing.assert_array_equal(got[:, :, :3], want)
                    np.testing.assert_array_equal(got[:, :, 3], resize_bytes(image[:, :, 3], 2))
                    gray = image[:, :, 0]
                    gray_want = gray_of_rgb(fake_reference.upscale(np.repeat(gray[:, :, None], 3, axis=2)))
                    np.testing.assert_array_equal(runner.upscale(gray[::-1])[::-1].shape, gray_want.shape)
                    np.testing.assert_array_equal(runner.upscale(gray), gray_want)
                assert runner.last().threads == threads


def test_what_a_runner_tells(emulated_fake):
    path, image, seen = emulated_fake("aarch64"), picture(90, 64), []
    with find_device("qemu:aarch64") as where:
        facts = where.facts()
        assert facts.machine == "aarch64" and {"neon", "dotprod", "i8mm"} <= facts.features
        assert facts.page_size >= 4096 and facts.cores >= 1 and facts.memory > 1 << 20
        with where.open(path, Opening(threads=1)) as runner:
            whole = runner.workspace(64, 90)
            result = runner.upscale(image)
            memory = runner.memory()
            assert memory.mapped > 0 and memory.resident <= memory.peak
            speed = runner.bench(20, 10, runs=2, warmup=0)
            assert speed.runs == 2 and 0 < speed.minimum <= speed.median
            assert {row.name for row in runner.profiled(image)} >= {"input", "blur0", "output"}
        with where.open(path, Opening(threads=2, memory=whole * 0.6 / 2**20)) as runner:
            again, sums = runner.traced(image)
            assert runner.last().strips > 1 and runner.last().workspace <= whole * 0.6
            np.testing.assert_array_equal(again, result)
            np.testing.assert_array_equal(runner.upscale(image, lambda done, total: seen.append((done, total))), result)
        assert [done for done, _ in seen] == sorted({done for done, _ in seen}) and seen[-1] == (180, 180)
        with where.open(path, Opening(threads=1)) as runner:
            assert runner.traced(image)[1] == sums and sums[0].tensor == "blur0"


def test_the_same_sums_here(emulated_fake, fake):
    image = picture(20, 31)
    with load(fake) as session, find_device("qemu:arm") as where, where.open(emulated_fake("arm")) as runner:
        assert runner.traced(image)[1] == session.traced(image)[1]


def test_cores_without_dot_products(emulated_fake):
    del emulated_fake
    need_emulator("aarch64")
    for cpu, features in (("cortex-a53", {"neon"}), ("cortex-a76", {"neon", "fp16", "dotprod"})):
        assert find_device(f"qemu:aarch64:{cpu}").facts().features == features


def test_a_device_closes_its_runners(emulated_fake):
    with find_device("qemu:aarch64") as where:
        runner = where.open(emulated_fake("aarch64"))
    assert not Path(f"/proc/{runner.link.pid}").exists()


def test_errors_of_the_artifact(emulated_fake):
    path = emulated_fake("aarch64")
    with find_device("qemu:aarch64") as where:
        with pytest.raises(UsageError, match="no level nothing"):
            where.open(path, Opening(level="nothing"))
        with pytest.raises(InputFileError, match="future"):
            where.open(path, Opening(level="future"))
        with where.open(path, Opening(memory=0.001)) as runner, pytest.raises(WorkError, match="the limit is"):
            runner.upscale(picture(9, 400))
        with where.open(path) as runner:
            with pytest.raises(UsageError, match="uint8"):
                runner.upscale(np.zeros((2, 2), np.float32))
            np.testing.assert_array_equal(runner.upscale(picture(2, 2)), fake_reference.upscale(picture(2, 2)))


@pytest.mark.parametrize(("device", "other"), [("qemu:aarch64", "arm"), ("qemu:arm", "aarch64")])
def test_another_architecture(device, other, emulated_fake):
    path = emulated_fake(other)
    with find_device(device) as where, pytest.raises(DeviceError, match=f"is for {ARCHITECTURES[other].title} "):
        where.open(path)


def test_android(tmp_path):
    need_emulator("aarch64")
    path = tmp_path / "android.so"
    manifest = {"link_triple": "aarch64-linux-musl", "triple": "aarch64-linux-android"}
    # Nothing of it runs, so a library with glibc's names and this manifest will do.
    link_shared(fake_reference.parts(manifest=manifest), path, link_triple=ARCHITECTURES["aarch64"].triple)
    with find_device("qemu:aarch64") as where:
        for ask in (where.open, where.levels):
            with pytest.raises(DeviceError, match=r"Android.*no loader"):
                ask(path)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
def test_cut_short(share, emulated_fake, tmp_path):
    whole = emulated_fake("aarch64").read_bytes()
    bad = tmp_path / "cut.so"
    bad.write_bytes(whole[: int(len(whole) * share)])
    with find_device("qemu:aarch64") as where, pytest.raises(InputFileError, match=r"cut\.so"):
        where.open(bad)


@pytest.mark.parametrize(
    "manifest", [{"model": 1}, {"link_triple": 5}, {"prefix": 5, "link_triple": "aarch64-linux-gnu"}]
)
def test_damaged_manifest(manifest, tmp_path):
    need_emulator("aarch64")
    path = tmp_path / "no.so"
    link_shared(fake_reference.parts(manifest=manifest), path, link_triple=ARCHITECTURES["aarch64"].triple)
    with find_device("qemu:aarch64") as where, pytest.raises(InputFileError, match="manifest is damaged"):
        where.open(path)


def test_a_segment_that_the_file_does_not_hold(emulated_fake, tmp_path):
    """The host program sees it too: it does not rely on who asks."""
    raw = bytearray(emulated_fake("aarch64").read_bytes())
    (table,), size = struct.unpack_from("<Q", raw, 32), 56
    struct.pack_into("<Q", raw, table + size + 32, 1 << 40)  # p_filesz of the second
    struct.pack_into("<Q", raw, table + size + 40, 1 << 40)
    bad = tmp_path / "bad.so"
    bad.write_bytes(raw)
    with find_device("qemu:aarch64") as where, pytest.raises(DeviceError, match=r"bad\.so.*segment 1"):
        where.open(bad)
