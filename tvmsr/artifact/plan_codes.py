"""Weight codes of a plan as they lie in an artifact: not a second time, but where the artifact's data has them.

In the place of base64 stands `@first:count:bits`: so many codes from that byte of the data section on, a byte each, or
two in a byte where bits is 4 (tvmsr.kernels.layout.plain_weights).
"""

from __future__ import annotations

import base64
import binascii
import re

import numpy as np
from numpy.typing import NDArray

_GIVEN = re.compile(r'("weight_codes": ")([A-Za-z0-9+/=]+)"')
_REFERENCE = re.compile(r'("weight_codes": ")@(\d{1,12}):(\d{1,12}):([48])"')


def with_references(text: str, data: bytes) -> str:
    """A plan's JSON with references in the place of the codes that `data` holds."""

    def reference(match: re.Match[str]) -> str:
        try:
            codes = np.frombuffer(base64.b64decode(match[2], validate=True), np.int8)
        except binascii.Error:
            return match[0]
        for bits in (8, 4):
            at = data.find(_stored(codes, bits)) if bits == 8 or np.abs(codes).max(initial=0) < 8 else -1
            if at >= 0 and base64.b64encode(codes.tobytes()).decode() == match[2]:
                return f'{match[1]}@{at}:{codes.size}:{bits}"'
        return match[0]

    return _GIVEN.sub(reference, text)


def with_codes(text: str, data: bytes, most: int) -> str:
    """The JSON again, of at most `most` characters. ValueError where a reference points out of `data`."""
    if len(text) + sum(4 * (int(match[3]) // 3 + 1) for match in _REFERENCE.finditer(text)) > most:
        raise ValueError("too long")

    def codes(match: re.Match[str]) -> str:
        first, count, bits = (int(match[k]) for k in (2, 3, 4))
        raw = data[first : first + (count * bits + 7) // 8]
        if len(raw) * 8 < count * bits:
            raise ValueError("a reference of weight codes points out of the data")
        return f'{match[1]}{base64.b64encode(_read(raw, count, bits)).decode()}"'

    return _REFERENCE.sub(codes, text)


def _stored(codes: NDArray[np.int8], bits: int) -> bytes:
    from tvmsr.kernels.layout import plain_weights

    return plain_weights(codes, bits)


def _read(raw: bytes, count: int, bits: int) -> bytes:
    if bits == 8:
        return raw
    both = np.frombuffer(raw, np.uint8)
    halves = np.stack([both & 15, both >> 4], axis=-1).reshape(-1)[:count].astype(np.int8)
    return np.where(halves > 7, halves - 16, halves).astype(np.int8).tobytes()
