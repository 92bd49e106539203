"""Bit choices tile by tile, with a hand-written program, against the definition in tvmsr/quant/tiles.py."""

from __future__ import annotations

import ctypes
from itertools import pairwise

import numpy as np
import pytest

from tests.artifact import fake_reference
from tests.artifact.fake_reference import layer_by_layer
from tests.artifact.test_choices import BELOW, soft
from tests.artifact.test_driver import picture
from tvmsr.artifact.link import link_shared
from tvmsr.errors import StatusError, UsageError, WorkError
from tvmsr.imaging.colour import gray_of_rgb
from tvmsr.quant.tiles import BAND, blend, complexities, repeated
from tvmsr.runtime import Session, abi, load

BOARD = np.array([[0, 1], [1, 0]], np.uint8)
TILE = 20


@pytest.fixture(scope="module")
def made(tmp_path_factory, triple):
    folder, known = tmp_path_factory.mktemp("tiles"), {}

    def make(tile: int = TILE, whole: int = 0, more: str = "", cc: str | None = None):
        key = (tile, whole, more, cc)
        if key not in known:
            known[key] = folder / f"{len(known)}.so"
            define = f"#define BELOW {BELOW}\n#define TILES {tile}, {BAND}, {whole}\n{more}"
            link_shared(fake_reference.parts(define=define), known[key], link_triple=triple, cc=cc)
        return known[key]

    return make


def wanted(image: np.ndarray, choices: np.ndarray, tile: int = TILE) -> np.ndarray:
    return blend({c: fake_reference.upscale(image, c) for c in (0, 1)}, choices, tile, 2)


