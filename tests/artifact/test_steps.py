"""The driver's own steps against the reference executor: any shape, attribute and form, codes at their ends."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.lower.integer_nets import Net
from tests.lower.simulate import DTYPE
from tvmsr.graph.extent import Extent
from tvmsr.graph.model import INPUT, Grid, Resampling, Statistic
from tvmsr.kernels.layout import stored_zero
from tvmsr.kernels.spec import Form
from tvmsr.lower.spatial import plain_numbers, plain_spatial, spatial_of, why_not
from tvmsr.quant.held import Held
from tvmsr.quant.reference import INTEGER_REFERENCE

SETTINGS = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
BITS = st.sampled_from([2, 5, 8, 9, 12, 15, 16])
_FORMS = [Form.U8, Form.S8, Form.U16, Form.S16]
SIDE = st.integers(1, 23)
CHANNELS = st.sampled_from([1, 2, 3, 5, 16, 17, 33])


def forms_of(bits: int) -> list[Form]:
    return [Form.U8, Form.S8, Form.U16, Form.S16] if bits <= 8 else [Form.U16, Form.S16]


def stored(codes: np.ndarray, form: Form, bits: int, spare: int) -> np.ndarray:
    """Codes (H, W, C) as memory holds them, with `spare` channels of something else at the end of each pixel."""
    values = (codes.astype(np.int64) - form.offset(bits)).astype(DTYPE[form])
    return np.ascontiguousarray(np.pad(values, ((0, 0), (0, 0), (0, spare)), constant_values=77))


@dataclass(frozen=True)
class Memory:
    """How a step's x and its stores lie in memory, and where its rows are cut in two parts (of 1000)."""

    x: Form
    y: tuple[Form, ...]
    spare: tuple[int, int] = (0, 0)
    cut: int = 0


def memories(x_bits: int, y_bits: list[int]):
    spare = st.sampled_from([0, 3])
    x, *y = (st.sampled_from(forms_of(bits)) for bits in (x_bits, *y_bits))
    return st.builds(Memory, x, st.tuples(*y), st.tuples(spare, spare), st.integers(0, 999))


