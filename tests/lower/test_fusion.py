"""What became one step, and what is stored: the memory plan of networks of the known kinds."""

from fractions import Fraction

import pytest

from tests.lower.networks import ALL, LEAKY, TANH, Builder, dense, gated, imdn, leaky_sums, moves, pads, simple_gates
from tests.lower.test_programs import LEVELS, integer_graph
from tests.quant.networks import split_concat
from tvmsr.errors import WorkError
from tvmsr.kernels.spec import Conv, Form, Load, Reads
from tvmsr.lower.pipeline import lower

VNNI = next(level for level in LEVELS if level.name == "avx512vnni")


def program(model, bits="8", **options):
    return lower(integer_graph(model, bits, **options), VNNI)


def stores(program):
    """Step -> [(buffer, channels, block, reads)]."""
    found = {}
    for step in program.steps:
        views = step.operands[step.spec.read_operands :]
        found[step.name] = [
            (view.buffer, store.channels, store.block, store.reads)
            for view, store in zip(views, step.spec.epilogue.stores, strict=True)
        ]
    return found


@pytest.mark.parametrize("name", ["plain", "residual", "imdn", "srvgg", "odd_channels"])
def test_every_step_is_a_convolution(name):
    """No pass over memory of its own, and no int32 map: adds, splits, concats, shuffles, anchors are epilogues."""
    model = ALL[name]()
    done = program(model)
    convs = [node.name for node in model.graph if node.op == "conv"]
    assert [step.name for step in done.steps] == convs
    assert all(isinstance(step.spec.source, Conv) for step in done.steps)
    assert {buffer.form for buffer in done.buffers} <= {Form.U8, Form.U16}
    assert sorted(n for step in done.steps for n in step.nodes if n in convs) == sorted(convs)


def test_plain():
    done = program(ALL["plain"]())
    last = done.steps[-1]
    assert last.nodes == ("c2", "sum", "out")
    (anchor,) = last.spec.epilogue.residuals
    assert anchor.modulo == 3
    assert [view.buffer for view in last.operands] == ["c1", "input", "out"]
    assert [(b.name, b.pitch, b.border, b.rows.ratio) for b in done.buffers] == [
        ("input", 4, 1, 1),
        ("c0", 8, 1, 1),
        ("c1", 8, 1, 1),
        ("out", 3, 0, Fraction(2)),
    ]
    assert last.macs_per_pixel == 9 * 8 * 12
    assert done.radius == 3


def test_stream_is_stored_twice():
    done = program(ALL["residual"]())
    assert stores(done)["b0b"] == [("b0", 8, 1, Reads.VALUE), ("b0.read", 8, 1, Reads.CODE)]
    # The last reading of the stream needs no stream.
    assert stores(done)["close"] == [("long.read", 8, 1, Reads.CODE)]
    forms = {buffer.name: buffer.form for buffer in done.buffers}
    assert (forms["b0"], forms["b0.read"]) == (Form.U16, Form.U8)
    residuals = [step.spec.epilogue.residuals for step in done.steps if step.spec.epilogue.residuals]
    assert all(r.identity for (r,) in residuals)
    assert stores(done)["up"] == [("up_shuffle", 8, 2, Reads.VALUE)]


def test_splits_and_concats_are_views():
    done = program(imdn())
    buffers = {buffer.name: buffer for buffer in done.buffers}
    assert not {"b0k0", "b0r0", "b0c3"} & set(buffers)
    # Kept channels go into the concat, the rest alone into the tensor's own place.
    assert stores(done)["b0c0"] == [("b0c0", 9, 1, Reads.VALUE), ("b0joined", 3, 1, Reads.VALUE)]
    assert buffers["b0c0"].pitch == 12
    assert stores(done)["b0c3"] == [("b0joined", 3, 1, Reads.VALUE)]
    offsets = [
        v.offset for step in done.steps for v in step.operands if v.buffer == "b0joined" and "fuse" not in step.name
    ]
    assert sorted(offsets) == [0, 3, 6, 9]


def test_dense():
    done = program(dense())
    copies = [step for step in done.steps if isinstance(step.spec.source, Load)]
    assert [step.name for step in copies] == ["two.input"]
    # "one" lives in "two" when both have its codes; x and y are there twice only where they cannot.
    assert {buffer.name for buffer in done.buffers} <= {"input", "one", "two", "c0", "c1", "c2", "c3", "last", "out"}


def test_pads_that_differ_get_places():
    done = program(pads())
    buffers = {buffer.name: buffer for buffer in done.buffers}
    assert buffers["input"].pad.tolist() != buffers["input.2"].pad.tolist()
    assert buffers["c0"].pad.tolist() != buffers["c0.2"].pad.tolist()
    assert (buffers["c0"].border, buffers["c0.2"].border) == (1, 2)
    assert len(stores(done)["c0"]) == 2


def test_moves_that_need_a_pass():
    done = program(moves())
    loads = {step.name for step in done.steps if isinstance(step.spec.source, Load)}
    assert loads == {"turned", "s1", "total"}
    assert next(step for step in done.steps if step.name == "turned").spec.source.channels == tuple(range(31, -1, -1))


