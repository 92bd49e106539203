"""targets/*.toml are all valid and complete, a user's own file works, errors are one line that names the key."""

import re
from pathlib import Path

import pytest

from tvmsr.errors import InputFileError, UsageError
from tvmsr.hardware import check_levels, data_dir, list_targets, load_target
from tvmsr.hardware.rules import KNOWN_NEEDS

DRIVER = Path(__file__).resolve().parents[2] / "tvmsr" / "artifact" / "driver"

PROMISED = {
    *("host", "x86-64-v3", "x86-64-v4-vnni", "rpi3", "rpi4", "rpi5", "rpi-zero2", "rk3588", "rk3566", "jetson-orin"),
    *("android-arm64", "android-arm64-dotprod", "android-arm64-i8mm", "android-x86_64"),
    *("linux-armv7", "graviton3", "apple-silicon", "arm"),
}

GOOD = """
description = "a board"
triple = "aarch64-unknown-linux-gnu"
link_triple = "aarch64-linux-gnu.2.17"
libc = "glibc"
[[levels]]
name = "portable"
isa = "portable"
cpu = "generic"
"""

CLUSTER = """
[[clusters]]
core = "cortex-a72"
cores = 2
clock_ghz = 2
l1d_bytes = 32768
l2_bytes = 0
source = "estimate"
[clusters.macs]
s8 = 8
s16 = 4
f32 = 4
source = "estimate"
"""


def level(name="other", isa="neon", more=""):
    return f'[[levels]]\nname = "{name}"\nisa = "{isa}"\ncpu = "generic"\n{more}\n'


@pytest.fixture
def write(tmp_path):
    def written(text, name="board"):
        path = tmp_path / f"{name}.toml"
        path.write_text(text)
        return path

    return written


@pytest.mark.parametrize("name", list_targets())
def test_every_target_is_complete(name):
    target = load_target(name)
    assert target.name == name
    assert target.levels and target.description and target.status and target.reached
    assert all(level.needs for level in target.levels[:-1])
    if name == "host":
        return
    assert target.clusters and target.memory is not None
    assert target.deciding is not None and target.cores == sum(cluster.cores for cluster in target.clusters)
    assert len(target.cache_bytes) >= 2
    for cluster in target.clusters:
        assert cluster.macs.s8 >= max(cluster.macs.s16, cluster.macs.f32)


def test_names():
    assert set(list_targets()) >= PROMISED
    assert (data_dir() / "x86-64-v3.toml").is_file()
    assert [level.name for level in load_target("x86-64-v3").levels] == ["avx512vnni", "avxvnni", "avx2"]
    assert [level.name for level in load_target("x86-64-v4-vnni").levels] == ["avx512vnni"]


@pytest.mark.parametrize(
    ("name", "levels", "costs"),
    [
        ("arm", ["i8mm", "dotprod", "neon"], "cortex-a76"),
        ("rpi3", ["neon"], "cortex-a53"),
        ("rpi-zero2", ["neon"], "cortex-a53"),
        ("rpi4", ["neon"], "cortex-a72"),
        ("rpi5", ["dotprod"], "cortex-a76"),
        ("rk3588", ["dotprod"], "cortex-a76"),
        ("rk3566", ["dotprod"], "cortex-a55"),
        ("jetson-orin", ["dotprod"], "cortex-a78ae"),
        ("graviton3", ["i8mm"], "neoverse-v1"),
        ("android-arm64", ["i8mm", "dotprod", "neon"], "cortex-a76"),
        ("android-arm64-dotprod", ["dotprod"], "cortex-a76"),
        ("android-arm64-i8mm", ["i8mm"], "cortex-a710"),
        ("android-x86_64", ["avx2", "portable"], "x86-64"),
        ("linux-armv7", ["neon32"], "cortex-a7"),
    ],
)
def test_levels(name, levels, costs):
    target = load_target(name)
    assert [level.name for level in target.levels] == levels
    assert target.costs == costs


