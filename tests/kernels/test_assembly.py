"""What LLVM made of the kernels: inner loops of the intended instruction, without scalar products and spills.

The text of another machine's assembly is enough: nothing is run. Address arithmetic may multiply, but only outside of
the innermost loops. Where a loop of products was unrolled into the loop over tiles, that loop has the epilogue in it
too: there the instructions from the first product to the last are looked at.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from functools import cache

import pytest

from tests.kernels.harness import operand, store
from tvmsr.hardware.registry import load_target
from tvmsr.kernels.algorithms import ALGORITHMS, primitive_of
from tvmsr.kernels.assembly import parse
from tvmsr.kernels.choice import choose
from tvmsr.kernels.host import level_of
from tvmsr.kernels.isa import ISAS
from tvmsr.kernels.pipeline import build_module, exported_name
from tvmsr.kernels.spec import Conv, Epilogue, Form, KernelSpec, Operand, Residual, Tile
from tvmsr.kernels.trace import tile_products, tiles, trips

ARM = ("neon", "dotprod", "i8mm", "neon32")
#: {isa: (level, triple)} of ARM, as they are shipped.
SHIPPED = {
    level.isa: (level, target.triple)
    for target in map(load_target, ("arm", "linux-armv7"))
    for level in target.levels
    if level.isa in ARM
}


def layer(kernel, inputs, outputs, block=1, pitch=None, bits=8, residual=False, weight_bits=8, **more):
    """x is stored in 16 bits for more than 8; else in the isa's form."""
    form = Form.S16 if bits > 8 else Form.U8
    stored = outputs // block**2
    residuals = (Residual(operand(outputs, Form.U16)),) if residual else ()
    epilogue = Epilogue((store(stored, block=block),), residuals, fraction=5 if residual else 0)
    return Conv((kernel, kernel), inputs, outputs, operand(inputs, form, pitch), bits, weight_bits, **more), epilogue


LAYERS = {
    "3x3_64x64": layer(3, 64, 64),
    "3x3_48x48": layer(3, 48, 48),
    "3x3_32x32": layer(3, 32, 32),
    "3x3_28x28": layer(3, 28, 28),
    "3x3_3x64_pitch4": layer(3, 3, 64, pitch=4),
    "5x5_3x28": layer(5, 3, 28),
    "1x1_48x12": layer(1, 48, 12),
    "3x3_64x256_shuffle2": layer(3, 64, 256, block=2),
    "3x3_32x48_shuffle4": layer(3, 32, 48, block=4),
    "3x3_64x64_residual": layer(3, 64, 64, residual=True),
    "3x3_groups": layer(3, 24, 36, groups=3),
    "3x3_64x64_s16": layer(3, 64, 64, bits=12),
    "3x3_28x28_s16": layer(3, 28, 28, bits=16),
    "3x3_32x32_s16": layer(3, 32, 32, bits=12),
    "3x3_32x20_s16": layer(3, 32, 20, bits=12),
    "3x3_depthwise": layer(3, 40, 40, groups=40),
    "3x3_depthwise_s16": layer(3, 64, 64, groups=64, bits=12),
}

#: The products of a machine's primitive, and what else its inner loops must hold, for each product.
INTENDED = {
    ("aarch64", "chain"): (r"sm(ull|lal)2?\tv\d+\.8h.*", r"sadalp\t.*", 1 / 2),
    # Where a load serves one step only, LLVM may copy it to all lanes while it loads.
    ("aarch64", "dot4"): (r"sdot\t.*", r"sdot\t.*\.4b\[\d\]", 3 / 4),
    ("aarch64", "matrix"): (r"smmla\t.*", r"smmla\t.*", 1),
    ("aarch64", "pair16"): (r"smlal2?\tv\d+\.4s.*", r"smlal2?\t.*\.h\[\d\]", 1),
    ("aarch64", "lanewise"): (r"sm(ull|lal)2?\tv\d+\.4s.*", r"smlal.*", 1 / 2),
    ("arm", "chain"): (r"vm(ull|lal)\.s8\t.*", r"vpadal\.s16\t.*", 1 / 2),
    ("arm", "pair16"): (r"vmlal\.s16\t.*", r"vmlal\.s16\t.*d\d+\[\d\]", 1),
    ("arm", "lanewise"): (r"vm(ull|lal)\.s16\t.*", r"vmlal.*", 1 / 2),
}


def direct_spec(source, epilogue, isa):
    """The best kernel without a transform: loops of transforms are those of direct kernels, their tiles are not."""
    choice = choose(source, epilogue, isa)
    best = next(c for c in (choice.best, *choice.others) if ALGORITHMS[c.algorithm].granule == (1, 1))
    return replace(choice.spec, algorithm=best.algorithm, tile=best.tile)


