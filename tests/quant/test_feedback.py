from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tvmsr.quant.feedback import fed_forward


def problem(seed, groups, count, outs, spread=3.0):
    """A positive definite H with columns of very different size that say much the same, and a target."""
    rng = np.random.default_rng(seed)
    data = rng.normal(size=(groups, 3 * count, count)) + rng.normal(size=(groups, 3 * count, 1))
    data *= rng.uniform(0.2, spread, (groups, 1, count))
    return data.transpose(0, 2, 1) @ data, rng.normal(size=(groups, count, outs)) * spread


def by_definition(target, inputs, limit):
    """One group: fix the column with the largest diagonal of those left; the others become the best real numbers."""
    count, codes = len(target), np.empty_like(target)
    left = list(np.argsort(np.diagonal(inputs), kind="stable"))
    wish, fixed = target.copy(), []
    while left:
        k = left.pop()
        codes[k] = np.clip(np.rint(wish[k]), -limit, limit)
        fixed.append(k)
        if left:
            off = target[fixed] - codes[fixed]
            wish[left] = target[left] + np.linalg.solve(inputs[np.ix_(left, left)], inputs[np.ix_(left, fixed)] @ off)
    assert len(fixed) == count
    return codes


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 4), st.sampled_from([1, 7, 127]))
@settings(max_examples=60, deadline=None)
def test_every_column_is_the_best_for_those_before_it(seed, count, groups, limit):
    inputs, target = problem(seed, groups, count, 3)
    codes = fed_forward(target, inputs, limit)
    for group in range(groups):
        assert np.array_equal(codes[group], by_definition(target[group], inputs[group], limit))


@pytest.mark.parametrize("count", [63, 64, 65, 150])
def test_blocks_of_columns_are_one_after_another(count):
    inputs, target = problem(1, 2, count, 5)
    codes = fed_forward(target, inputs, 7)
    for group in range(2):
        assert np.array_equal(codes[group], by_definition(target[group], inputs[group], 7))


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 7, 127]))
@settings(max_examples=30, deadline=None)
def test_nearest_where_inputs_are_unrelated(seed, limit):
    rng = np.random.default_rng(seed)
    inputs = np.stack([np.diag(rng.uniform(0.1, 9, 70)) for _ in range(2)])
    target = rng.normal(size=(2, 70, 4)) * 20
    assert np.array_equal(fed_forward(target, inputs, limit), np.clip(np.rint(target), -limit, limit))
