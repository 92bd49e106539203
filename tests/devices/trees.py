"""Made-up files below /proc and /sys: a Raspberry Pi 5, a hot Pi 4, a server, a phone, a board with a power sensor."""

from __future__ import annotations

CPU, THERMAL = "/sys/devices/system/cpu", "/sys/class/thermal"

Tree = dict[str, bytes]


def tree(files: dict[str, object]) -> Tree:
    return {path: f"{content}\n".encode() for path, content in files.items()}


def arm_cpuinfo(parts: list[int], features: str, model: str = "") -> str:
    blocks = [
        f"processor\t: {i}\nBogoMIPS\t: 108.00\nFeatures\t: {features}\nCPU implementer\t: 0x41\n"
        f"CPU architecture: 8\nCPU variant\t: 0x4\nCPU part\t: {part:#x}\nCPU revision\t: 1\n"
        for i, part in enumerate(parts)
    ]
    return "\n".join(blocks) + (f"\nRevision\t: c04170\nModel\t\t: {model}\n" if model else "")


def clocks(kinds: list[tuple[int, int, int, int]], governor: str, driver: str = "cpufreq-dt") -> dict[str, object]:
    """kinds: (cores, kHz now, limit, top)."""
    files: dict[str, object] = {}
    core = 0
    for count, now, limit, top in kinds:
        for _ in range(count):
            at = f"{CPU}/cpu{core}/cpufreq"
            files |= {
                f"{at}/scaling_governor": governor, f"{at}/scaling_driver": driver, f"{at}/scaling_cur_freq": now,
                f"{at}/scaling_max_freq": limit, f"{at}/cpuinfo_max_freq": top,
            }  # fmt: skip
            core += 1
    return files


def zone(i: int, name: str, milli: int, trips: tuple[tuple[str, int], ...] = ()) -> dict[str, object]:
    at = f"{THERMAL}/thermal_zone{i}"
    files: dict[str, object] = {f"{at}/type": name, f"{at}/temp": milli}
    for j, (kind, celsius) in enumerate(trips):
        files |= {f"{at}/trip_point_{j}_type": kind, f"{at}/trip_point_{j}_temp": 1000 * celsius}
    return files


def load(cores: int, busy: int = 0, idle: int = 1000, average: float = 0.1) -> dict[str, object]:
    """busy, idle: ticks of all cores."""
    lines = [
        f"cpu  {busy} 0 0 {idle} 0 0 0 0 0 0",
        *(f"cpu{i} {busy // cores} 0 0 0 0 0 0 0 0 0" for i in range(cores)),
    ]
    return {"/proc/stat": "\n".join([*lines, "intr 1 2 3"]), "/proc/loadavg": f"{average} 0.1 0.1 1/100 77"}


def memory(available: int, total: int = 8 << 20) -> dict[str, object]:
    """KiB."""
    return {"/proc/meminfo": f"MemTotal: {total} kB\nMemFree: 5 kB\nMemAvailable: {available} kB\nHugePages_Total: 0"}


A76 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"
A72 = "fp asimd evtstrm crc32 cpuid"


def pi5(governor: str = "performance", celsius: int = 52, throttled: str = "0") -> Tree:
    return tree({
        "/proc/cpuinfo": arm_cpuinfo([0xD0B] * 4, A76, "Raspberry Pi 5 Model B Rev 1.0"),
        "/proc/version": "Linux version 6.12.25+rpt-rpi-2712 (serge@raspberrypi.com)",
        f"{CPU}/modalias": "cpu:type:aarch64:feature:,0000,0001",
        "/proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
        "/proc/device-tree/compatible": "raspberrypi,5-model-b\0brcm,bcm2712\0",
        "/sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled": throttled,
        "/sys/class/hwmon/hwmon1/in0_lcrit_alarm": 0,
        **clocks([(4, 2400000, 2400000, 2400000)], governor),
        **zone(0, "cpu-thermal", 1000 * celsius, (("critical", 110), ("active", 50))),
        f"{THERMAL}/cooling_device0/type": "pwm-fan", f"{THERMAL}/cooling_device0/cur_state": 2,
        **load(4), **memory(6 << 20),
    })  # fmt: skip


