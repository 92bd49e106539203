"""Other runtimes on our networks: what is written for them, the check before timing, and where they run."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.frontend import states
from tvmsr.commands.source import open_model
from tvmsr.devices import Here, find_device
from tvmsr.devices.handle import device
from tvmsr.errors import DeviceError, UsageError, WorkError
from tvmsr.evaluation.peers import PEERS, ready_peer
from tvmsr.evaluation.peers.ncnn_graph import ncnn_files
from tvmsr.evaluation.peers.place import INSTALL, LocalShell, Place, place_for
from tvmsr.graph.execute import run_fp32
from tvmsr.graph.model import (
    INPUT,
    ActivateAttrs,
    Activation,
    AddAttrs,
    Colour,
    ConvAttrs,
    GatherAttrs,
    Graph,
    Model,
    Node,
    ShuffleAttrs,
)

#: A test of a runtime's own package is skipped where the package is not installed.
MODULES = {"ort": "onnxruntime", "ncnn": "ncnn"}


def conv(name: str, source: str, shape: tuple[int, int, int, int], **attrs) -> Node:
    rng = np.random.default_rng(len(name) + shape[3])
    groups = attrs.get("groups", 1)
    return Node(
        name,
        "conv",
        (source,),
        ConvAttrs(padding=(shape[0] // 2, shape[1] // 2) * 2, **attrs),
        {
            "weight": rng.normal(0, 0.3, shape).astype(np.float32),
            "bias": rng.normal(0, 0.1, shape[3]).astype(np.float32),
            "pad": rng.random(shape[2] * groups).astype(np.float32),
            "slope": np.linspace(0.1, 0.3, shape[3]).astype(np.float32),
        },
    )


def every_operation() -> Model:
    """Each operation and activation once, tensors with several readers, pads that are not zero."""
    nodes = [
        conv("a", INPUT, (3, 3, 3, 8), activation=Activation.LEAKY),
        conv("b", "a", (3, 3, 4, 8), groups=2, activation=Activation.CLIP, low=-0.5, high=0.75),
        conv("c", "b", (1, 1, 8, 8), activation=Activation.RELU),
        Node("sum", "add", ("a", "b", "c"), AddAttrs(Activation.RELU)),
        Node("gate", "activate", ("c",), ActivateAttrs(Activation.SIGMOID)),
        Node("gated", "mul", ("sum", "gate")),
        Node("silu", "activate", ("gated",), ActivateAttrs(Activation.SILU)),
        Node("gelu", "activate", ("gated",), ActivateAttrs(Activation.GELU)),
        Node("tanh", "activate", ("gated",), ActivateAttrs(Activation.TANH)),
        Node("prelu", "activate", ("gated",), ActivateAttrs(Activation.LEAKY), {"slope": np.full(8, 0.2, np.float32)}),
        Node("clip", "activate", ("a",), ActivateAttrs(Activation.CLIP, -0.1, 0.3)),
        Node("all", "concat", ("silu", "gelu", "tanh", "prelu", "clip")),
        Node("some", "gather", ("all",), GatherAttrs((3, 4, 5, 5, 0, 20, 21, 39))),
        conv("d", "some", (3, 3, 8, 12)),
        Node("repeated", "gather", (INPUT,), GatherAttrs((0, 1, 2) * 4)),
        Node("total", "add", ("d", "repeated"), AddAttrs()),
        Node("large", "depth_to_space", ("total",), ShuffleAttrs(2)),
    ]
    return Model(Graph(tuple(nodes), "large"), "every", "made up", 2, Colour.RGB, False, "", (), "")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("peers") / "srvgg.safetensors"
    save_file(states.srvgg(), path)
    return open_model(path)


@pytest.mark.parametrize("name", PEERS)
def test_the_same_network(name: str, small: Model) -> None:
    pytest.importorskip(MODULES[name])
    for model in (every_operation(), small):
        with ready_peer(name, Here(), model, 40, 30) as peer:
            assert peer.difference < 1e-4 and re.match(r"\d+\.\d+", peer.version)
            times = peer.times(1, 3)
            assert len(times) == 3 and min(times) > 0


def test_the_text_of_ncnn() -> None:
    param, weights = ncnn_files(every_operation())
    magic, counts, *layers = param.decode().splitlines()
    assert magic == "7767517"
    words = [line.split() for line in layers]
    ins = [w[4 : 4 + int(w[2])] for w in words]
    outs = [w[4 + int(w[2]) : 4 + int(w[2]) + int(w[3])] for w in words]
    made = [name for names in outs for name in names]
    assert counts == f"{len(layers)} {len(made)}" and len(set(made)) == len(made)
    read = [name for names in ins for name in names]
    assert len(set(read)) == len(read) and set(made) - set(read) == {"output"}  # one reader a blob
    for i, names in enumerate(ins):
        assert set(names) <= {name for earlier in outs[:i] for name in earlier}
    values = sum(
        node.weights[key].size for node in every_operation().graph if node.op == "conv" for key in ("weight", "bias")
    )
    pads, slopes, tags = 3 + 8 + 8, 8 + 8, 4  # c has no padding; slopes of a and prelu; a tag before each weight
    assert len(weights) == 4 * (values + pads + slopes + tags)


def test_an_operation_without_counterpart() -> None:
    node = Node("x", "affine", (INPUT,), weights={"scale": np.ones(3, np.float32), "shift": np.ones(3, np.float32)})
    model = Model(Graph((node,), "x"), "", "", 1, Colour.RGB, False, "", (), "")
    for name in PEERS:
        with pytest.raises(UsageError, match=f"x: affine has no .*--peer {name} cannot run"):
            ready_peer(name, Here(), model, 8, 8)


def test_no_such_peer(small: Model) -> None:
    with pytest.raises(UsageError, match="known are ort, ncnn"):
        ready_peer("tensorrt", Here(), small, 8, 8)


def test_a_package_that_is_missing_here(small: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LocalShell, "run", lambda *_, **__: (_ for _ in ()).throw(DeviceError("no")))
    with pytest.raises(UsageError, match=re.escape(f"{sys.executable} -m pip install ncnn")):
        ready_peer("ncnn", Here(), small, 8, 8)


@dataclass
class FakeShell:
    """A board on which our own FP32 executor answers in the place of a runtime, `wrong` added to it."""

    model: Model
    wrong: float = 0.0
    commands: list[tuple[str, ...]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    answer: bytes | None = None
    has_venv: bool = True

    def run(self, command: Sequence[str], *, stdin: bytes = b"", seconds: float = 30) -> bytes:
        self.commands.append(tuple(command))
        if command[0].endswith("/bin/python"):
            return self._run(json.loads(command[2]), stdin)
        if "$HOME" in command[-1]:
            return b"/home/pi"
        if "venv" in " ".join(command) and not self.has_venv:
            raise DeviceError("pi: sh ended with 1: ensurepip is not available")
        return b""

    def put(self, path: str, data: bytes) -> None:
        self.files[path] = data

    def _run(self, task: dict, stdin: bytes) -> bytes:
        if self.answer is not None:
            return self.answer
        assert set(task["files"]) <= set(self.files)
        head = {"version": "9.8", "shape": [], "times": [0.25] * task["runs"]}
        if task["runs"]:
            return json.dumps(head).encode() + b"\n"
        picture = np.frombuffer(stdin, "<f4").reshape(3, task["height"], task["width"]).transpose(1, 2, 0)
        result = run_fp32(self.model, picture).transpose(2, 0, 1) + np.float32(self.wrong)
        return json.dumps({**head, "shape": result.shape}).encode() + b"\n" + result.astype("<f4").tobytes()


@dataclass
class Board:
    shell: FakeShell | LocalShell | None
    name: str = "pi"


def test_on_a_board(small: Model) -> None:
    shell = FakeShell(small)
    with ready_peer("ort", Board(shell), small, 64, 32) as peer:
        assert (peer.version, peer.difference) == ("9.8", 0.0)
        assert peer.times(3, 2) == (0.25, 0.25)
    task = json.loads(shell.commands[-2][2])
    assert (task["width"], task["height"], task["threads"], task["exact"]) == (64, 32, 3, False)
    install = next(command for command in shell.commands if "pip install" in " ".join(command))
    assert install[-3:] == ("/home/pi/.cache/tvmsr/peers/onnxruntime", "onnxruntime", "onnxruntime")
    folders = {str(Path(path).parent) for path in shell.files}
    assert len(folders) == 1 and shell.commands[-1] == ("rm", "-rf", *folders)


@pytest.fixture
def a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A board's home on this machine; its python3 makes environments with pip only where the file `venv` is there."""
    home = tmp_path / "home"
    programs = tmp_path / "bin"
    for folder in (home, programs):
        folder.mkdir()
    python = programs / "python3"
    python.write_text(FAKE_PYTHON.format(home=home))
    python.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(home))
    return home


