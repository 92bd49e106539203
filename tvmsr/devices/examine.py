"""What a device is, which target suits it, and where it differs from one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from tvmsr.devices.runner import Device, Facts
from tvmsr.devices.sysfiles import WHAT, Files, matching, number, text
from tvmsr.errors import DeviceError
from tvmsr.hardware import Level, Target, list_targets, load_target
from tvmsr.hardware.cpuinfo import arm_cores_in, x86_name_in
from tvmsr.hardware.target import architecture

_CPU = "/sys/devices/system/cpu/cpu"

#: Words in a device tree's `compatible` -> target; boards of Android name their chips there too.
_BOARDS = (
    ("raspberrypi,model-zero-2", "rpi-zero2"),
    ("brcm,bcm2712", "rpi5"),
    ("brcm,bcm2711", "rpi4"),
    ("brcm,bcm2837", "rpi3"),
    ("rockchip,rk3588", "rk3588"),
    ("rockchip,rk3566", "rk3566"),
    ("rockchip,rk3568", "rk3566"),
    ("nvidia,tegra234", "jetson-orin"),
)

#: The same by the board's name for people, which /proc/cpuinfo of Raspberry Pi OS has too.
_NAMES = (
    (r"Raspberry Pi (5|500|Compute Module 5)\b", "rpi5"),
    (r"Raspberry Pi (4|400|Compute Module 4)\b", "rpi4"),
    (r"Raspberry Pi Zero 2", "rpi-zero2"),
    (r"Raspberry Pi (3|Compute Module 3)\b", "rpi3"),
)

#: Targets of one device that are told by their kinds of cores where no board says its name.
_BY_CORES = ("graviton3", "rk3588", "rk3566", "jetson-orin", "rpi4", "rpi3", "rpi-zero2")

#: Targets of many devices, the best first: one of them suits where no single device does.
_GENERAL = ("arm", "linux-armv7", "x86-64-v3", "x86-64", "android-arm64", "android-x86_64", "apple-silicon")

_C_LIBRARIES = {"glibc": "glibc", "musl": "musl", "bionic": "bionic"}


@dataclass(frozen=True)
class Cores:
    """Cores of one kind. core: as LLVM names it, "" where it is not told; mhz: the highest clock, 0: not told.

    capacity: how fast one is beside the fastest of the machine, 1024; 0: not told.
    """

    core: str
    count: int
    mhz: float
    capacity: int


@dataclass(frozen=True)
class Machine:
    """A device. architecture: as targets say it; libc: "glibc 2.36"; sizes in bytes, 0: not told; board: "" likewise.

    name: its CPU, for people. clusters: the fastest first. emulated: the process sees another CPU than the kernel.
    """

    architecture: str
    system: str
    libc: str
    page_size: int
    memory: int
    name: str
    board: str
    compatible: tuple[str, ...]
    cores: int
    clusters: tuple[Cores, ...]
    features: frozenset[str]
    emulated: bool

    def as_json(self) -> dict[str, Any]:
        rows = [asdict(cluster) for cluster in self.clusters]
        return {
            **vars(self), "features": sorted(self.features), "compatible": list(self.compatible), "clusters": rows
        }  # fmt: skip


def machine_of(facts: Facts, files: Files) -> Machine:
    """What the facts of a device and its files of sysfiles.WHAT say together."""
    isa = architecture(facts.machine)
    emulated = _emulated(isa, files)
    cpuinfo = "" if emulated else text(files, "/proc/cpuinfo")
    android = "android" in text(files, "/proc/version").lower()
    board = "" if emulated else text(files, "/proc/device-tree/model") or _line(cpuinfo, "Model")
    compatible = () if emulated else tuple(text(files, "/proc/device-tree/compatible").split("\0"))
    clusters = () if emulated else _clusters(cpuinfo, files)
    return Machine(
        architecture=isa,
        system="Android" if android else facts.system,
        libc="bionic" if android else facts.libc,
        page_size=facts.page_size,
        memory=facts.memory,
        name=f"an emulated {isa} CPU" if emulated else _name(isa, cpuinfo, board, clusters),
        board=board,
        compatible=tuple(word for word in compatible if word),
        cores=facts.cores,
        clusters=clusters,
        features=facts.features,
        emulated=emulated,
    )


def suggest(machine: Machine) -> str:
    """The name of the target in targets/ that suits a machine best; it runs there.

    DeviceError where there is none: another C library, a CPU without what any level needs.
    """
    known = list_targets()
    said = [name for word, name in _BOARDS if any(word in entry for entry in machine.compatible)]
    said += [name for pattern, name in _NAMES if re.search(pattern, machine.board)]
    for name in (*said, *_by_cores(machine), *_GENERAL):
        if name in known and next(_obstacles(machine, load_target(name)), None) is None:
            return name
    what = f"{machine.architecture}, {machine.system}, {machine.libc or 'unknown C library'}"
    raise DeviceError(
        f"no target suits this device ({what}, pages of {machine.page_size >> 10} KiB, {_said(machine.features)}); "
        "write one: targets/README.md, and give it with --target"
    )


def target_of(device: Device) -> str:
    """What artifacts for a device are compiled for: the target that it was added with, else what suits it.

    DeviceError where no target does, or it has to be asked and does not answer.
    """
    return device.target or suggest(machine_of(device.facts(), device.files(WHAT)))


def obstacles(machine: Machine, target: Target) -> tuple[str, ...]:
    """Why no artifact for a target can run on a machine, in sentences; () where they can."""
    return tuple(_obstacles(machine, target))


def remedy(machine: Machine, target: Target) -> str:
    """What to do about a device that is not as its target says, a clause."""
    if target.name not in list_targets():
        return "mend the target's file, or add it again with another --target and --overwrite"
    try:
        better = suggest(machine)
    except DeviceError:
        better = target.name
    if better != target.name:
        return f"{better} suits it better, add it again with --target {better} and --overwrite"
    return "write a target of its own (targets/README.md), and add it again with --target and --overwrite"


def compare(machine: Machine, target: Target) -> tuple[str, ...]:
    """Where a machine differs from what a target says, in sentences, those first that stop an artifact from running."""
    found = list(_obstacles(machine, target))
    if architecture(target.triple) == machine.architecture:
        found += _levels(machine, target)
        found += unlike(machine, target)
    if 0 < machine.memory < 512 << 20:
        found.append(f"it has {machine.memory >> 20} MiB of memory in all: large pictures need --memory")
    return tuple(found)


def _obstacles(machine: Machine, target: Target) -> Iterator[str]:
    """Why an artifact for the target cannot run there."""
    if target.architecture != machine.architecture:
        yield f"it is {machine.architecture}, the target {target.architecture}"
        return
    if machine.system and target.system != _system(machine.system):
        yield f"it runs {machine.system}, the target {target.system}"
    name, version = _c_library(machine)
    if name and name != target.libc:
        yield f"its C library is {name}, the target's {target.libc}"
    oldest = re.search(r"gnu(?:eabihf|eabi)?\.(\d+)\.(\d+)", target.link_triple)
    if name == target.libc == "glibc" and version and oldest and version < (int(oldest[1]), int(oldest[2])):
        yield f"its glibc is {version[0]}.{version[1]}, the target wants {oldest[1]}.{oldest[2]} or newer"
    if machine.page_size > target.page_size:
        yield f"its pages have {machine.page_size >> 10} KiB, the target's {target.page_size >> 10} KiB at most"
    # A device that told no feature at all has told nothing: even the oldest have some that are asked for.
    if machine.features and not any(set(level.needs) <= machine.features for level in target.levels):
        lacking = ", ".join(_missing(machine, target.levels[-1]))
        yield f"it can run none of the target's levels: its CPU has no {lacking}"


def _levels(machine: Machine, target: Target) -> Iterator[str]:
    runs = [level.name for level in target.levels if set(level.needs) <= machine.features]
    if not machine.features or not runs:
        return
    for level in target.levels:
        missing = _missing(machine, level)
        if missing:
            yield f"level {level.name} will not be used there: the CPU has no {', '.join(missing)}"


def unlike(machine: Machine, target: Target) -> Iterator[str]:
    """Where its cores are not those of a target of one device: targets of many describe one that stands for them."""
    if target.stands_for or not target.clusters:
        return
    theirs = {cluster.core: cluster for cluster in target.clusters}
    for own in machine.clusters:
        known = theirs.pop(own.core, None)
        if known is None:
            if own.core:
                yield f"it has {own.count}x {own.core}, which the target does not know"
            continue
        if own.count != known.cores:
            yield f"it has {own.count}x {own.core}, the target {known.cores}"
        if own.mhz and abs(own.mhz - 1000 * known.clock_ghz) > 0.05 * own.mhz:
            yield f"{own.core} runs at up to {own.mhz:.0f} MHz there, at {1000 * known.clock_ghz:.0f} in the target"
    if any(own.core for own in machine.clusters):
        yield from (f"it has no {core}, of which the target has {c.cores}" for core, c in theirs.items())


def _by_cores(machine: Machine) -> list[str]:
    """Targets of one device with the same kinds of cores, those of the most like numbers and clocks first."""
    own = {cluster.core: cluster for cluster in machine.clusters}
    found = []
    for name in _BY_CORES:
        target = load_target(name)
        theirs = {cluster.core: cluster for cluster in target.clusters}
        if own and set(theirs) == set(own):
            numbers = sum(own[core].count != theirs[core].cores for core in own)
            clocks = sum(abs(own[core].mhz - 1000 * theirs[core].clock_ghz) for core in own if own[core].mhz)
            found.append((numbers, clocks, name))
    return [name for _, _, name in sorted(found, key=lambda row: row[:2])]


def _missing(machine: Machine, level: Level) -> list[str]:
    return [need for need in level.needs if need not in machine.features]


def _system(name: str) -> str:
    return {"Darwin": "macos"}.get(name, name.lower())


def _c_library(machine: Machine) -> tuple[str, tuple[int, int] | None]:
    """Name and version of the C library; ("", None) where it is not told."""
    name = next((known for word, known in _C_LIBRARIES.items() if word in machine.libc), "")
    version = re.search(r"(\d+)\.(\d+)", machine.libc)
    return name, (int(version[1]), int(version[2])) if version else None


def _emulated(isa: str, files: Files) -> bool:
    """Under an emulator of processes, the files are those of the machine below it, which has another CPU."""
    kernel = re.match(r"cpu:type:(\w+)", text(files, "/sys/devices/system/cpu/modalias"))
    if kernel is not None:
        return _family(kernel[1]) != _family(isa)
    cpuinfo = text(files, "/proc/cpuinfo")
    said = "x86" if "vendor_id" in cpuinfo else "arm" if "CPU implementer" in cpuinfo else ""
    return bool(said) and said != _family(isa)


def _family(word: str) -> str:
    """One for 32 and 64 bits: kernels of 64 run programs of both."""
    return {"aarch64": "arm", "x86_64": "x86", "i686": "x86"}.get(word, word)


def _clusters(cpuinfo: str, files: Files) -> tuple[Cores, ...]:
    """Processors of one core, clock and capacity together, the fastest first."""
    numbers = [int(word) for word in re.findall(r"^processor\s*:\s*(\d+)", cpuinfo, re.MULTILINE)]
    try:
        names = [name.lower().replace(" ", "-") for name in arm_cores_in(cpuinfo)]
    except ValueError:  # a part that is no number
        names = []
    if len(names) != len(numbers):
        names = [""] * len(numbers)
    kinds: dict[tuple[str, float, int], int] = {}
    for i, name in zip(numbers, names, strict=True):
        mhz = number(files, f"{_CPU}{i}/cpufreq/cpuinfo_max_freq", 1e-3) or 0.0
        kind = (name, mhz, int(number(files, f"{_CPU}{i}/cpu_capacity") or 0))
        kinds[kind] = kinds.get(kind, 0) + 1
    if not kinds:
        count = len([core for core in matching(files, _CPU, "/cpu_capacity") if core.isdigit()])
        return (Cores("", count, 0.0, 0),) if count else ()
    # Equal kinds keep their order but for that systems count their little cores first.
    last_first = list(reversed(kinds.items()))
    fastest = sorted(last_first, key=lambda item: (-item[0][2], -item[0][1]))
    return tuple(Cores(name, count, mhz, capacity) for (name, mhz, capacity), count in fastest)


def _name(isa: str, cpuinfo: str, board: str, clusters: tuple[Cores, ...]) -> str:
    cores = ", ".join(f"{cluster.count}x {_title(cluster.core)}" for cluster in clusters if cluster.core)
    return ", ".join(filter(None, (board, cores or x86_name_in(cpuinfo)))) or isa


def _title(core: str) -> str:
    """cortex-a76 as Arm writes it; other names as they are."""
    head, _, tail = core.partition("-")
    return {"cortex": f"Cortex-{tail.upper()}", "neoverse": f"Neoverse {tail.upper()}"}.get(head, core)


def _line(cpuinfo: str, key: str) -> str:
    found = re.search(rf"^{key}\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return found[1].strip() if found else ""


def _said(features: frozenset[str]) -> str:
    return ", ".join(sorted(features)) or "no features told"