def mixed(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Noise that is strong in some places and weak in others."""
    rng = np.random.default_rng(seed)
    strength = np.kron(rng.integers(0, 2, (-(-height // 24), -(-width // 24))), np.ones((24, 24), np.int64))
    return (picture(height, width) >> (4 * strength[:height, :width, None])).astype(np.uint8)


@pytest.mark.parametrize("level", ["direct", "copied"])
@pytest.mark.parametrize("threads", [1, 3])
def test_tiles_choose(made, level, threads):
    seen = set()
    with load(made(), level=level, threads=threads) as session:
        for image in (mixed(90, 130), mixed(61, 40, 1), soft(50, 50), picture(45, 70), mixed(39, 200), soft(5, 7)):
            choices = (complexities(image, TILE) < BELOW).astype(np.uint8)
            np.testing.assert_array_equal(session.tiles(image), choices)
            np.testing.assert_array_equal(session.upscale(image), wanted(image, choices))
            counts = np.bincount(choices.reshape(-1), minlength=2)
            assert session.last().tiles == tuple(counts)
            assert session.last().choice == session.predict_choice(image) == counts.argmax()
            np.testing.assert_array_equal(session.tiles(), choices)
            seen.add(len(np.unique(choices)))
    assert seen == {1, 2}


@pytest.mark.parametrize("tile", [BAND, 33])
@pytest.mark.parametrize("more", ["", "#define GRANULE 4\n"])
def test_any_map(made, tile, more):
    """Parts of every form: alone, in rows, together with what lies between them."""
    rng = np.random.default_rng(tile)
    with load(made(tile, more=more), threads=2) as session:
        for share, shape in (
            (0.1, (150, 210)),
            (0.5, (130, 170)),
            (0.9, (150, 210)),
            (0.5, (31, 190)),
            (0.5, (190, 16)),
        ):
            image = picture(*shape)
            pattern = (rng.random((9, 13)) < share).astype(np.uint8)
            session.force_tiles(pattern)
            choices = repeated(pattern, image, tile)
            np.testing.assert_array_equal(session.tiles(image), choices)
            np.testing.assert_array_equal(session.upscale(image), wanted(image, choices, tile))


def test_of_any_format(made):
    """Gray is the gray of the blended colours; alpha is what it is without tiles; rows may have gaps."""
    image = picture(70, 90, 4)
    colours = np.ascontiguousarray(image[:, :, :3])
    gray = picture(70, 90, 1)
    with load(made(), threads=2) as session, load(made()) as whole:
        whole.force_choice(0)
        session.force_tiles(BOARD)
        want = wanted(colours, repeated(BOARD, image, TILE))
        got = session.upscale(image)
        np.testing.assert_array_equal(got[:, :, :3], want)
        np.testing.assert_array_equal(got[:, :, 3], whole.upscale(image)[:, :, 3])
        np.testing.assert_array_equal(session.upscale(image[::-1])[::-1][:, :, 3], got[:, :, 3])
        part = colours[:, 10:60]
        np.testing.assert_array_equal(session.upscale(part), wanted(part, repeated(BOARD, part, TILE)))
        together = np.repeat(gray[:, :, None], 3, axis=2)
        want = gray_of_rgb(wanted(together, repeated(BOARD, gray, TILE)))
        np.testing.assert_array_equal(session.upscale(gray), want)


@pytest.mark.parametrize("whole", [0, 1])
def test_within_a_limit(made, whole):
    """Fewer rows at one time, the same bytes; below that it is refused, with what it would take."""
    image, path = picture(160, 90), made(whole=whole)
    want = wanted(image, repeated(BOARD, image, TILE))
    with load(path, threads=2) as session:
        session.force_tiles(BOARD)
        free = session.workspace(90, 160)
        np.testing.assert_array_equal(session.upscale(image), want)
        assert session.last().workspace <= free
    fitted = set()
    for part in (1.0, 0.9, 0.7, 0.5, 0.35, 0.25, 0.1, 0.01):
        with load(path, threads=2, memory=free * part / 2**20) as session:
            session.force_tiles(BOARD)
            try:
                needed = session.workspace(90, 160)
            except StatusError as error:
                assert "takes" in str(error) and f"the limit is {int(free * part)}" in str(error)
                with pytest.raises(WorkError, match="the limit is"):
                    session.upscale(image)
                continue
            np.testing.assert_array_equal(session.upscale(image), want)
            assert session.last().workspace <= needed <= free * part
            fitted.add(session.last().strips)
    assert len(fitted) >= (2 if whole else 3)


def test_forced(made):
    """One choice for all comes before those of tiles, and these before what tiles choose."""
    image = mixed(60, 80)
    own = (complexities(image, TILE) < BELOW).astype(np.uint8)
    with load(made()) as session, load(made(), adaptive=False) as fixed:
        assert session.tiles().shape == (0, 0) and session.last().tiles == ()
        session.force_tiles(BOARD)
        session.force_choice(1)
        np.testing.assert_array_equal(session.tiles(image), [[1]])
        np.testing.assert_array_equal(session.upscale(image), fake_reference.upscale(image, 1))
        assert session.last().tiles == (0, 1)
        session.force_choice(None)
        np.testing.assert_array_equal(session.upscale(image), wanted(image, repeated(BOARD, image, TILE)))
        session.force_tiles(None)
        np.testing.assert_array_equal(session.upscale(image), wanted(image, own))
        np.testing.assert_array_equal(fixed.upscale(image), fake_reference.upscale(image, 0))
        fixed.force_tiles(BOARD)
        np.testing.assert_array_equal(fixed.upscale(image), wanted(image, repeated(BOARD, image, TILE)))
        with pytest.raises(WorkError, match="choice 2; the file has 2"):
            session.force_tiles(BOARD + 1)
        with pytest.raises(WorkError, match="0 x 0 tiles"):
            session.force_tiles(BOARD[:0, :0])
        for wrong in (BOARD.astype(np.int64) + 256, BOARD[0], BOARD / 2):
            with pytest.raises(UsageError, match="whole numbers, 0 to 255"):
                session.force_tiles(wrong)


def test_pictures_that_choose_as_a_whole(fake):
    image = picture(60, 80)
    with load(fake) as session:
        with pytest.raises(WorkError, match="choose as a whole"):
            session.force_tiles(BOARD)
        session.upscale(image)
        np.testing.assert_array_equal(session.tiles(), [[0]])
        assert session.last().tiles == (1, 0)


def test_progress_and_cancel(made, triple):
    image = picture(160, 90)
    for path, memory in ((made(), None), (made(), 0.4), (made(cc=layer_by_layer(triple)), None)):
        with load(path, threads=2, memory=memory) as session:
            session.force_tiles(BOARD)
            calls: list[tuple[int, int]] = []
            session.upscale(image, progress=lambda done, total, calls=calls: calls.append((done, total)))
            assert {total for _, total in calls} == {320}
            assert all(before <= after for (before, _), (after, _) in pairwise(calls))
            assert [done == 320 for done, _ in calls] == [False] * (len(calls) - 1) + [True]
            assert len({done for done, _ in calls}) >= 3
            for at in range(len(calls)):
                left = iter(range(at))
                cancel = lambda done, total, left=left: next(left, None) is None  # noqa: E731
                if at == len(calls) - 1:
                    session.upscale(image, progress=cancel)
                    continue
                with pytest.raises(WorkError, match=f"cancelled after {calls[at][0]} of 320 rows"):
                    session.upscale(image, progress=cancel)
            np.testing.assert_array_equal(session.upscale(image), wanted(image, repeated(BOARD, image, TILE)))


def test_what_ran_is_told(made):
    """A trace has whole pictures, choice by choice; a profile, the cost of choosing and all that was computed."""
    image = mixed(60, 80)
    with load(made(), threads=2) as session, load(made()) as alone:
        session.profiling(True)
        result, sums = session.traced(image)
        np.testing.assert_array_equal(result, wanted(image, session.tiles()))
        each = []
        for choice in (0, 1):
            alone.force_choice(choice)
            each += alone.traced(image)[1]
        assert list(sums) == each
        rows = {row.name: row.calls for row in session.profile()}
        assert rows["choice"] == 1 and rows["add"] and rows["a6:add"] and rows["output"]


@pytest.mark.parametrize("tiles", ["8, 16, 0", "70000, 16, 0", "20, 15, 0", "20, 0, 0", "200, 66, 0"])
def test_wrong_tables(tmp_path, triple, tiles):
    path = tmp_path / "wrong.so"
    link_shared(fake_reference.parts(define=f"#define BELOW 5\n#define TILES {tiles}\n"), path, link_triple=triple)
    with pytest.raises(Exception, match="damaged: its tiles"):
        load(path)


def multiplications(session: Session) -> int:
    times, count = ctypes.POINTER(abi.StepTime)(), ctypes.c_size_t()
    session._call(session._abi.read_profile, ctypes.byref(times), ctypes.byref(count))
    return sum(times[i].macs for i in range(count.value))


def test_choices_compute_what_they_give(made):
    """Not whole pictures: what their tiles have, the bands around them, and what the network sees around those."""
    found = {}
    patterns = {
        "one": np.zeros((1, 1)),
        "halves": np.repeat([[0, 1]], 5, axis=1),
        "below": np.repeat([[0], [1]], 5, axis=0),
        "corner": np.pad(np.ones((1, 1)), ((0, 9), (0, 9))),
        "board": BOARD,
    }
    with load(made(32)) as session:
        for name, pattern in patterns.items():
            session.force_tiles(pattern.astype(np.uint8))
            session.profiling(True)
            session.upscale(picture(320, 320))
            found[name] = multiplications(session)
    part = {name: macs / found["one"] for name, macs in found.items()}
    beside = (BAND // 2 + 4) / 320  # the network sees 4 pixels
    assert part["halves"] == pytest.approx(1 + 2 * beside, rel=0.01)
    assert part["below"] == pytest.approx(1 + 2 * beside, rel=0.01)
    assert part["corner"] == pytest.approx(1 + (0.1 + beside) ** 2, rel=0.01)
    assert 1.9 < part["board"] <= 2.01