#: As Debian's without python3-venv, it leaves a Python without pip behind.
FAKE_PYTHON = """#!/bin/sh
case "$*" in
"-m venv --clear "*)
    rm -rf "$4" && mkdir -p "$4/bin" && cp "$0" "$4/bin/python"
    test -e {home}/venv || {{ echo 'ensurepip is not available' >&2; exit 1; }}
    touch "$4/pip" ;;
"-m pip --version") test -e "${{0%/bin/python}}/pip" ;;
"-m pip install --quiet numpy "*) test -e "${{0%/bin/python}}/pip" && touch "${{0%/bin/python}}/installed" ;;
"-c import "*) test -e "${{0%/bin/python}}/installed" ;;
*) exit 9 ;;
esac
"""


def test_an_environment_without_pip_is_made_anew(a_home: Path) -> None:
    board = Board(LocalShell())
    with pytest.raises(DeviceError, match=r"ensurepip is not available.*apt-get install python3-venv"):
        place_for(board, "onnxruntime", "onnxruntime")
    assert (a_home / ".cache/tvmsr/peers/onnxruntime/bin/python").exists()
    (a_home / "venv").touch()  # what was advised
    place = place_for(board, "onnxruntime", "onnxruntime")
    assert Path(place.folder).is_dir() and Path(place.python).exists()
    (a_home / "venv").unlink()  # what is there is used again
    assert place_for(board, "onnxruntime", "onnxruntime").python == place.python


