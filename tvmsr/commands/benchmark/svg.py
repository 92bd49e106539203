"""A small vocabulary for pictures in SVG: text that any browser shows, without scripts and without files of others."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree

#: A mean letter's width as a share of its size, for leaving room.
_LETTER = 0.62

#: x to the right, y downwards.
Place = tuple[float, float]


@dataclass(frozen=True)
class Box:
    """A place in the picture, in its units."""

    left: float
    top: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.left + self.width

    @property
    def bottom(self) -> float:
        return self.top + self.height

    def meets(self, other: Box) -> bool:
        """Whether they have a point in common."""
        apart = self.right <= other.left or other.right <= self.left
        return not apart and self.top < other.bottom and other.top < self.bottom


class Drawing:
    """Elements are drawn in the order in which they are added. Numbers are rounded to tenths."""

    def __init__(self, width: int, height: int, title: str) -> None:
        size = {"width": str(width), "height": str(height), "viewBox": f"0 0 {width} {height}"}
        font = {"font-family": "DejaVu Sans, Verdana, sans-serif", "font-size": "12"}
        self._root = ElementTree.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", **size, **font})
        ElementTree.SubElement(self._root, "title").text = printable(title)
        self.add("rect", width=width, height=height, fill="#ffffff")

    def add(self, name: str, **attributes: str | float) -> ElementTree.Element:
        """An element; `_` in names of attributes stands for `-`."""
        words = {key.replace("_", "-"): _word(value) for key, value in attributes.items()}
        return ElementTree.SubElement(self._root, name, words)

    def line(self, start: Place, end: Place, stroke: str, **attributes: str | float) -> None:
        self.add("line", x1=start[0], y1=start[1], x2=end[0], y2=end[1], stroke=stroke, **attributes)

    def text(self, at: Place, words: str, **attributes: str | float) -> None:
        """`at`: left end of the line that letters stand on, unless text_anchor says otherwise."""
        self.add("text", x=at[0], y=at[1], **attributes).text = printable(words)

    def mark(self, name: str, kind: str, told: str, **attributes: str | float) -> None:
        """A shape of class `kind` with a text that browsers show where the mouse rests on it."""
        element = self.add(name, **{"class": kind}, **attributes)
        ElementTree.SubElement(element, "title").text = printable(told)

    def to_text(self) -> str:
        """The whole file."""
        ElementTree.indent(self._root)
        return ElementTree.tostring(self._root, encoding="unicode") + "\n"


def room_of(at: Place, words: str, size: float = 12.0) -> Box:
    """About what a line of text that begins `at` takes."""
    return Box(at[0], at[1] - size, len(words) * size * _LETTER, size * 1.2)


def printable(text: str) -> str:
    """Names come from files of others, and XML takes no control characters."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)


def _word(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")
