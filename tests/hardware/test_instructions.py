"""No level of a target has an instruction in it that the features it asks a CPU for do not bring."""

import re
import subprocess

import pytest

from tests.kernels.harness import Case, store
from tests.kernels.test_conv import conv
from tvmsr.artifact.zig import zig_command
from tvmsr.hardware import list_targets, load_target
from tvmsr.kernels.isa import ISAS
from tvmsr.kernels.pipeline import build_module
from tvmsr.kernels.spec import Epilogue, Form

#: Each level once for each triple that it is compiled for.
LEVELS = {}
for target in map(load_target, ("arm", *(name for name in list_targets() if name not in ("arm", "host")))):
    for level in target.levels:
        LEVELS.setdefault((level, target.triple), target)
IDS = [f"{target.name}-{level.name}" for (level, _), target in LEVELS.items()]
ARM = [(key, name) for key, name in zip(LEVELS, IDS, strict=True) if LEVELS[key].architecture in ("aarch64", "arm")]

#: The CPU whose instructions every machine of the architecture has: LLVM's name and features.
BASE = {"x86_64": ("x86-64",), "aarch64": ("generic", "+v8a", "+neon"), "arm": ("generic", "+v7", "+neon")}
#: What psABI level 3 adds besides the AVX2 that every such level asks for: there is no CPU with one and not the other.
WITH_AVX2 = {"crc32", "cx16", "lzcnt", "movbe", "popcnt", "sahf", "xsave"}
#: Tuning, and features of the operating system's instructions alone.
HARMLESS = {
    *("CONTEXTIDREL2", "am", "el2vmsa", "el3", "lor", "mpam", "nv", "pan", "pan-rwv", "perfmon", "sel2", "tlb-rmi"),
    *("tracev8.4", "uaops", "vh"),
    *("a53", "a7", "a76", "neoversen2", "addr-lsl-slow-14", "alu-lsl-fast", "balance-fp-ops", "fuse-csel", "fuse-cset"),
    *("disable-maximize-scalable-bandwidth", "predictable-select-expensive", "ret-addr-stack", "slow-fp-brcc"),
    *("slowfpvfmx", "slowfpvmlx", "use-wzr-to-vec-move", "vmlx-forwarding", "vmlx-hazards"),
    *("allow-light-256-bit", "fast-15bytenop", "fast-dpwssd", "fast-gather", "fast-scalar-fsqrt", "fast-shld-rotate"),
    *("fast-variable-crosslane-shuffle", "fast-variable-perlane-shuffle", "fast-vector-fsqrt"),
    *("false-deps-lzcnt-tzcnt", "false-deps-popcnt"),
}

#: ziglang's triple and CPU to assemble for, before the features of `needs`.
ASSEMBLERS = {
    "linux": {"aarch64": ("aarch64-linux-gnu", "generic"), "arm": ("arm-linux-gnueabihf", "generic+v7a")},
    "android": {"aarch64": ("aarch64-linux-musl", "generic")},
    "macos": {"aarch64": ("aarch64-macos", "generic")},
}


def features(cpu, attributes, triple):
    from tvm.target import Target, codegen

    target = Target({"kind": "llvm", "mtriple": triple, "mcpu": cpu, "mattr": list(attributes)})
    return set(map(str, codegen.llvm_get_cpu_features(target)))


@pytest.mark.parametrize("key", LEVELS, ids=IDS)
def test_a_level_has_the_features_it_needs_and_no_more(key):
    level, triple = key
    cpu, *attributes = BASE[LEVELS[key].architecture]
    given = features(level.cpu, level.features, triple)
    promised = features(cpu, [*attributes, *(f"+{need}" for need in level.needs)], triple)
    allowed = promised | HARMLESS | (WITH_AVX2 if "avx2" in level.needs else set())
    assert given <= allowed
    assert set(level.needs) <= given


def specs(isa):
    """Bytes and 16 bits, wide and narrow, depthwise, a table, a shuffle: every kind of generator."""
    form = ISAS[isa].byte_form
    cases = (
        Case("wide", conv(3, 64, 64, form=form), Epilogue((store(64, form),))),
        Case("first", conv(3, 3, 27, form=form, pitch=4), Epilogue((store(3, form, 4, block=3),), leaky=True)),
        Case("a16", conv(1, 16, 32, bits=16, form=Form.S16), Epilogue((store(32, form),)), bits=16),
        Case("table", conv(1, 8, 24, form=form), Epilogue((store(24, form),), table=True)),
        Case("depthwise", conv(3, 40, 40, groups=40, form=form), Epilogue((store(40, form),))),
    )
    return {case.name: case.spec_for(isa) for case in cases}


def assemble(text, link_triple, cpu, folder):
    """What the assembler says; it knows the instructions of `cpu` and no others."""
    source = folder / "kernels.s"
    # Directives that name another CPU would let more in.
    source.write_text(re.sub(r"^\s*\.(cpu|fpu|arch|arch_extension)\b.*$", "", text, flags=re.MULTILINE))
    command = [*zig_command("cc"), "-target", link_triple, f"-mcpu={cpu}", "-c", str(source), "-o", f"{source}.o"]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder)


def assembler(key):
    level, _ = key
    target = LEVELS[key]
    link_triple, cpu = ASSEMBLERS[target.system][target.architecture]
    return link_triple, "+".join([cpu, *level.needs])


@pytest.mark.parametrize("key", [key for key, _ in ARM], ids=[name for _, name in ARM])
def test_kernels_assemble_for_the_bare_architecture(key, tmp_path):
    level, triple = key
    text = build_module(specs(level.isa), level, triple).inspect_source("asm")
    done = assemble(text, *assembler(key), tmp_path)
    assert done.returncode == 0, done.stderr[:2000]
    if LEVELS[key].system in ("android", "macos"):
        assert not re.search(r"\b[xw]18\b", text)  # the system's own register there


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("arm-neon", "sdot v0.4s, v1.16b, v2.16b"),
        ("arm-neon", "crc32w w0, w1, w2"),
        ("arm-dotprod", "smmla v0.4s, v1.16b, v2.16b"),
        ("arm-dotprod", "ldadd x0, x1, [x2]"),
        ("arm-dotprod", "fadd v0.8h, v1.8h, v2.8h"),
        ("arm-i8mm", "index z0.b, #0, #1"),
        ("arm-i8mm", "bfmmla v0.4s, v1.8h, v2.8h"),
        ("linux-armv7-neon32", "vfma.f32 q0, q1, q2"),
        ("linux-armv7-neon32", "sdiv r0, r1, r2"),
    ],
)
def test_the_assembler_refuses(name, wrong, tmp_path):
    target, _, level = name.rpartition("-")
    (key,) = [key for key in LEVELS if key[0].name == level and key[1] == load_target(target).triple]
    assert assemble("nop\n", *assembler(key), tmp_path).returncode == 0
    done = assemble(f"{wrong}\n", *assembler(key), tmp_path)
    assert done.returncode != 0 and wrong.split()[0] in done.stderr