@cache
def compiled(isa, names=tuple(LAYERS)):
    """{layer: (spec, function)}"""
    specs = {}
    for name in names:
        source, epilogue = LAYERS[name]
        form = ISAS[isa].byte_form
        x = source.x if source.x.form is Form.S16 else Operand(form, source.x.pitch)
        stores = tuple(replace(s, form=form) for s in epilogue.stores)
        specs[f"k_{name}"] = direct_spec(replace(source, x=x), replace(epilogue, stores=stores), isa)
    level, triple = SHIPPED.get(isa) or (level_of(isa), "x86_64-unknown-linux-gnu")
    functions = parse(build_module(specs, level, triple).inspect_source("asm"), ISAS[isa].machine or "x86_64")
    return {name[2:]: (spec, functions[exported_name(name, level)]) for name, spec in specs.items()}


def section(function, body):
    """The instructions to look at: of a loop that stores, those from the first product to the last."""
    if not any(re.match(r"v?st", i.mnemonic) and not function.on_stack(i) for i in body):
        return body
    places = [n for n, i in enumerate(body) if function.is_product(i)]
    return body[places[0] : places[-1] + 1]


def chosen_tiles(spec, function):
    """The innermost loops of full tiles."""
    wanted = {products for _, products in tile_products(spec).values()}
    found = [t for t in tiles(function, spec.source.kernel[0]) if sum(map(function.is_product, t.code)) in wanted]
    assert len({sum(map(function.is_product, t.code)) for t in found}) == len(wanted)
    return [section(function, body) for t in found for body in t.loops]


CASES = [(isa, name) for isa in ARM for name in LAYERS]

#: One element of a tensor into a general register: what a product in scalar code begins with.
ELEMENT = r"ldu?rs?[bh]\t|[su]mov\t|[su]bfx\t|[su]xt[bh]\t|vmov\.[su](8|16)\tr"

#: Loops of chosen tiles in which LLVM uses the stack all the same.
SPILLS = {
    ("i8mm", "1x1_48x12"): "all steps are unrolled: inputs of all of them are loaded first",
    ("neon32", "3x3_3x64_pitch4"): "one vector of weights",
    ("neon32", "3x3_depthwise"): "four bytes go to a vector through the stack",
}


@pytest.mark.parametrize(("isa", "name"), CASES)
def test_intended_instruction(isa, name):
    spec, function = compiled(isa)[name]
    product, other, share = INTENDED[ISAS[isa].machine, primitive_of(spec).name]
    assert function.product_loops
    for body in map(function.body, function.product_loops):
        products = [i.text for i in body if function.is_product(i)]
        assert [p for p in products if not re.fullmatch(product, p)] == []
        assert sum(bool(re.fullmatch(other, i.text)) for i in body) >= share * len(products)
        assert not any(re.match(r"[su]addlp|vpaddl", i.mnemonic) for i in body)


@pytest.mark.parametrize(("isa", "name"), CASES)
def test_no_scalar_products(isa, name):
    _, function = compiled(isa)[name]
    for body in map(function.body, function.product_loops):
        if section(function, body) != body and not any(re.match(ELEMENT, i.text) for i in body):
            continue  # a loop over tiles that takes no element into a general register: addresses of its pixels
        assert [i.text for i in body if function.is_scalar_product(i)] == []


def _spills(isa, name):
    reason = SPILLS.get((isa, name))
    return pytest.param(isa, name, marks=pytest.mark.xfail(reason=reason, strict=True) if reason else ())


@pytest.mark.parametrize(("isa", "name"), [_spills(*case) for case in CASES])
def test_no_spills(isa, name):
    spec, function = compiled(isa)[name]
    assert [i.text for body in chosen_tiles(spec, function) for i in body if function.on_stack(i)] == []


@pytest.mark.parametrize("name", LAYERS)
def test_no_promised_alignment(name):
    """Rows need the alignment of an element only, two bytes at most.

    LLVM may promise more of its own stack and constants, and of one int32, to a lane or to all: parameters only.
    """
    _, function = compiled("neon32")[name]
    aligned = [i for i in function.instructions if i.alignment > 16]
    foreign = [i for i in aligned if not function.on_stack(i) and not function.reads_constant(i)]
    assert [i.text for i in foreign if not re.match(r"vld1\.32\t\{d\d+\[0?\]", i.text)] == []


