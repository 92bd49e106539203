"""Results made by hand."""

from __future__ import annotations

from typing import Any

from peering.networks import NETWORKS
from peering.runtimes import Size
from peering.store import Key, Store

MACHINE = {"cpu": "a CPU", "flags": ["avx2"], "cores": 2, "memory_gib": 8.0, "system": "Linux"}
ESPCN, RFDN, EDSR = "ESPCN x3", "RFDN x4", "EDSR-baseline x4"
SMALL, LARGE = Size(320, 180), Size(640, 360)


def key(network: str = ESPCN, size: Size = SMALL, threads: int = 1, mode: str = "native") -> Key:
    return Key(network, size, threads, mode)


def measured(median: float, **more: Any) -> dict[str, Any]:
    """A column of ms, MiB and ms."""
    values = {"minimum": 0.9 * median, "median": median, "runs": 9, "opened": 2.0, "peak": 10 << 20, "before": 0}
    return {**values, "level": "", "against": {}, **more}


def row(**columns: float | str | dict[str, Any]) -> dict[str, Any]:
    """By names with _ for the blank: ms (of peers, beside all of ours here), a reason, or a whole column."""
    named = {name.replace("_", " ", 1).replace("_", "-"): value for name, value in columns.items()}
    ours = {n.split()[1]: v for n, v in named.items() if n.startswith("tvmsr") and not isinstance(v, str | dict)}
    found = {}
    for name, value in named.items():
        if isinstance(value, str):
            found[name] = {"reason": value}
        elif isinstance(value, dict):
            found[name] = value
        else:
            found[name] = measured(value, against={} if name.startswith("tvmsr") else ours)
    return {"gmacs": 1.5, "columns": found}


def store(rows: dict[Key, dict[str, Any]], losses: dict[str, dict[str, float]] | None = None) -> Store:
    """losses: by the names of networks."""
    made = Store(None, MACHINE)
    made.data["rows"] = {str(k): r for k, r in rows.items()}
    made.data["losses"] = {NETWORKS[name].judge: of for name, of in (losses or {}).items()}
    return made


def cells(lines: list[str], first: str) -> dict[str, str]:
    """Of a table: the row that begins with these words, by the titles of its columns."""
    tables = [[c.strip() for c in line.strip("|").split(" | ")] for line in lines if line.startswith("| ")]
    head = next(table for table in tables if table[0] in ("network", "size, threads", "peak"))
    return next(dict(zip(head, table, strict=True)) for table in tables if table[0].startswith(first))
