"""Weight codes that fit data: the integers whose sums come nearest to wanted ones, in the mean square.

Every array is by group: H (G, K, K) of the inputs, positive definite, and weights (G, K, O) in units of weight codes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

#: Columns that are rounded before what they left behind is passed on to those further away.
_BLOCK = 64


def fed_forward(target: F64, inputs: F64, limit: int) -> F64:
    """Integer codes (G, K, O) within +-limit near `target` in the sense of `inputs`, their H.

    Column by column, those with the largest diagonal first: each is rounded, and the columns that are left take over
    what that costs, as well as real numbers could. (With H = L L^T of columns in the reverse order, row k of L^T d
    holds the columns that came before k and k itself, so column k can make good exactly what its row is off by.)
    """
    count = target.shape[1]
    order = np.argsort(np.diagonal(inputs, axis1=1, axis2=2), axis=1, kind="stable")
    sorted_inputs = np.take_along_axis(np.take_along_axis(inputs, order[:, :, None], 1), order[:, None, :], 2)
    factor = np.linalg.cholesky(sorted_inputs)
    factor /= np.diagonal(factor, axis1=1, axis2=2)[:, None, :]
    left = np.take_along_axis(target, order[:, :, None], 1)
    codes = np.empty_like(left)
    exact = left.copy()
    for stop in range(count, 0, -_BLOCK):
        start = max(0, stop - _BLOCK)
        for k in range(stop - 1, start - 1, -1):
            codes[:, k] = np.clip(np.rint(left[:, k]), -limit, limit)
            error = exact[:, k] - codes[:, k]
            left[:, start:k] += factor[:, k, start:k, None] * error[:, None, :]
        errors = exact[:, start:stop] - codes[:, start:stop]
        left[:, :start] += factor[:, start:stop, :start].transpose(0, 2, 1) @ errors
    found = np.empty_like(codes)
    np.put_along_axis(found, order[:, :, None], codes, 1)
    return found
