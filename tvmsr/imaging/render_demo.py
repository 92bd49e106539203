"""Renders the bundled picture, assets/demo.png: `python -m tvmsr.imaging.render_demo OUT.png`.

Everything in it is made by rule from a seed, so it belongs to this project alone. It is the first thing a user sees and
the default calibration material: smooth sky, 1/f textures, saturated colours, deep shadow, and detail near the limit of
the pixel grid (rigging, lattice, bricks, spokes, lettering, grass).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tvmsr.imaging.canvas import Array, Canvas, Colour, Layer, Point, mix, step
from tvmsr.imaging.files import write_picture
from tvmsr.imaging.lettering import write

WIDTH, HEIGHT = 480, 324
SAMPLES = 4
SEED = 8
HORIZON = 150.0
SHORE = 214.0
SUN: Point = (236.0, 128.0)


def sky(c: Canvas) -> None:
    stops: Sequence[tuple[float, Colour]] = (
        (0, (0.10, 0.20, 0.46)),
        (60, (0.30, 0.44, 0.70)),
        (105, (0.83, 0.63, 0.62)),
        (135, (0.99, 0.76, 0.47)),
        (HORIZON, (1.0, 0.86, 0.60)),
    )
    c.blend(mix(stops, c.y))
    glow = np.exp(-np.hypot(c.x - SUN[0], (c.y - SUN[1]) * 1.4) / 42)
    c.blend((1.0, 0.93, 0.72), 0.85 * glow)
    c.blend((1.0, 0.99, 0.92), step(-np.hypot(c.x - SUN[0], c.y - SUN[1]), -10, -9))
    cloud = c.noise(1.75, (2.2, 0.8)) - 0.018 * np.abs(c.y - 62)
    lit = np.clip(0.55 + 0.7 * (cloud - np.roll(cloud, (-5 * c.scale, 3 * c.scale), (0, 1))), 0, 1)
    warm = mix(((0, (0.42, 0.38, 0.52)), (0.55, (0.93, 0.66, 0.60)), (1, (1.0, 0.93, 0.83))), lit)
    c.blend(warm, 0.9 * step(cloud, -0.15, 1.0))


def mountains(c: Canvas) -> None:
    ranges = ((118.0, 11.0, 1.4, (0.50, 0.47, 0.62), 0.4), (138.0, 6.0, 1.3, (0.27, 0.28, 0.40), 0.6))
    for base, height, slope, colour, depth in ranges:
        top = base - height * c.ridge(slope, 3) - 14 * np.exp(-(((c.x[:1] - 90) / 70) ** 2))
        mask = step(c.y - top, -0.3, 0.3) * (c.y < HORIZON)
        relief = c.noise(1.6)
        light = np.clip(1 + depth * 3.5 * (relief - np.roll(relief, (2 * c.scale, 2 * c.scale), (0, 1))), 0.35, 1.8)
        snow = step(relief * 5 + (top + 7) - c.y, -1, 2) * (base < 130)
        c.blend(np.asarray(colour, np.float32), mask)
        c.blend((0.93, 0.87, 0.90), mask * snow * 0.85)
        c.shade(light, mask)
        c.blend((0.97, 0.76, 0.56), mask * 0.45 * step(c.y, base - 8, HORIZON))


def forest(c: Canvas) -> None:
    """A dark line of firs along the far shore."""
    layer = c.layer()
    for x in np.sort(c.rng.uniform(-5, WIDTH + 5, 260)):
        tall = c.rng.uniform(5, 12) * (1.25 if x < 150 or x > 300 else 0.55)
        green = c.rng.uniform(0.10, 0.22)
        base = HORIZON + 1.2
        layer.polygon([(x - tall / 5, base), (x, base - tall), (x + tall / 5, base)], (0.09, green, 0.14))
    c.merge(layer)


def lake(c: Canvas) -> None:
    """What lies above, mirrored with ripples that grow towards the viewer, darker and bluer."""
    near = np.clip((c.y - HORIZON) / (SHORE - HORIZON), 0, 1)
    ripple = c.noise(1.1, (3.0, 0.7))
    mirrored = 2 * HORIZON - c.y - (0.6 + 9 * near) * ripple * 0.55
    rows = np.clip(mirrored * c.scale, 0, HORIZON * c.scale - 1).astype(np.intp)
    columns = np.clip((c.x + 1.4 * near * ripple) * c.scale, 0, c.x.shape[1] - 1).astype(np.intp)
    water = c.rgb[rows, columns] * np.array([0.66, 0.74, 0.86], np.float32) + np.array([0, 0.02, 0.05], np.float32)
    below = (c.y >= HORIZON).astype(np.float32)
    c.blend(water, below)
    path = np.exp(-(((c.x - SUN[0]) / (7 + 30 * near)) ** 2))
    c.blend((1.0, 0.93, 0.72), below * np.clip(path * step(ripple, 0.2, 1.6) * 1.2, 0, 1))
    c.blend((0.07, 0.13, 0.26), below * 0.5 * near * step(-ripple, 0.3, 2.0))


def sail_boat(c: Canvas, x: float, y: float, size: float) -> None:
    def at(px: float, py: float) -> Point:
        return (x + px * size, y + py * size)

    layer = c.layer()
    layer.polygon([at(2, -44), at(2, -5), at(21, -5)], (0.97, 0.95, 0.90))
    layer.polygon([at(-1, -40), at(-1, -6), at(-15, -6)], (0.86, 0.18, 0.16))
    for seam in range(-38, -6, 5):
        layer.line([at(2, seam), at(2 + (seam + 44) / 39 * 19, seam)], 0.3, (0.72, 0.70, 0.66))
    layer.line([at(0, -47), at(0, -1)], 0.9, (0.30, 0.19, 0.10))
    for foot in (-20, -14, 19, 24):
        layer.line([at(0, -46), at(foot, -2)], 0.28, (0.16, 0.13, 0.12))
    layer.polygon([at(-20, -3), at(25, -3), at(19, 4), at(-15, 4)], (0.13, 0.20, 0.42))
    layer.polygon([at(-20, -3), at(25, -3), at(24, -1.6), at(-19, -1.6)], (0.95, 0.93, 0.88))
    for port in range(-8, 16, 6):
        layer.ellipse(at(port, 0.8), (0.9 * size, 0.9 * size), (0.98, 0.84, 0.35))
    c.merge(layer)
    shadow = np.exp(-(((c.x - x) / (20 * size)) ** 2) - (((c.y - y - 8 * size) / (4 * size)) ** 2))
    c.shade(1 - 0.6 * shadow, (c.y > y + 4 * size).astype(np.float32))


def balloon(c: Canvas, x: float, y: float, radius: float) -> None:
    u, v = (c.x - x) / radius, (c.y - y) / radius
    squeeze = np.where(v > 0, 1 - 0.42 * v**2, 1)
    envelope = step(1 - np.hypot(u / np.maximum(squeeze, 0.2), v * 0.87), 0, 0.02) * (v < 1.08)
    across = np.clip(u / np.maximum(squeeze * np.sqrt(np.maximum(1 - (v * 0.87) ** 2, 1e-3)), 1e-3), -1, 1)
    gore = np.floor((np.arcsin(across) / np.pi + 0.5) * 12).astype(np.intp) % 4
    palette = np.array([[0.88, 0.10, 0.12], [0.98, 0.78, 0.10], [0.10, 0.42, 0.78], [0.96, 0.96, 0.93]], np.float32)
    c.blend(palette[gore], envelope)
    band = step(-np.abs(v - 0.12), -0.10, -0.09)
    zigzag = (np.abs(((np.arcsin(across) * 5) % 1) - 0.5) * 0.3 > np.abs(v - 0.12)).astype(np.float32)
    c.blend((0.12, 0.10, 0.30), envelope * band)
    c.blend((0.99, 0.86, 0.30), envelope * band * zigzag)
    c.shade(np.clip(1.12 - 0.55 * (0.5 - across * 0.5) ** 2 - 0.25 * v, 0.2, 1.2), envelope)
    layer = c.layer()
    for side in (-1, -0.4, 0.4, 1):
        layer.line(
            [(x + side * radius * 0.42, y + radius * 1.05), (x + side * 3, y + radius * 1.5)], 0.35, (0.1, 0.08, 0.08)
        )
    low = y + radius * 1.5
    layer.polygon([(x - 3.4, low), (x + 3.4, low), (x + 2.8, low + 5), (x - 2.8, low + 5)], (0.45, 0.27, 0.12))
    for row in range(3):
        layer.line([(x - 3.2, low + 1 + 1.6 * row), (x + 3.2, low + 1 + 1.6 * row)], 0.3, (0.75, 0.52, 0.28))
    c.merge(layer)


def meadow(c: Canvas) -> None:
    edge = SHORE - 2 * c.ridge(1.2, 4) - 10 * np.exp(-(((c.x[:1] - 20) / 90) ** 2))
    mask = step(c.y - edge, -0.4, 0.4)
    ground = mix(
        ((0, (0.13, 0.24, 0.07)), (0.5, (0.30, 0.42, 0.12)), (1, (0.56, 0.58, 0.22))), 0.5 + 0.22 * c.noise(1.2)
    )
    c.blend(ground, mask)
    c.blend((0.72, 0.60, 0.36), step(edge + 2.2 - c.y, -0.5, 0.5) * mask)
    path = step(path_half_width(c.y) - np.abs(c.x - path_centre(c.y)), -1, 1)
    pebbles = 0.5 + 0.3 * c.noise(0.55)
    c.blend(mix(((0, (0.42, 0.34, 0.25)), (1, (0.86, 0.77, 0.62))), pebbles), mask * path * step(c.y, 266, 267))


def path_centre(y: Array | float) -> Array:
    """Where the path from the door to the lower edge lies at height y."""
    down = np.clip((np.asarray(y, np.float32) - 264) / (HEIGHT - 264), 0, 1.3)
    return np.asarray(368 - 44 * down**1.4 + 5 * np.sin(7 * down), np.float32)


def path_half_width(y: Array | float) -> Array:
    return np.asarray(11 + 0.24 * (np.asarray(y, np.float32) - 264), np.float32)


def grass(c: Canvas, back: float, front: float) -> None:
    """Blades rooted at heights back..front, longer and brighter as they come nearer, with flowers between them."""
    layer = c.layer()
    for y in np.sort(SHORE + 4 + (HEIGHT + 14 - SHORE) * c.rng.random(5200) ** 0.8):
        x = c.rng.uniform(-4, WIDTH + 4)
        if not back <= y < front or (y > 266 and abs(x - path_centre(y)) < path_half_width(y)):
            continue
        near = (y - SHORE) / (HEIGHT - SHORE)
        tall, lean = (2 + 9 * near) * c.rng.uniform(0.5, 1.2), c.rng.normal(0.15, 0.35)
        light = c.rng.uniform(0.45, 1.15) * (0.75 + 0.35 * near)
        tint = (light * c.rng.uniform(0.25, 0.55), light * c.rng.uniform(0.5, 0.68), light * 0.16)
        points = [(x, y), (x + lean * tall * 0.4, y - tall * 0.6), (x + lean * tall, y - tall)]
        layer.line(points, 0.35 + 0.55 * near, tint)
        if c.rng.random() < 0.035:
            flower(layer, c, (points[-1][0], points[-1][1]), 0.6 + 1.7 * near)
    c.merge(layer)


def flower(layer: Layer, c: Canvas, at: Point, size: float) -> None:
    colours: tuple[Colour, ...] = ((0.92, 0.12, 0.14), (0.98, 0.97, 0.95), (0.45, 0.22, 0.78), (0.99, 0.72, 0.10))
    colour = colours[int(c.rng.integers(len(colours)))]
    for angle in np.arange(5) * 2 * np.pi / 5:
        layer.ellipse((at[0] + size * np.cos(angle), at[1] + size * np.sin(angle)), (0.75 * size, 0.75 * size), colour)
    layer.ellipse(at, (0.5 * size, 0.5 * size), (0.98, 0.80, 0.15))


def bricks(c: Canvas, left: float, top: float, right: float, bottom: float) -> None:
    mask = ((c.x > left) & (c.x < right) & (c.y > top) & (c.y < bottom)).astype(np.float32)
    row = np.floor((c.y - top) / 4).astype(np.intp)
    along = (c.x - left) / 9 + 0.5 * (row % 2)
    column = np.floor(along).astype(np.intp)
    tone = c.rng.uniform(0.62, 1.12, (64, 64)).astype(np.float32)[row % 64, column % 64]
    grain = 1 + 0.10 * c.noise(0.7)
    clay = np.array([0.66, 0.31, 0.22], np.float32) * (tone * grain)[..., None]
    mortar = (((c.y - top) / 4) % 1 < 0.16) | (along % 1 < 0.08)
    c.blend(np.where(mortar[..., None], np.array([0.78, 0.72, 0.64], np.float32) * grain[..., None], clay), mask)


def roof(c: Canvas) -> None:
    mask = c.polygon([(330, 166), (362, 116), (492, 116), (492, 166)])
    row = np.floor((c.y - 116) / 5.0)
    u = ((c.x / 6 + 0.5 * (row % 2)) % 1 - 0.5) * 2
    v = (c.y - 116) / 5.0 - row
    tone = c.rng.uniform(0.72, 1.15, (64, 128)).astype(np.float32)
    tone = tone[row.astype(np.intp) % 64, np.floor(c.x / 6 + 0.5 * (row % 2)).astype(np.intp) % 128]
    scallop = np.clip(1.15 - 0.75 * step(v - 0.95 * np.sqrt(np.maximum(1 - u**2, 0)) + 0.1, -0.12, 0.25), 0.25, 1.2)
    slate = np.array([0.36, 0.40, 0.50], np.float32) * (tone * scallop * (1 + 0.06 * c.noise(0.8)))[..., None]
    c.blend(slate, mask)
    layer = c.layer()
    layer.line([(329, 166.5), (492, 166.5)], 2.2, (0.93, 0.90, 0.84))
    layer.line([(361, 115.5), (492, 115.5)], 2.0, (0.25, 0.22, 0.25))
    c.merge(layer)


def chimney(c: Canvas) -> None:
    bricks(c, 420, 88, 441, 122)
    c.shade(1.25 - (c.x - 420) / 26, ((c.x > 420) & (c.x < 441) & (c.y > 88) & (c.y < 122)).astype(np.float32))
    layer = c.layer()
    layer.polygon([(417.5, 85), (443.5, 85), (443.5, 89), (417.5, 89)], (0.82, 0.77, 0.70))
    c.merge(layer)


def window(c: Canvas, left: float, top: float, width: float, height: float) -> None:
    """A frame, lit glass with a diagonal lattice of lead."""
    right, bottom = left + width, top + height
    inside = ((c.x > left) & (c.x < right) & (c.y > top) & (c.y < bottom)).astype(np.float32)
    glass = mix(((0, (0.99, 0.84, 0.42)), (1, (0.55, 0.28, 0.14))), (c.y - top) / height + 0.12 * c.noise(1.5))
    c.blend(glass, inside)
    layer = c.layer()
    for offset in np.arange(-height, width, 4.5):
        a, b = max(0.0, -offset), min(height, width - offset)
        layer.line([(left + offset + a, top + a), (left + offset + b, top + b)], 0.4, (0.14, 0.11, 0.10))
        layer.line([(left + offset + a, bottom - a), (left + offset + b, bottom - b)], 0.4, (0.14, 0.11, 0.10))
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    layer.line([*corners, (right, top)], 2.2, (0.95, 0.93, 0.88))
    layer.line([(left + width / 2, top), (left + width / 2, bottom)], 1.4, (0.95, 0.93, 0.88))
    layer.polygon(
        [(left - 3, bottom + 1), (right + 3, bottom + 1), (right + 3, bottom + 4), (left - 3, bottom + 4)],
        (0.7, 0.66, 0.6),
    )
    c.merge(layer)


def door(c: Canvas) -> None:
    mask = ((c.x > 356) & (c.x < 380) & (c.y > 214) & (c.y < 264)).astype(np.float32)
    grain = 1 + 0.16 * c.noise(0.9, (0.15, 6))
    plank = 1 - 0.5 * (((c.x - 356) / 4) % 1 < 0.12)
    c.blend(np.array([0.10, 0.36, 0.34], np.float32) * (grain * plank)[..., None], mask)
    layer = c.layer()
    layer.line([(355, 264), (355, 213), (381, 213), (381, 264)], 2.0, (0.93, 0.90, 0.84))
    layer.ellipse((376, 241), (1.4, 1.4), (0.95, 0.80, 0.30))
    layer.polygon([(350, 264), (386, 264), (390, 269), (346, 269)], (0.62, 0.60, 0.58))
    c.merge(layer)


def awning(c: Canvas) -> None:
    """Striped cloth with a visible weave over the door and the wide window."""
    mask = c.polygon([(352, 196), (474, 196), (482, 211), (345, 211)])
    slant = (c.x - 413) / (61 + (c.y - 196) * 0.5)
    stripe = (np.floor(slant * 11 + 40) % 2).astype(np.float32)[..., None]
    cloth = stripe * np.array([0.82, 0.14, 0.16], np.float32) + (1 - stripe) * np.array([0.97, 0.94, 0.86], np.float32)
    weave = 1 + 0.10 * np.sin(c.x * 2.6) * np.sin(c.y * 2.6) + 0.03 * c.noise(0.8)
    c.blend(cloth * weave[..., None], mask)
    c.shade(1.08 - (c.y - 196) / 48, mask)
    layer = c.layer()
    for place in range(15):
        tint = (0.76, 0.12, 0.14) if place % 2 else (0.92, 0.88, 0.80)
        layer.ellipse((350 + place * 9.15, 211), (4.6, 3.4), tint)
    c.merge(layer)
    c.shade(np.clip((c.y - 206) / 16, 0.45, 1.0), ((c.y > 214) & (c.y < 226) & (c.x > 345)).astype(np.float32))


def signs(c: Canvas) -> None:
    layer = c.layer()
    layer.polygon([(366, 175), (466, 175), (466, 192), (366, 192)], (0.06, 0.16, 0.15))
    layer.line([(366, 175), (466, 175), (466, 192), (366, 192), (366, 175)], 0.8, (0.93, 0.77, 0.36))
    write(layer, "TVMSR", (373, 178.5), 10, 1.5, (0.99, 0.88, 0.50))
    write(layer, "SUPER", (423.5, 178.0), 4.6, 0.6, (0.96, 0.93, 0.86))
    write(layer, "RESOLUTION", (423.5, 185.4), 4.2, 0.5, (0.96, 0.93, 0.86))
    layer.polygon([(324, 262), (343, 262), (346, 296), (321, 296)], (0.30, 0.20, 0.12))
    layer.polygon([(325.5, 264), (341.5, 264), (344, 292), (323, 292)], (0.12, 0.14, 0.15))
    for row, text in enumerate(("MENU", "PIXELS", "TILES", "LINES", "NOISE")):
        write(layer, text, (326.5 - 0.4 * row, 266.5 + 5.1 * row), 3.3, 0.45, (0.93, 0.94, 0.92))
    c.merge(layer)


def house(c: Canvas) -> None:
    wall = ((c.x > 340) & (c.x < 492) & (c.y > 166) & (c.y < 264)).astype(np.float32)
    chimney(c)
    bricks(c, 340, 166, 492, 264)
    c.shade(np.clip(1.12 - (c.x - 340) / 420, 0.5, 1.2), wall)
    c.shade(np.clip(0.55 + (c.y - 166) / 16, 0.55, 1.0), wall)
    roof(c)
    window(c, 396, 218, 62, 32)
    door(c)
    awning(c)
    signs(c)
    layer = c.layer()
    for x in np.arange(394, 466, 1.1):
        y = 256 + c.rng.normal(0, 1.3)
        layer.ellipse((x, y), (1.3, 1.3), (0.10, c.rng.uniform(0.25, 0.5), 0.12))
        if c.rng.random() < 0.4:
            flower(layer, c, (float(x), float(y - 2)), 0.75)
    layer.polygon([(392, 258), (466, 258), (464, 264), (394, 264)], (0.58, 0.30, 0.18))
    c.merge(layer)


def fence(c: Canvas) -> None:
    wood = 0.90 + 0.10 * c.noise(0.9, (0.2, 5))
    mask = np.zeros_like(c.x)
    for x in np.arange(4, 206, 11.0):
        sway = c.rng.normal(0, 0.7)
        mask = np.maximum(
            mask, c.polygon([(x, 296), (x + sway, 262), (x + 3 + sway, 257), (x + 6 + sway, 262), (x + 6, 296)])
        )
    for y in (268, 284):
        mask = np.maximum(mask, c.polygon([(0, y), (214, y + 1), (214, y + 4.5), (0, y + 3.5)]))
    c.shade(1 - 0.5 * np.roll(mask, (2 * c.scale, 2 * c.scale), (0, 1)))
    c.blend(np.array([0.92, 0.89, 0.82], np.float32) * wood[..., None], mask)
    c.shade(np.clip(1.1 - (c.y - 257) / 110, 0.6, 1.1), mask)


def wheel(c: Canvas, x: float, y: float, radius: float) -> None:
    """A cart wheel with fine spokes: detail that ends below the pixel grid at the hub."""
    layer = c.layer()
    for angle in np.arange(28) * np.pi / 14 + 0.05:
        layer.line([(x, y), (x + radius * np.cos(angle), y + radius * np.sin(angle))], 0.75, (0.35, 0.20, 0.10))
    layer.ring((x, y), radius, 3.2, (0.30, 0.17, 0.09))
    layer.ring((x, y), radius - 1.4, 0.8, (0.66, 0.45, 0.26))
    layer.ring((x, y), radius + 1.6, 0.8, (0.22, 0.22, 0.24))
    layer.ellipse((x, y), (4.4, 4.4), (0.24, 0.14, 0.08))
    layer.ellipse((x - 0.6, y - 0.6), (2.0, 2.0), (0.72, 0.58, 0.36))
    c.merge(layer)


def tree(c: Canvas) -> None:
    trunk = c.polygon(
        [(22, 300), (31, 200), (24, 120), (36, 110), (44, 160), (70, 118), (75, 122), (49, 196), (58, 300)]
    )
    bark = c.noise(0.9, (0.25, 2.6))
    c.blend(np.array([0.24, 0.16, 0.11], np.float32) * np.clip(1 + 0.35 * bark, 0.3, 2)[..., None], trunk)
    c.shade(np.clip(0.5 + (c.x - 22) / 38, 0.5, 1.6), trunk)
    layer = c.layer()
    centres = [(20, 92, 34), (58, 76, 32), (92, 104, 24), (30, 54, 28), (4, 128, 24), (66, 118, 18)]
    leaves = []
    for x, y, radius in centres:
        for _ in range(int(1.5 * radius * radius)):
            angle, reach = c.rng.uniform(0, 2 * np.pi), radius * np.sqrt(c.rng.random()) * c.rng.uniform(0.7, 1.12)
            leaves.append((x + reach * np.cos(angle), y + 0.8 * reach * np.sin(angle), x, y, radius))
    for place in c.rng.permutation(len(leaves)):
        x, y, cx, cy, radius = leaves[place]
        light = np.clip(0.55 + 0.38 * ((x - cx) - (y - cy)) / radius + c.rng.normal(0, 0.16), 0.12, 1.2)
        tint = (0.52 * light + 0.10 * light**3, 0.60 * light, 0.17 * light)
        layer.ellipse((x, y), (c.rng.uniform(0.7, 1.9), c.rng.uniform(0.6, 1.2)), tint)
    c.merge(layer)


def birds(c: Canvas) -> None:
    layer = c.layer()
    for x, y, size in ((262, 62, 5), (276, 54, 4), (289, 66, 4.5), (301, 50, 3.2), (318, 60, 3)):
        wing = [(x - size, y - size * 0.45), (x - size * 0.4, y - size * 0.5), (x, y), (x + size * 0.4, y - size * 0.5)]
        layer.line([*wing, (x + size, y - size * 0.4)], 0.6, (0.12, 0.10, 0.16))
    c.merge(layer)


def render_demo() -> NDArray[np.uint8]:
    """The bundled picture, uint8 (324, 480, 3); equal runs give equal bytes, other versions of numpy nearly so."""
    c = Canvas(WIDTH, HEIGHT, SAMPLES, SEED)
    for paint in (sky, mountains, forest, lake):
        paint(c)
    birds(c)
    balloon(c, 176, 52, 27)
    sail_boat(c, 214, 190, 1.0)
    sail_boat(c, 312, 163, 0.36)
    meadow(c)
    grass(c, SHORE, 294)
    house(c)
    tree(c)
    fence(c)
    wheel(c, 176, 276, 19)
    grass(c, 294, HEIGHT + 14)
    tone: Array = 1 - 0.22 * step(np.hypot((c.x - 240) / 300, (c.y - 160) / 220), 0.6, 1.2)
    c.shade(tone)
    return c.to_bytes()


if __name__ == "__main__":
    write_picture(sys.argv[1], render_demo())