def test_systems():
    assert load_target("arm").link_triple == "aarch64-linux-gnu.2.17"
    for name in list_targets():
        target = load_target(name)
        assert (target.system == "android") == (target.libc == "bionic") == name.startswith("android")
        assert (target.object == "macho") == (name == "apple-silicon") or name == "host"
    assert load_target("rpi5").page_size == load_target("android-arm64").page_size == 16384
    assert "never run" in load_target("apple-silicon").description


def test_peaks():
    big, little = load_target("rk3588").clusters
    assert (big.core, little.core) == ("cortex-a76", "cortex-a55")
    assert big.gmacs("s8") == pytest.approx(76.8)
    assert load_target("rk3588").cache_bytes == (64 << 10, 512 << 10, 3 << 20)
    assert load_target("rpi4").cache_bytes == (32 << 10, 1 << 20)


def test_a_file_by_its_path(write):
    path = write(GOOD)
    assert load_target(path).levels[0].cpu == "generic"
    child = load_target(write(f'extends = "board"\ndescription = "child"\ncosts = "cortex-a72"\n{CLUSTER}', "child"))
    assert child.cores == 2
    assert child.clusters[0].gmacs("s8") == 16
    assert child.triple == load_target(path).triple


def test_own_file_overrides_single_keys(write):
    target = load_target(write('extends = "rpi5"\ndescription = "ours"\n[memory]\nbandwidth_gb_s = 8\nsource = "us"\n'))
    assert target.name == "board"
    assert target.description == "ours"
    assert (target.memory.bandwidth_gb_s, target.memory.source) == (8, "us")
    assert target.levels == load_target("rpi5").levels
    assert target.clusters == load_target("rpi5").clusters
    # A file may carry the name of the one that it changes.
    assert load_target(write('extends = "rpi5"\nreached = "adb"\n', "rpi5")).reached == "adb"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("description = ", "Invalid value"),
        (GOOD.replace('triple = "aarch64-unknown', 'triple = "a b'), "triple"),
        (GOOD.replace('cpu = "generic"', ""), "levels.0.cpu"),
        ("speed = 1\n" + GOOD, "speed"),
        ("page_size = 5000\n" + GOOD, "page_size"),
        ('page_size = "4096"\n' + GOOD, "page_size"),
        ('object = "macho"\n' + GOOD, "object"),
        (GOOD.replace('"glibc"', '"newlib"'), "libc"),
        (GOOD.replace('"glibc"', '"bionic"'), "libc"),
        (GOOD.replace("linux-gnu.2.17", "linux-musl"), "link_triple"),
        (GOOD.replace('link_triple = "aarch64', 'link_triple = "arm'), "link_triple"),
        (GOOD.replace("unknown-linux-gnu", "none-elf"), "triple"),
        (GOOD + level("portable", "portable"), "one name"),
        (GOOD + level(), "never opened"),
        (GOOD.replace('isa = "portable"', 'isa = "avx9"'), "levels.0.isa"),
        (GOOD.replace('isa = "portable"', 'isa = "avx2"'), "levels.0.isa: avx2 is for x86_64"),
        (GOOD.replace('isa = "portable"', 'isa = "neon32"'), "levels.0.isa: neon32 is for arm"),
        (GOOD.replace('isa = "portable"', 'isa = "dotprod"'), "levels.0.needs: lacks dotprod"),
        (GOOD + 'needs = ["avx2"]\n', "levels.0.needs"),
        (GOOD + 'features = ["+sve"]\n', "levels.0.features: +sve"),
        (GOOD + 'features = ["sve"]\n', "levels.0.features"),
        (GOOD + CLUSTER, "costs"),
        (GOOD + CLUSTER.replace("cores = 2", "cores = 0"), "clusters.0.cores"),
        (GOOD + CLUSTER.replace("s16 = 4", ""), "clusters.0.macs.s16"),
        (GOOD + CLUSTER.replace('f32 = 4\nsource = "estimate"', "f32 = 4"), "clusters.0.macs.source"),
        (GOOD + '[[caches]]\nlevel = 2\nbytes = 9\ncores = 4\nsource = "x"\n', "caches.0.cores"),
        (GOOD + "[memory]\nbandwidth_gb_s = 3\n", "memory.source"),
        ('extends = "bad"\n', "no target 'bad'"),
        ("extends = 5\n", "extends"),
        ('extends = "rpi99"\n', "extends: no target 'rpi99'"),
        ('extends = "host"\n', "extends: host"),
        ("detect = true\ncosts = 'x'\n", "costs"),
        ("detect = 1\n", "detect"),
        ('extends = "x86-64-v3"\nkeep = ["avx9"]\n', "keep"),
        ('extends = "x86-64-v3"\nkeep = []\n', "keep"),
        ('keep = ["portable"]\nlevels = 5\n', "keep"),
    ],
)
def test_errors_are_one_line(write, text, part):
    with pytest.raises(InputFileError) as error:
        load_target(write(text, "bad"))
    assert "\n" not in str(error.value)
    assert part in str(error.value)
    assert "bad.toml" in str(error.value)


