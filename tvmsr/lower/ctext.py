"""Pieces of C text: string literals, constant arrays, and small arrays that several tables share."""

from __future__ import annotations

from collections.abc import Iterable


def quoted(text: str) -> str:
    """A C string literal. Anything but plain printable ASCII is escaped, in octal: names come from files."""
    parts = []
    for byte in text.encode("utf-8"):
        plain = 32 <= byte < 127 and byte not in b'"\\?'
        parts.append(chr(byte) if plain else f"\\{byte:03o}")
    return '"' + "".join(parts) + '"'


def array(kind: str, name: str, values: Iterable[str]) -> str:
    """One line: a constant array."""
    return f"static const {kind} {name}[] = {{{', '.join(values)}}};\n"


def table(kind: str, name: str, rows: Iterable[str]) -> str:
    """A constant array of structs, one a line."""
    return f"static const {kind} {name}[] = {{\n" + "".join(f"    {row},\n" for row in rows) + "};\n"


class Arrays:
    """Constant arrays in the order in which they were defined; equal ones are shared."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._known: dict[tuple[str, tuple[str, ...]], str] = {}

    def add(self, text: str) -> None:
        self._text.append(text)

    def share(self, kind: str, stem: str, values: Iterable[str], *, lines: bool = False) -> str:
        """The name of an array of these values; a new one only where there is no equal one yet. lines: one a line."""
        key = (kind, tuple(values))
        if key not in self._known:
            self._known[key] = f"{stem}_{len(self._known)}"
            self.add((table if lines else array)(kind, self._known[key], key[1]))
        return self._known[key]

    def text(self) -> str:
        return "".join(self._text)