def check(steps_library, net: Net, x: np.ndarray, data, count: int = 1) -> None:
    """Run the last nodes of a net, one or several statistics, as one step on these codes of their input.

    data: of hypothesis, or a Memory.
    """
    nodes = net.nodes[-count:]
    node, source = nodes[0], net.held[nodes[0].inputs[0]]
    assert [why_not(n, source) for n in nodes] == [""] * count
    memory = data if isinstance(data, Memory) else data.draw(memories(source.bits, [n.output.bits for n in nodes]))
    operands = [Held(x, source)]
    if len(node.inputs) > 1:
        size = (net.sizes[node.inputs[1]][0](x.shape[0]), net.sizes[node.inputs[1]][1](x.shape[1]))
        operands.append(Held(np.zeros((*size, 1), np.uint8), source))
    want = [INTEGER_REFERENCE[n.op](n, tuple(operands)) for n in nodes]
    shape = x.shape if node.op == "statistic" else want[0].shape
    given = stored(x, memory.x, source.bits, memory.spare[0])
    arrays, stores, block = [given], [], b""
    for n, codes, form in zip(nodes, want, memory.y, strict=True):
        arrays.append(stored(np.full(codes.shape, 1), form, n.output.bits, memory.spare[1]))
        zeros = {"x_zero": stored_zero(memory.x, source.bits, source.zero)}
        zeros["y_zero"] = stored_zero(form, n.output.bits, n.output.zero)
        block += plain_spatial(plain_numbers(n, source.bits, zeros))
        s, pitch = spatial_of(n), arrays[-1].shape[2] * form.bytes
        stores += [s.method, int(s.unbiased), _FORMS.index(form), form.offset(n.output.bits), pitch]
    s = spatial_of(node)
    numbers = [
        *(int(s.kind), s.stride, *s.kernel, *getattr(node.attrs, "padding", (0, 0, 0, 0))),
        *(s.channels, s.grid, s.numerator, s.denominator, s.cubic),
        *(_FORMS.index(memory.x), memory.x.offset(source.bits), given.shape[2] * memory.x.bytes, *x.shape[:2]),
        *(*shape[:2], memory.cut * shape[0] // 1000, count, *stores),
    ]
    words = np.frombuffer(block + b"\0" * 4, np.uint8).copy()
    wrong = steps_library.step_run(
        np.array(numbers, np.int32).ctypes.data_as(ctypes.c_void_p),
        (ctypes.c_void_p * len(arrays))(*(a.ctypes.data for a in arrays)),
        words.ctypes.data_as(ctypes.c_void_p),
    )
    assert wrong is None, wrong
    for n, codes, form, got in zip(nodes, want, memory.y, arrays[1:], strict=True):
        np.testing.assert_array_equal(got, stored(codes, form, n.output.bits, memory.spare[1]))


def codes(data, net: Net, channels: int, bits: int, low: int = 1) -> np.ndarray:
    """A tensor `input` of random codes, many of them at the ends; a few pixels."""
    net.channels[INPUT], net.held[INPUT] = channels, net.code(channels, bits, data.draw(st.sampled_from([None, 0])))
    side = Extent()
    net.sizes[INPUT] = (side, side)
    rng, top = np.random.default_rng(data.draw(st.integers(0, 99))), (1 << bits) - 1
    size = (max(low, data.draw(SIDE)), max(low, data.draw(SIDE)), channels)
    ends = np.where(rng.random(size) < data.draw(st.sampled_from([0.0, 0.5, 1.0])), 0, top)
    found = np.where(rng.random(size) < data.draw(st.sampled_from([0.0, 0.3])), ends, rng.integers(0, top + 1, size))
    return found.astype(np.uint8 if bits <= 8 else np.uint16)


@SETTINGS
@given(data=st.data(), channels=CHANNELS, bits=BITS)
def test_max_pool(steps_library, data, channels, bits):
    net = Net()
    kernel = data.draw(st.tuples(st.integers(1, 7), st.integers(1, 7)))
    x = codes(data, net, channels, bits, 7)
    padding = tuple(data.draw(st.integers(0, kernel[i % 2] - 1)) for i in range(4))
    net.max_pool("y", INPUT, kernel, data.draw(st.integers(1, 4)), padding)
    check(steps_library, net, x, data)


@SETTINGS
@given(data=st.data(), channels=CHANNELS, bits=BITS, method=st.sampled_from(Resampling), grid=st.sampled_from(Grid))
def test_resize(steps_library, data, channels, bits, method, grid):
    net = Net()
    x = codes(data, net, channels, bits, 3)
    cubic = data.draw(st.sampled_from([-0.5, -0.75, -1.0]))
    if data.draw(st.booleans()):
        factor = data.draw(st.sampled_from([Fraction(n) for n in ("1", "2", "4", "1/3", "2/3", "7/5", "1/2")]))
        net.resize("y", INPUT, factor=factor, method=method, grid=grid, cubic=cubic)
    else:
        a, b = data.draw(st.integers(0, 3)), data.draw(st.integers(1, 30))
        side = Extent().then(a, b, data.draw(st.integers(1, 3) if b >= 3 else st.just(1)))
        net.sizes["other"], net.held["other"] = (side, side.then(1, 2)), net.held[INPUT]
        net.resize("y", INPUT, like="other", method=method, grid=grid, cubic=cubic)
    check(steps_library, net, x, data)


@SETTINGS
@given(data=st.data(), channels=CHANNELS, bits=BITS, kinds=st.lists(st.sampled_from(Statistic), min_size=1, max_size=7))
def test_statistic(steps_library, data, channels, bits, kinds):
    """Several are one step, whatever they are."""
    net = Net()
    x = codes(data, net, channels, bits)
    for i, kind in enumerate(kinds):
        net.statistic(f"y{i}", INPUT, kind, data.draw(BITS), data.draw(st.booleans()))
    check(steps_library, net, x, data, len(kinds))


@SETTINGS
@given(data=st.data(), channels=CHANNELS, bits=BITS, out=BITS, eps=st.sampled_from([0, 1, 777, 2**40]))
def test_layer_norm(steps_library, data, channels, bits, out, eps):
    net = Net()
    x = codes(data, net, channels, bits)
    net.layer_norm("y", INPUT, out, eps)
    check(steps_library, net, x, data)


def test_a_statistic_of_many_pixels(steps_library):
    """Sums that do not fit 32 bits, and runs of pixels that do not fit one."""
    for bits, width in ((8, 70_000), (16, 20_000)):
        for zero in (0, (1 << bits) - 1):
            net = Net()
            net.held[INPUT], net.channels[INPUT] = net.code(2, bits, zero), 2
            x = np.full((3, width, 2), (1 << bits) - 1 - zero, np.uint16 if bits > 8 else np.uint8)
            for kind in Statistic:
                net.statistic(kind.value, INPUT, kind, 16)
                for form in forms_of(bits):
                    check(steps_library, net, x, Memory(form, (Form.U16,), cut=500))