def test_circles(write):
    write('extends = "two"\n', "one")
    write('extends = "three"\n', "two")
    with pytest.raises(InputFileError, match=r"two\.toml: extends: three .* circle"):
        load_target(write('extends = "one"\n', "three"))


def test_unknown_names():
    with pytest.raises(UsageError, match="known are"):
        load_target("rpi99")
    with pytest.raises(InputFileError, match="No such file"):
        load_target("no/such/file.toml")


def test_the_driver_knows_every_need():
    source = (DRIVER / "cpu.c").read_text()
    known = set(re.findall(r'\{"([a-z0-9.]+)"', source))
    for needs in KNOWN_NEEDS.values():
        assert set(needs) <= known


def test_readme_has_every_key_and_target():
    text = (data_dir() / "README.md").read_text()
    for name in list_targets():
        assert f"`{name}`" in text
        for key in re.findall(r"^(\w+) =|^\[+([\w.]+)\]", (data_dir() / f"{name}.toml").read_text(), re.MULTILINE):
            assert f"{''.join(key)}`" in text or f"{''.join(key)}]" in text, key


def test_llvm_knows_every_level():
    for name in list_targets():
        check_levels(load_target(name))


@pytest.mark.parametrize(
    ("level", "words"),
    [
        ('cpu = "cortex-a99"', "levels.0.cpu: LLVM has no 'cortex-a99' for aarch64"),
        ('cpu = "cortex-a76"\nfeatures = ["-fulfp16"]', "levels.0.features: LLVM has no 'fulfp16'"),
        ('cpu = "neoverse-v1"', 'levels.0.needs: neoverse-v1 has fp16, dotprod, sve, i8mm .*"-fullfp16", "-dotprod"'),
        ('cpu = "cortex-a76"\nneeds = ["dotprod"]', "levels.0.needs: cortex-a76 has fp16 "),
    ],
)
def test_what_llvm_does_not_know_or_nobody_asks_a_cpu_for(write, level, words):
    target = load_target(write(f'extends = "rpi4"\n[[levels]]\nname = "neon"\nisa = "neon"\n{level}\n'))
    with pytest.raises(InputFileError, match=words):
        check_levels(target)


def test_needs_allow_what_a_cpu_has(write):
    text = 'extends = "rpi4"\n[[levels]]\nname = "neon"\nisa = "neon"\ncpu = "cortex-a76"\n'
    check_levels(load_target(write(text + 'needs = ["dotprod", "fp16"]\n')))
    check_levels(load_target(write(text + 'features = ["-dotprod", "-fullfp16"]\n')))