@pytest.mark.parametrize("isa", ["avx512vnni", "avxvnni", "avx2"])
@pytest.mark.parametrize("full", [False, True])
def test_bounds_wait_for_bytes(isa, full):
    """A tame epilogue compares bytes, a full one nothing; bounds become bytes outside of the loop over tiles."""
    source, epilogue = LAYERS["3x3_3x64_pitch4"]
    stores = tuple(replace(s, full=full) for s in epilogue.stores)
    spec = choose(source, replace(epilogue, stores=stores, tame=True), isa).spec
    level = level_of(isa)
    text = build_module({"k": spec}, level, "x86_64-unknown-linux-gnu").inspect_source("asm")
    function = parse(text, "x86_64")[exported_name("k", level)]
    names = [i.mnemonic for i in function.instructions]
    assert not any(re.fullmatch("v(min|max)ps|vpmov[dq][bw]|vpm(in|ax)[su][dw]", name) for name in names)
    assert any(re.fullmatch("vpm(in|ax)ub", name) for name in names) is not full
    rounds = [a for a in function.loops if any(i.mnemonic == "vcvtps2dq" for i in function.body(a))]
    innermost = [a for a in rounds if not any(b.blocks < a.blocks for b in rounds)]
    assert innermost
    assert not any(i.mnemonic == "vcvttps2dq" for a in innermost for i in function.body(a))


@pytest.mark.parametrize("isa", ISAS)
def test_no_calls(isa):
    names = tuple(LAYERS) if isa in ARM else ("3x3_64x64_residual", "3x3_32x48_shuffle4", "3x3_depthwise")
    called = {name: [i.text for i in f.instructions if f.is_call(i)] for name, (_, f) in compiled(isa, names).items()}
    assert called == {name: [] for name in names}


#: What an inner loop of a window of 6x2 is made of beside counters: of each, how many.
WINDOWS = {
    "avx2": {"vpmaddubsw": 12, "vpaddw": 12, "vpbroadcastd": 6, "vmovdqu": 2},
    # An operand is overwritten, so that every other product is of a copy; inputs reach all lanes by a shuffle.
    "sse41": {"pmaddubsw": 12, "paddw": 12, "movd": 6, "pshufd": 6, "movdqa": 6, "movdqu": 2},
}


@pytest.mark.parametrize("window", [24, 37, 48, 144])
@pytest.mark.parametrize("isa", WINDOWS)
def test_windows(isa, window):
    """Steps of a run, of a whole kernel row, of all rows: sums of 16 bits stay in registers."""
    source, epilogue = layer(3, 64, 64, bits=6, weight_bits=4)
    spec = KernelSpec(source, epilogue, isa, "direct_window", Tile(6, 2, window))
    level = level_of(isa)
    text = build_module({"k": spec}, level, "x86_64-unknown-linux-gnu").inspect_source("asm")
    function = parse(text, "x86_64")[exported_name("k", level)]
    bodies = [b for b in map(function.body, function.product_loops) if sum(map(function.is_product, b)) == 12]
    assert bodies
    for body in bodies:
        counts = Counter(i.mnemonic for i in body if "mm" in i.text)
        assert counts == WINDOWS[isa]
        assert len(body) <= counts.total() + 5
        assert [i.text for i in body if function.on_stack(i)] == []


SMALL = """
	.type	f,@function
f:
	mov	w9, #3
.LBB0_1:
	mov	x8, xzr // comment
.LBB0_2:
	ldr	q0, [x0, #16]
	smlal	v1.4s, v0.4h, v2.4h
	smull	x3, w4, w5
	add	x8, x8, #16
	cmp	x8, #64
	b.ne	.LBB0_2
	str	q1, [sp, #32]
	add	x10, sp, #64
	st1	{ v1.16b }, [x10]
	subs	w9, w9, #1
	b.ne	.LBB0_1
	bl	memcpy
	ret
"""


def test_reads_assembly():
    function = parse(SMALL, "aarch64")["f"]
    outer, inner = function.loops
    assert (outer.depth, inner.depth) == (1, 2)
    assert function.innermost == function.product_loops == (inner,)
    assert (trips(function, outer), trips(function, inner)) == (3, 4)
    body = function.body(inner)
    assert [i.text for i in body if function.is_product(i)] == ["smlal\tv1.4s, v0.4h, v2.4h"]
    assert [i.text for i in body if function.is_scalar_product(i)] == ["smull\tx3, w4, w5"]
    assert body[0].address == "[x0, #16]"
    assert [i.mnemonic for i in function.instructions if function.on_stack(i)] == ["str", "st1"]
    assert [i.text for i in function.instructions if function.is_call(i)] == ["bl\tmemcpy"]


def test_reads_alignment():
    lines = ("add\tr3, sp, #64", "vld1.64\t{d0, d1}, [r3:128]", "vld1.8\t{d2}, [r0:64]!", "bx\tlr")
    function = parse("\t.type\tf,%function\nf:\n" + "".join(f"\t{line}\n" for line in lines), "arm")["f"]
    assert [(i.alignment, function.on_stack(i)) for i in function.instructions][1:3] == [(128, True), (64, False)]
