"""Options of a calibration that contradict each other, or change nothing: nothing that was asked for goes unheard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tvmsr.errors import UsageError

if TYPE_CHECKING:
    from tvmsr.commands.calibrate import Calibration
    from tvmsr.graph.model import Model

#: Fields of Calibration that are options of another name: what is on by default is switched off.
_SWITCHED_OFF = ("equalise", "bias_correction", "rounding")


def asked(how: Calibration) -> list[str]:
    """The fields that are not as they are where nothing is said, without the seed."""
    defaults = vars(type(how)())
    return [name for name, value in vars(how).items() if name != "seed" and value not in (defaults[name], {}, ())]


def option(name: str) -> str:
    """The option of a field, as it is written where that is not as by default."""
    return f"--{'no-' if name in _SWITCHED_OFF else ''}{name.replace('_', '-')}"


@dataclass(frozen=True)
class _Case:
    """What is calibrated, and how. quantized: by another tool. makes_pictures, alone: of the method.

    widens: layers may read more, at the bits that were asked for. auto: bits are chosen; named: around a base.
    """

    how: Calibration
    quantized: bool
    makes_pictures: bool
    alone: bool
    widens: bool
    auto: bool
    named: bool


@dataclass(frozen=True)
class _Rule:
    """For one of the fields, where it was asked for and `when` holds. why: filled from Calibration's fields.

    refused: the wish cannot be met; else it changes nothing, which is said.
    """

    fields: tuple[str, ...]
    when: Callable[[_Case], bool]
    why: str
    refused: bool = False


_MEASURED = ("equalise", "bias_correction", "rounding")
_QUANTIZED = "another tool has quantized this network, and its codes stay as they are"

#: In the order in which they are looked at; for each field the first counts.
_RULES: tuple[_Rule, ...] = (
    _Rule(
        ("max_drop", "max_time", "size", "save_data", "kept", "weight_bits"),
        lambda c: c.quantized,
        f"{_QUANTIZED}; give its FP32 file",
        refused=True,
    ),
    _Rule(("strict_bits", "way", *_MEASURED), lambda c: c.quantized, _QUANTIZED),
    _Rule(("hr",), lambda c: c.how.calib is None, "it says what the pictures of --calib are; name their folder", True),
    _Rule(
        ("max_drop",), lambda c: c.how.strict_bits, "--strict-bits lets no layer read more bits; give one of both", True
    ),
    _Rule(
        ("max_drop",),
        lambda c: c.alone,
        "--method {method} is there to be compared with and never gives layers more bits; leave one of both out",
        refused=True,
    ),
    _Rule(
        ("max_drop",),
        lambda c: c.named,
        "--bits {bits} names the bits, whatever they lose; --bits auto keeps to it, so leave one of both out",
        refused=True,
    ),
    _Rule(
        ("max_time",),
        lambda c: c.named or not c.auto,
        "only --bits auto looks for the best plan within a time, not --bits {bits}; leave one of both out",
        refused=True,
    ),
    _Rule(("size",), lambda c: c.how.max_time is None, "it is what --max-time is for; give that, too", refused=True),
    _Rule(
        ("max_drop",),
        lambda c: c.how.max_time is not None,
        "--max-time takes the best plan within its time, whatever it loses; give one of both",
        refused=True,
    ),
    _Rule(("costs",), lambda c: not c.auto, "only --bits auto asks what bits cost"),
    _Rule(("adaptive",), lambda c: not c.auto, "only --bits auto chooses by the picture"),
    _Rule(("sensitivity",), lambda c: not c.auto, "only --bits auto asks what layers need"),
    _Rule(
        ("kept", "weight_bits"),
        lambda c: not c.named,
        "only bits around a base, such as auto:a6w4, have it, not --bits {bits}; leave one of both out",
        refused=True,
    ),
    _Rule(
        ("kept",),
        lambda c: c.how.strict_bits,
        "--strict-bits keeps no layer at 8 bits, as --kept 0 does; leave one of both out",
        refused=True,
    ),
    _Rule(("learn_bits",), lambda c: not c.how.learn, "--learn is what learns; give that, too", refused=True),
    _Rule(
        ("learn_bits",),
        lambda c: not c.named or c.how.costs != "bits",
        "only bits around a base that are counted move between layers, as those of --bits auto:a4w4 --costs bits",
        refused=True,
    ),
    _Rule(("adaptive",), lambda c: c.how.max_time is not None, "a plan for --max-time has no choices by picture"),
    _Rule(
        ("max_drop",),
        lambda c: not c.widens,
        "only at --bits 8 do layers read more bits to keep to it, not at {bits}; leave one of both out",
        refused=True,
    ),
    _Rule(("strict_bits",), lambda c: c.alone, "--method {method} never gives layers more bits"),
    _Rule(("strict_bits",), lambda c: not c.widens, "only at --bits 8 do layers read more bits, not at {bits}"),
    _Rule(_MEASURED, lambda c: c.alone, "--method {method} does nothing of the kind"),
    _Rule(("way",), lambda c: not c.makes_pictures, "--method {method} makes no pictures; cfqp and cfqp-paper do"),
    _Rule(
        ("save_data",),
        lambda c: not c.makes_pictures,
        "--method {method} makes no pictures; cfqp and cfqp-paper do",
        refused=True,
    ),
)


def unheard(model: Model, how: Calibration) -> tuple[str, ...]:
    """Notes of what was asked for and changes nothing; UsageError for what cannot be met."""
    from tvmsr.quant.bits import Auto, Bits, parse_wish
    from tvmsr.quant.methods import Shown, method_of

    how = how.settled()
    row, wish = method_of(how.method), parse_wish(how.bits)
    case = _Case(
        how=how,
        quantized=bool(model.graph.marks),
        makes_pictures=row.pictures is not Shown.GIVEN,
        alone=row.alone,
        widens=isinstance(wish, Auto) or wish == Bits(8, 8),
        auto=isinstance(wish, Auto),
        named=isinstance(wish, Auto) and wish.base is not None,
    )
    notes = []
    for name in asked(how):
        rule = next((rule for rule in _RULES if name in rule.fields and rule.when(case)), None)
        if rule is None:
            continue
        why = rule.why.format_map(vars(how))
        if rule.refused:
            raise UsageError(f"{option(name)}{_value(how, name)}: {why}")
        notes.append(f"{option(name)}{_value(how, name)} changes nothing: {why}")
    return tuple(notes)


def _value(how: Calibration, name: str) -> str:
    """Behind an option that is no switch."""
    value = vars(how)[name]
    return "" if isinstance(value, bool) else f" {value}"
