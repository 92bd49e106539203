"""Mutations of JSON: values of other kinds, impossible numbers, keys gone, doubled or renamed, nesting, wrong text."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

from tests.fuzz import nasty

_RAW = ("NaN", "Infinity", "-Infinity", "1e999", "-0", "1" * 5000, "0x10", "'x'", "[" * 5000, '{"a":' * 3000,
        "[" * 3000 + "]" * 3000, "tru", '"\\ud800"', '"\\u0000"', "//", "", "1.0", "1e2", "1" * 20)  # fmt: skip
_MARK = "fuzz-raw-value"


def mutated_json(rng: random.Random, value: Any) -> bytes:
    """The text of a JSON value with one to three things wrong in it."""
    value, raws = copy.deepcopy(value), []
    for _ in range(rng.choice((1, 1, 2, 3))):
        places = list(_places(value))
        if not places:
            break
        holder, key = rng.choice(places)
        if rng.random() < 0.2:
            raws.append(rng.choice(_RAW))
            holder[key] = f"{_MARK}{len(raws) - 1}"
        else:
            _change(rng, holder, key, places)
    text = json.dumps(value)
    for number, raw in enumerate(raws):
        text = text.replace(f'"{_MARK}{number}"', raw)
    if rng.random() < 0.1:  # a key twice
        text = text.replace("{", rng.choice(('{"version": 1, ', '{"": 0, "": 1, ')), 1)
    data = text.encode()
    return nasty.mutated_bytes(rng, data) if rng.random() < 0.1 else data


def _places(value: Any) -> Any:
    """Every (container, key) at any depth."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield value, key
        yield from _places(inner)


def _change(rng: random.Random, holder: Any, key: Any, places: list[Any]) -> None:
    action = rng.randrange(12)
    if action == 0:
        del holder[key]
    elif action == 1 and isinstance(holder, dict):
        holder[nasty.text(rng)] = holder.pop(key)
    elif action == 2:
        other, place = rng.choice(places)
        if place in other if isinstance(other, dict) else place < len(other):
            holder[key] = copy.deepcopy(other[place])
    elif action == 3 and isinstance(holder[key], list):
        holder[key] = rng.choice(([], holder[key][:-1], holder[key] * 2, [holder[key]], holder[key][::-1]))
    elif action < 10 and type(holder[key]) in (int, float):
        old = holder[key]
        holder[key] = rng.choice((old + 1, old - 1, old * 2, old / 2, -old, old * 10**6, old * 1e-9, 0))
    else:
        holder[key] = _any_value(rng)


def _any_value(rng: random.Random) -> Any:
    return rng.choice(
        (
            rng.choice(nasty.INTS),
            rng.choice(nasty.INTS),
            rng.choice(nasty.FLOATS),
            rng.choice(nasty.TEXTS),
            None,
            True,
            [],
            {},
            [0],
            [[]],
            {"a": 1},
            [rng.choice(nasty.INTS) for _ in range(4)],
            [0.5] * 1000,
            2**70,
        )
    )