def test_a_table_ends_the_step_whose_code_it_looks_up():
    """Of a convolution, a sum, a product; not where something else reads that code too."""
    b = Builder(5)
    x = b.activate("of_sum", b.add("sum", b.conv("c0", "input", 8), b.conv("c1", "input", 8)), TANH)
    x = b.activate("of_product", b.mul("product", x, b.conv("c2", x, 8)), TANH)
    kept = b.conv("kept", x, 8)
    x = b.add("both", b.activate("of_kept", kept, TANH), kept)
    done = {step.name: step for step in program(b.model(b.shuffle("out", b.conv("last", x, 12), 2))).steps}
    assert [name for name, step in done.items() if step.spec.epilogue.table] == ["c1", "product", "of_kept"]
    assert done["c1"].nodes[:3] == ("c1", "sum", "of_sum") and len(done["c1"].spec.epilogue.residuals) == 1
    assert isinstance(done["of_kept"].spec.source, Load)


def test_an_activation_ends_the_step_whose_sum_it_reads():
    """With the reading of what it makes as a store; not where something else reads the sum too."""
    done = program(leaky_sums())
    assert all(isinstance(step.spec.source, Conv) for step in done.steps)
    ended = {step.name: step for step in done.steps if step.spec.epilogue.post}
    assert [step.nodes[:3] for step in ended.values()] == [
        (f"b{i}c{j}", f"b{i}s{j}", f"b{i}a{j}") for i in range(2) for j in range(2)
    ]
    held = stores(done)
    assert held["b0c0"] == [("b0a0", 9, 1, Reads.VALUE), ("b0a0.read", 9, 1, Reads.CODE)]
    assert held["b0c1"] == [("b0a1.read", 9, 1, Reads.CODE)]
    assert not {"b0s0", "b0s1"} & {buffer.name for buffer in done.buffers}
    b = Builder(1)
    total = b.add("total", b.conv("c0", "input", 8), b.conv("c1", "input", 8))
    both = b.add("both", b.conv("c2", b.activate("leaky", total, LEAKY), 8), total)
    done = program(b.model(b.shuffle("out", b.conv("last", both, 12), 2)))
    assert [step.name for step in done.steps if isinstance(step.spec.source, Load)] == ["leaky"]
    assert not any(step.spec.epilogue.post for step in done.steps)


def test_gates():
    """A product is one pass; a slice, a shuffle and a concat of it are its stores, and it reads slices as views."""
    done = program(simple_gates())
    passes = {step.name: step for step in done.steps if isinstance(step.spec.source, Load)}
    assert {name for name, step in passes.items() if step.spec.times} == {"half", "scaled", "last"}
    # Codes of 15 bits lie as 16; what only the 8-bit joined tensor holds is requantized into it.
    half = passes["half"]
    assert [(view.buffer, view.offset) for view in half.operands[:2]] == [("c0", 0), ("c0", 14)]
    assert half.spec.source.times == half.spec.source.x
    assert stores(done)["scaled"] == [("s0", 6, 2, Reads.VALUE)]
    assert stores(done)["last"] == [("out", 3, 2, Reads.VALUE)]


def test_a_reading_of_a_product_is_a_store():
    done = program(gated())
    step = next(step for step in done.steps if step.name == "weighted")
    assert step.spec.times and len(step.spec.epilogue.stores) > 1


def test_split_concat():
    (product,) = (step for step in program(split_concat()).steps if isinstance(step.spec.source, Load))
    assert (product.name, product.nodes[0]) == ("gated", "gated")
    assert product.spec.times.form is Form.U16


def test_an_output_that_is_no_multiple_is_named():
    b = Builder()
    x = b.conv("valid", "input", 12, padding=(0, 0, 0, 0))
    with pytest.raises(WorkError, match=r"'out' cannot be compiled: it has .* pixels, not 2 times the picture's"):
        program(b.model(b.shuffle("out", x, 2)))


def test_what_nobody_reads_is_not_computed():
    """Of a concat whose middle is left out, the parts at both ends lie side by side, and no step makes the middle."""
    b = Builder(3)
    first, middle, last = (b.conv(name, "input", 8) for name in ("first", "middle", "last"))
    joined = b.concat("joined", first, b.conv("before", middle, 8), last, b.conv("late", "input", 8))
    c = b.conv("c", b.gather("start", joined, range(2, 8)), 8)
    b.conv("out", b.add("sum", c, b.gather("end", joined, range(18, 26))), 12)
    done = program(b.model(b.shuffle("fine", "out", 2)), max_drop=None)
    assert [step.name for step in done.steps] == ["first", "last", "late", "c", "out"]
    held = {step.name: step.stored[0] for step in done.steps[:3]}
    assert [(held[name].first, held[name].channels) for name in held] == [(2, 6), (2, 6), (0, 2)]
    (place,) = (buffer for buffer in done.buffers if buffer.name == "joined")
    assert place.channels == 6 + 6 + 2
    assert [view.offset for step in done.steps[:3] for view in step.operands[1:]] == [0, 6, 12]
