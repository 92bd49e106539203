"""Trace, check pictures and files that promise what they have not, with hand-written programs."""

from __future__ import annotations

import ctypes
from dataclasses import replace

import numpy as np
import pytest

from tests.artifact import fake_reference
from tests.artifact.test_driver import picture, smallest_memory
from tvmsr.artifact import link
from tvmsr.artifact.link import link_shared
from tvmsr.errors import InputFileError, WorkError
from tvmsr.quant.checks import code_checksum
from tvmsr.runtime import abi, load

SUMS = {"blur0", "tall", "wide", "blur1", "add", "expand"}


def test_trace_is_the_same_however_it_was_computed(fake):
    image, expected = picture(60, 90), None
    for level in ("direct", "copied"):
        for threads, factor in ((1, None), (3, None), (2, 1.2)):
            memory = factor and smallest_memory(fake, 90, 60, threads) * factor
            with load(fake, level=level, threads=threads, memory=memory) as session:
                result, sums = session.traced(image)
            np.testing.assert_array_equal(result, fake_reference.upscale(image))
            assert {found.tensor for found in sums} == SUMS
            expected = expected or sums
            assert sums == expected
    assert expected[-1].sum == code_checksum(fake_reference.upscale(image))


def test_trace_into_any_picture(fake):
    image = picture(20, 30)
    with load(fake) as session:
        _, expected = session.traced(image)
        alpha = np.dstack([image, image[:, :, 0]])
        assert session.traced(alpha)[1] == expected
        assert session.traced(image[::-1].copy()[::-1])[1] == expected


def test_no_sums_of_what_was_cancelled(fake):
    """By the ABI itself: `traced` has no progress to cancel by."""
    image = picture(200, 400)
    with load(fake, threads=2, memory=smallest_memory(fake, 400, 200) * 2) as session:
        library, handle = session._abi, session._open
        sums, count = ctypes.POINTER(abi.StepSum)(), ctypes.c_size_t(9)
        read = (handle, ctypes.byref(sums), ctypes.byref(count))
        assert library.read_trace(*read) == 0 and count.value == 0
        assert library.trace(handle, 1) == 0
        session.upscale(image)
        assert library.read_trace(*read) == 0 and count.value == 6
        with pytest.raises(WorkError, match="cancelled"):
            session.upscale(image, progress=lambda done, total: True)
        assert library.read_trace(*read) == 0 and count.value == 0
        assert library.read_trace(handle, None, None) == 2


def test_self_check(fake, tmp_path, triple):
    for level in ("direct", "copied"):
        with load(fake, level=level, self_check=True) as session:
            session.check()
    right = fake_reference.parts()
    wrong = replace(right, tables=right.tables.replace("(1 + 2 * dy + dx) + bias)", "(1 + 2 * dy + dx) + bias + 1)"))
    assert wrong != right
    link_shared(wrong, tmp_path / "wrong.so", link_triple=triple)
    with pytest.raises(WorkError, match=r"check picture 1 of 2 .* level direct computes wrongly here"):
        load(tmp_path / "wrong.so", self_check=True)
    with load(tmp_path / "wrong.so") as session, pytest.raises(WorkError, match="check picture 1 of 2"):
        session.check()


def test_self_check_does_not_count(fake):
    image = picture(70, 90)
    with load(fake, threads=2) as session:
        assert session.traced(image)[0].shape == (140, 180, 3)
        session.force_choice(1)
        session.upscale(image)
        last = session.last()
        session.check()
        assert session.last() == last and session.predict_choice(image) == 1
        np.testing.assert_array_equal(session.upscale(image), fake_reference.upscale(image, 1))
    with load(fake, threads=1, memory=0.001) as session, pytest.raises(WorkError, match="the limit is"):
        session.check()


def test_a_file_that_promises_more(fake, tmp_path, triple):
    link_shared(fake_reference.parts(manifest={"data_size": 9}), tmp_path / "more.so", link_triple=triple)
    with pytest.raises(InputFileError, match="not as long as its manifest says"):
        load(tmp_path / "more.so")
    link_shared(fake_reference.parts(manifest={"data_size": 8}), tmp_path / "same.so", link_triple=triple)
    load(tmp_path / "same.so").close()


def test_a_file_of_an_earlier_release(tmp_path, triple, monkeypatch):
    older = tuple(name for name in link.API if name not in ("trace", "read_trace", "check"))
    monkeypatch.setattr(link, "API", older)
    link_shared(fake_reference.parts(), tmp_path / "older.so", link_triple=triple)
    image = picture(5, 6)
    with load(tmp_path / "older.so") as session:
        np.testing.assert_array_equal(session.upscale(image), fake_reference.upscale(image))
        with pytest.raises(InputFileError, match="earlier tvmsr, without trace; compile it again"):
            session.traced(image)
        with pytest.raises(InputFileError, match="earlier tvmsr, without check"):
            session.check()
