"""The results file: what was measured is kept in it as soon as it is, and is not measured again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peering.runtimes import Size

OURS = "tvmsr"

#: Ends the names of our columns of a network of Y that is given a gray picture, of which it makes a gray one.
PLANE = "-y"


@dataclass(frozen=True)
class Key:
    """A row. mode: "native", or "avx2" where all are held to AVX2."""

    network: str
    size: Size
    threads: int
    mode: str

    def __str__(self) -> str:
        return f"{self.network}|{self.size}|{self.threads}|{self.mode}"

    @staticmethod
    def parse(words: str) -> Key:
        network, size, threads, mode = words.split("|")
        return Key(network, Size.parse(size), int(threads), mode)


def _read(path: Path, empty: dict[str, Any]) -> dict[str, Any]:
    """What is in the file; SystemExit where that is no results of ours, whole."""
    try:
        found = json.loads(path.read_text())
    except ValueError as error:
        raise SystemExit(f"{path}: is no whole JSON ({error}); give another file, or delete it") from None
    if not isinstance(found, dict) or any(not isinstance(found.get(name), type(of)) for name, of in empty.items()):
        raise SystemExit(f"{path}: has no results of this program; give another file, or delete it")
    return found


def write_whole(path: Path, data: Any) -> None:
    """As JSON, whole or not at all."""
    made = path.with_name(path.name + ".part")
    made.write_text(json.dumps(data, indent=1))
    made.replace(path)


class Store:
    """A JSON file. Everything in it is of one machine."""

    def __init__(self, path: Path | None, machine: dict[str, Any]) -> None:
        self.path = path
        self.data: dict[str, Any] = {
            "machine": machine, "versions": {}, "commands": [], "peaks": {}, "losses": {}, "rows": {},
        }  # fmt: skip
        if path is not None and not path.parent.is_dir():
            raise SystemExit(f"{path}: there is no such folder; make it first")
        if path is not None and path.exists():
            self.data = _read(path, self.data)
            if self.data["machine"] != machine:
                raise SystemExit(f"{path}: has results of another machine; give another file, or delete it")

    def began(self, command: str, versions: dict[str, str]) -> None:
        """A run: other versions of the peers than those of the kept rows are refused."""
        if self.data["rows"] and self.data["versions"] != versions:
            raise SystemExit(f"{self.path}: has results of other versions ({self.data['versions']}); give another file")
        self.data["versions"] = versions
        if command not in self.data["commands"]:
            self.data["commands"].append(command)

    def add_peaks(self, found: dict[str, dict[str, float]]) -> None:
        """The best that was ever seen counts."""
        for title, by_threads in found.items():
            kept = self.data["peaks"].setdefault(title, {})
            for threads, value in by_threads.items():
                kept[threads] = max(value, kept.get(threads, 0.0))

    def has(self, key: Key, columns: Sequence[str]) -> bool:
        """True where all these columns of a row are there, be it as a reason."""
        row = self.data["rows"].get(str(key))
        return row is not None and all(name in row["columns"] for name in columns)

    def put(self, key: Key, row: dict[str, Any]) -> None:
        """Columns that the row had and that were not measured again stay: each has its own runs of ours beside it."""
        kept = self.data["rows"].get(str(key), {"columns": {}})
        self.data["rows"][str(key)] = {**row, "columns": {**kept["columns"], **row["columns"]}}
        self.save()

    def save(self) -> None:
        if self.path is not None:
            write_whole(self.path, self.data)

    @property
    def rows(self) -> dict[Key, dict[str, Any]]:
        return {Key.parse(words): row for words, row in self.data["rows"].items()}