def test_the_text_of_installing_is_posix_sh() -> None:
    LocalShell().run(("sh", "-n", "-c", INSTALL))


def test_what_runs_left_is_deleted(a_home: Path) -> None:
    (a_home / "venv").touch()
    board = Board(LocalShell())
    old, new = (place_for(board, "ncnn", "ncnn").folder for _ in range(2))
    Path(old, "model.bin").touch()
    hours_ago = time.time() - 3 * 3600
    os.utime(old, (hours_ago, hours_ago))
    place_for(board, "ncnn", "ncnn")
    assert not Path(old).exists() and Path(new).is_dir()


def test_clearing_hides_no_error() -> None:
    class Gone:
        def run(self, *_, **__) -> bytes:
            raise DeviceError("pi: is gone")

    with pytest.raises(KeyboardInterrupt):
        try:
            raise KeyboardInterrupt
        finally:
            Place(Gone(), "python", "folder").clear()


def test_a_handle_of_this_machine() -> None:
    place = place_for(find_device(device("here")), "numpy", "numpy")
    assert place.python == sys.executable and Path(place.folder).is_dir()
    place.clear()
    assert not Path(place.folder).exists()


def test_another_picture_is_no_comparison(small: Model) -> None:
    shell = FakeShell(small, wrong=2e-3)
    with pytest.raises(WorkError, match=r"another picture .*0\.002"):
        ready_peer("ncnn", Board(shell), small, 64, 32)
    assert shell.commands[-1][:2] == ("rm", "-rf")


@pytest.mark.parametrize("answer", [b"", b"hello\n", b"[1]\n", b'{"version": 1}\n'])
def test_nonsense(answer: bytes, small: Model) -> None:
    with pytest.raises(DeviceError, match="nonsense"):
        ready_peer("ort", Board(FakeShell(small, answer=answer)), small, 64, 32)


@pytest.mark.parametrize("raw", [b"", b"abc", bytes(8)])
def test_an_answer_of_another_size(raw: bytes, small: Model) -> None:
    answer = b'{"version": "1", "shape": [1, 1, 2], "times": []}\n' + raw
    with pytest.raises(WorkError, match="difference inf"):
        ready_peer("ort", Board(FakeShell(small, answer=answer)), small, 64, 32)


def test_times_that_are_none(small: Model) -> None:
    shell = FakeShell(small)
    with ready_peer("ort", Board(shell), small, 64, 32) as peer:
        shell.answer = b'{"version": "1", "shape": [], "times": [0.1, -1]}\n'
        with pytest.raises(DeviceError, match="in the place of 2 times"):
            peer.times(1, 2)


def test_boards_that_cannot(small: Model) -> None:
    with pytest.raises(UsageError, match="runs commands, here or one added with --ssh; pi does not"):
        ready_peer("ort", Board(None), small, 64, 32)
    with pytest.raises(DeviceError, match="python3-venv"):
        ready_peer("ort", Board(FakeShell(small, has_venv=False)), small, 64, 32)
