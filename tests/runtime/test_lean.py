"""Running artifacts needs numpy and Pillow, nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import tvmsr

SCRIPT = """
import json, sys
import tvmsr
tvmsr.load
import tvmsr.devices.runner
import tvmsr.runtime.sections
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""

HEAVY = {"tvm", "tvm_ffi", "torch", "onnx", "pydantic", "rich", "typer", "safetensors", "ziglang", "scipy"}
HEAVY |= {"threadpoolctl"}


def test_imports():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert not HEAVY & set(json.loads(done.stdout))


RUN = """
import sys
import numpy as np
import tvmsr
picture = np.arange(20 * 30 * 3, dtype=np.uint8).reshape(20, 30, 3)
with tvmsr.load(sys.argv[1]) as session:
    session.upscale(picture).tofile(sys.argv[2])
try:
    tvmsr.compile
except ImportError as error:
    assert "--no-deps" in str(error)
else:
    raise AssertionError("there is nothing here to compile with")
"""


def _clean_environment(folder: Path) -> Path:
    """A virtual environment with numpy, Pillow and tvmsr only; its python."""
    venv.create(folder, with_pip=False)
    packages = next(folder.glob("lib/python*/site-packages"))
    for name in ("numpy", "PIL", "tvmsr"):
        source = Path(str(find_spec(name).origin)).parent
        (packages / name).symlink_to(source)
        for libraries in (source.parent / f"{name}.libs", source.parent / "pillow.libs"):
            if libraries.is_dir() and not (packages / libraries.name).exists():
                (packages / libraries.name).symlink_to(libraries)
    return folder / "bin" / "python"


def test_numpy_and_pillow_are_enough(tmp_path):
    artifact = tvmsr.compile(out=tmp_path / "sr.so").artifact
    python = _clean_environment(tmp_path / "clean")
    done = subprocess.run(
        [python, "-c", RUN, artifact, tmp_path / "out"], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    picture = np.arange(20 * 30 * 3, dtype=np.uint8).reshape(20, 30, 3)
    with tvmsr.load(artifact) as session:
        want = session.upscale(picture)
    assert np.array_equal(np.fromfile(tmp_path / "out", np.uint8).reshape(want.shape), want)
