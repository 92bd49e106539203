"""How operations that are not supported are reported: all of them at once, on one line where there is one."""

from __future__ import annotations

from collections.abc import Sequence


def report(source: str, problems: Sequence[str]) -> str:
    """`source` has these unsupported operations, each described with its place."""
    if len(problems) == 1:
        return f"{source}: 1 unsupported operation: {problems[0]}"
    return "\n  ".join([f"{source}: {len(problems)} unsupported operations:", *problems])