def hot_pi4() -> Tree:
    """Under-voltage and throttled, now and before, at the soft limit."""
    return tree({
        "/proc/cpuinfo": arm_cpuinfo([0xD08] * 4, A72, "Raspberry Pi 4 Model B Rev 1.4"),
        f"{CPU}/modalias": "cpu:type:aarch64:feature:,0000",
        "/sys/devices/platform/soc/soc:firmware/get_throttled": "d000d",
        **clocks([(4, 1000000, 1800000, 1800000)], "ondemand"),
        **zone(0, "cpu-thermal", 82276, (("critical", 110),)),
        **load(4, average=1.8), **memory(100 << 10, 1 << 20),
    })  # fmt: skip


def server(throttles: int = 7, joules: float = 100.0) -> Tree:
    files: dict[str, object] = {
        "/proc/cpuinfo": "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R) Xeon(R) Gold 6240\n"
        "flags\t\t: fpu sse4_1 ssse3 avx fma f16c bmi1 bmi2 avx2\n\nprocessor\t: 1\nvendor_id\t: GenuineIntel\n",
        f"{CPU}/modalias": "cpu:type:x86,ven0000fam0006mod0055",
        **clocks([(2, 1000000, 3900000, 3900000)], "performance", "intel_pstate"),
        **zone(0, "acpitz", 27800), **zone(1, "x86_pkg_temp", 61000),
        f"{THERMAL}/cooling_device0/type": "Processor", f"{THERMAL}/cooling_device0/cur_state": 0,
        "/sys/class/powercap/intel-rapl:0/name": "package-0",
        "/sys/class/powercap/intel-rapl:0/energy_uj": round(joules * 1e6),
        "/sys/class/powercap/intel-rapl:0/max_energy_range_uj": 262143328850,
        "/sys/class/powercap/intel-rapl:0:0/name": "core",
        "/sys/class/powercap/intel-rapl:0:0/energy_uj": 5,
        **load(2), **memory(6 << 20),
    }  # fmt: skip
    files |= {f"{CPU}/cpu{i}/thermal_throttle/core_throttle_count": throttles for i in range(2)}
    return tree(files)


def phone() -> Tree:
    """1 + 3 + 4 cores, governor of the vendor, on its battery, a zone past its trip point."""
    parts = [0xD46] * 4 + [0xD47] * 3 + [0xD48]
    files: dict[str, object] = {
        "/proc/cpuinfo": arm_cpuinfo(parts, A76 + " sve i8mm bf16"),
        "/proc/version": "Linux version 5.10.136-android12-9-00001-gabc (build-user@build-host)",
        **clocks(
            [(4, 1785600, 1785600, 1785600), (3, 1900800, 1900800, 2496000), (1, 2995200, 2995200, 2995200)], "walt"
        ),
        **zone(3, "battery", 38500), **zone(40, "cpu-1-0-usr", 71000, (("passive", 95), ("passive", 70))),
        **zone(41, "broken", -274000),
        f"{THERMAL}/cooling_device9/type": "thermal-cpufreq-4", f"{THERMAL}/cooling_device9/cur_state": 3,
        "/sys/class/power_supply/battery/type": "Battery", "/sys/class/power_supply/battery/capacity": 15,
        "/sys/class/power_supply/battery/status": "Discharging",
        "/sys/class/power_supply/battery/voltage_now": 3900000,
        "/sys/class/power_supply/battery/current_now": -1000000,
        **load(8), **memory(3 << 20),
    }  # fmt: skip
    return tree(files)


def jetson() -> Tree:
    at = "/sys/class/hwmon/hwmon3"
    return tree({
        "/proc/cpuinfo": arm_cpuinfo([0xD42] * 6, A76),
        "/proc/device-tree/compatible": "nvidia,p3768-0000+p3767-0005\0nvidia,p3767-0005\0nvidia,tegra234\0",
        f"{at}/name": "ina3221",
        f"{at}/in1_label": "VDD_IN", f"{at}/in1_input": 5000, f"{at}/curr1_input": 1200,
        f"{at}/in2_label": "VDD_CPU_GPU_CV", f"{at}/in2_input": 5000, f"{at}/curr2_input": 400,
        "/sys/class/hwmon/hwmon0/name": "amdgpu", "/sys/class/hwmon/hwmon0/power1_input": 99000000,
        **load(6), **memory(6 << 20),
    })  # fmt: skip
