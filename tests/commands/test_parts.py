"""Folders of results that do not count yet."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tvmsr.commands.parts import Parts

pytest.importorskip("fcntl")


def test_gone_at_every_end(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    with pytest.raises(ZeroDivisionError), Parts(out) as parts:
        (parts.path / "1").write_bytes(b"x")
        assert parts.path.parent == out and parts.path.name.startswith(".")
        raise ZeroDivisionError
    assert not out.exists()
    with Parts(out) as parts:
        (parts.path / "1").rename(out / "1") if (parts.path / "1").exists() else (out / "1").write_bytes(b"x")
    assert [path.name for path in out.iterdir()] == ["1"]


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    script = "import os, signal, sys; from pathlib import Path; from tvmsr.commands.parts import Parts\n"
    script += "parts = Parts(Path(sys.argv[1])); (parts.path / '1').write_bytes(b'x'); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    (forgotten,) = tmp_path.iterdir()
    (tmp_path / ".tvmsr-file").write_bytes(b"mine")
    with Parts(tmp_path) as one, Parts(tmp_path) as other:
        assert one.path.exists() and other.path.exists() and not forgotten.exists()
    assert [path.name for path in tmp_path.iterdir()] == [".tvmsr-file"]
