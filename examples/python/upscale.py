"""Upscale a picture from Python: python upscale.py SR.so IN.png OUT.png

pip install --no-deps tvmsr && pip install numpy pillow     # nothing of the compiler
"""

from __future__ import annotations

import sys

import numpy as np
from PIL import Image

import tvmsr


def main(artifact: str, source: str, result: str) -> None:
    """Upscale the picture of `source` into the file `result`."""
    with Image.open(source) as file:
        picture = np.asarray(file.convert("RGB"))
    with tvmsr.load(artifact) as session:
        out = session.upscale(picture)
        last = session.last()
    Image.fromarray(out).save(result)
    sys.stderr.write(f"level {last.level}, {last.threads} threads, {last.strips} strips\n")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: python upscale.py SR.so IN.png OUT.png")
    main(*sys.argv[1:])
