"""Our artifacts, through their C ABI. Bytes in, bytes out: the whole picture, chroma included."""

from __future__ import annotations

import numpy as np

from peering.runtimes import F32, Files, Job, Opened

TITLE = "tvmsr"
MODULES = ("tvmsr", "tvmsr.runtime")
VARIANTS: dict[str, str] = {}
HELD: dict[str, str] | None = {}
HELD_NOTE = "its level avx2"


def version() -> str:
    from importlib.metadata import version as version_of

    return version_of("tvmsr")


def convert(job: Job, variant: str) -> Files:
    raise NotImplementedError("artifacts are compiled by ours.py")


def open_network(files: list[str], variant: str, threads: int, feed: F32) -> Opened:
    """files: the artifact, the picture (.npy), and a level or "" for the best."""
    import tvmsr

    session = tvmsr.load(files[0], threads=threads, level=files[2] or None)
    picture = np.load(files[1])
    return Opened(lambda: session.upscale(picture), lambda output: output, session.level, session.check)
