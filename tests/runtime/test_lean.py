"""Running artifacts needs numpy and Pillow, nothing else."""

from __future__ import annotations

import json
import subprocess
import sys

SCRIPT = """
import json, sys
import tvmsr
tvmsr.load
import tvmsr.devices.runner
import tvmsr.runtime.elf
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""

HEAVY = {"tvm", "tvm_ffi", "torch", "onnx", "pydantic", "rich", "typer", "safetensors", "ziglang", "scipy"}


def test_imports():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert not HEAVY & set(json.loads(done.stdout))
