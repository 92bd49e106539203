"""Any field of a protobuf message set to something else, found by its descriptor."""

from __future__ import annotations

import random
from typing import Any

from tests.fuzz import nasty

_DEEPEST = 12


def change_any_field(rng: random.Random, message: Any) -> None:
    """Go down to a random field and change, double or remove it."""
    for _ in range(_DEEPEST):
        fields = [field for field, _ in message.ListFields()]
        if not fields or rng.random() < 0.1:
            break
        field = rng.choice(fields)
        value = getattr(message, field.name)
        if field.message_type is None:
            return _scalar(rng, message, field, value)
        if hasattr(value, "append"):
            if rng.random() < 0.1:
                return _repeated(rng, value)
            value = rng.choice(value)
        message = value
    return _new_field(rng, message)


def _repeated(rng: random.Random, values: Any) -> None:
    if rng.random() < 0.5:
        del values[rng.randrange(len(values))]
    else:
        values.add().CopyFrom(rng.choice(values))


def _scalar(rng: random.Random, message: Any, field: Any, value: Any) -> None:
    if hasattr(value, "append"):
        if rng.random() < 0.3:
            message.ClearField(field.name)
            return
        at = rng.randrange(len(value))
        value[at] = _new_value(rng, field, value[at])
        return
    if rng.random() < 0.1:
        message.ClearField(field.name)
    else:
        setattr(message, field.name, _new_value(rng, field, value))


def _new_value(rng: random.Random, field: Any, old: Any) -> Any:
    if field.enum_type is not None:
        return rng.choice([value.number for value in field.enum_type.values])
    if isinstance(old, bytes):
        return nasty.mutated_bytes(rng, old) if old else b"x"
    if isinstance(old, str):
        return rng.choice((nasty.text(rng), old + "1", old[:-1]))
    if isinstance(old, float):
        return rng.choice(nasty.FLOATS)
    bits = 31 if field.cpp_type == field.CPPTYPE_INT32 else 63
    low = 0 if field.cpp_type in (field.CPPTYPE_UINT32, field.CPPTYPE_UINT64) else -(1 << bits)
    return rng.choice([number for number in nasty.INTS if low <= number < 1 << bits])


def _new_field(rng: random.Random, message: Any) -> None:
    """A field that the message did not have."""
    field = rng.choice(list(message.DESCRIPTOR.fields))
    if field.message_type is not None:
        target = getattr(message, field.name)
        target.add() if hasattr(target, "add") else target.SetInParent()
        return
    kinds = {field.CPPTYPE_STRING: b"abc" if field.type == field.TYPE_BYTES else "abc"}
    value = kinds.get(field.cpp_type, 1.0 if field.cpp_type in (field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE) else 1)
    target = getattr(message, field.name)
    if hasattr(target, "append"):
        target.append(_new_value(rng, field, value))
    else:
        setattr(message, field.name, _new_value(rng, field, value))
