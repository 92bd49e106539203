"""Letters made of strokes, for the signs in the bundled picture."""

from __future__ import annotations

from tvmsr.imaging.canvas import Colour, Layer, Point

#: Letters as strokes on a grid 4 wide and 6 high.
LETTERS: dict[str, tuple[tuple[Point, ...], ...]] = {
    "T": (((0, 0), (4, 0)), ((2, 0), (2, 6))),
    "V": (((0, 0), (2, 6), (4, 0)),),
    "M": (((0, 6), (0, 0), (2, 3), (4, 0), (4, 6)),),
    "S": (((4, 0.8), (3, 0), (1, 0), (0, 1), (0, 2), (1, 2.9), (3, 3.1), (4, 4), (4, 5), (3, 6), (1, 6), (0, 5.2)),),
    "R": (((0, 6), (0, 0), (3, 0), (4, 1), (4, 2), (3, 3), (0, 3)), ((2, 3), (4, 6))),
    "U": (((0, 0), (0, 5), (1, 6), (3, 6), (4, 5), (4, 0)),),
    "P": (((0, 6), (0, 0), (3, 0), (4, 1), (4, 2), (3, 3), (0, 3)),),
    "E": (((4, 0), (0, 0), (0, 6), (4, 6)), ((0, 3), (3, 3))),
    "O": (((1, 0), (3, 0), (4, 1), (4, 5), (3, 6), (1, 6), (0, 5), (0, 1), (1, 0)),),
    "L": (((0, 0), (0, 6), (4, 6)),),
    "I": (((2, 0), (2, 6)),),
    "N": (((0, 6), (0, 0), (4, 6), (4, 0)),),
    "X": (((0, 0), (4, 6)), ((4, 0), (0, 6))),
}


def write(layer: Layer, text: str, at: Point, height: float, width: float, colour: Colour) -> None:
    """Letters `height` pixels high from `at` (top left), strokes `width` pixels wide."""
    unit = height / 6
    for place, letter in enumerate(text):
        for stroke in LETTERS.get(letter, ()):
            points = [(at[0] + (x + 5.6 * place) * unit, at[1] + y * unit) for x, y in stroke]
            layer.line(points, width, colour)
