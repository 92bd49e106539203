"""Settings and quirks of a protocol by their names, NAME=VALUE, as the command line gives them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import Enum
from typing import Any, TypeVar, get_args, get_type_hints

from tvmsr.adabm_paper.protocol import Adapt, Keep, Observer, Protocol, Quirks, Scope
from tvmsr.errors import UsageError

T = TypeVar("T", Quirks, Protocol)
E = TypeVar("E", bound=Enum)

#: What each quirk is. What two values mean is said in their order.
QUIRKS: Mapping[str, str] = {
    "weight_start": "the search for a weight bound starts at the largest weight, or at the largest absolute value",
    "eight_searched_at": "weight bounds of layers with 8 bits are searched at the bits of the others, or at their own",
    "weight_percentile": "weight_observer=percentile cuts off weights at their upper end, or at both",
    "order": "lower bounds and thresholds may come above upper ones, or are kept below",
    "clipping_pictures": "training crops that bit-aware clipping looks at",
    "shrink": "bit-aware clipping moves both bounds of an activation by one factor, or each by its own",
    "norm": "features are compared after division by the norm of the whole batch, or of each picture",
    "keep": "a run ends with its last epoch, or with the one whose pixel loss on held crops is least",
    "held": "crops that keep=best holds back",
    "draw": "all epochs have the same crops in the same order, or each draws anew",
}
#: What the other settings are.
SETTINGS: Mapping[str, str] = {
    "clipping": "bit-aware clipping",
    "observer": "how activation bounds are read from values",
    "weight_observer": "how weight bounds are",
    "momentum": "of activation bounds and image thresholds, over the calibration batches",
    "clipping_momentum": "the share of a bound that bit-aware clipping leaves",
    "image_percentile": "of complexities, 0 to 50: where the image thresholds begin",
    "layer_percentile": "of the layers' deviations, 0 to 50: below it a layer has a bit less, above 100 - it one more",
    "pictures": "training crops",
    "crop": "their side, in LR pixels",
    "calibration_batch": "crops of a batch of calibration",
    "batch": "crops of a step of fine-tuning",
    "epochs": "of fine-tuning; 0 leaves it out",
    "grouping": "which parameters an epoch trains; published: cyclic where bits adapt, joint where they do not",
    "rate_weights": "Adam's, of weight bounds",
    "rate_activations": "Adam's, of activation bounds",
    "rate_layers": "Adam's, of layer factors",
    "rate_image": "Adam's, of image thresholds",
    "decay": "what a rate is multiplied by after each epoch of its group",
    "transfer": "how much the distance of features counts",
    "bit_price": "how much bits above the base count",
    "patch": "pictures are measured in windows of this LR side, each with its own bits; none: whole",
    "inside": "values inside the network beside those of one that computes 0..255; none: found out on the crops",
}
#: Fields that have an option of their own.
_OPTIONS: Mapping[str, str] = {"scope": "--scope", "adapt": "--adapt", "bits": "--bits", "weight_bits": "--bits"}
_SWITCH: Mapping[str, bool] = {"on": True, "off": False}
_NONE = "none"


def protocol_of(
    *,
    adapt: str | None = None,
    scope: str | None = None,
    quirks: Sequence[str] = (),
    settings: Sequence[str] = (),
) -> Protocol | None:
    """The published protocol but for what is given; None where nothing is. quirks, settings: each NAME=VALUE.

    UsageError where that is not possible; a name that is none is answered by all there are.
    """
    if adapt is None and scope is None and not quirks and not settings:
        return None
    odd = _with(Quirks(), "--quirk", QUIRKS, quirks)
    odd = odd if scope is None else replace(odd, scope=scope_named(scope))
    made = _with(Protocol(quirks=odd), "--setting", SETTINGS, settings)
    made = made if adapt is None else replace(made, adapt=_member(Adapt, "--adapt", adapt))
    made.check()
    return made


@dataclass(frozen=True)
class _Idle:
    """Where `when` holds, these fields change nothing."""

    names: tuple[str, ...]
    when: Callable[[Protocol], bool]
    why: str


_RATES = ("rate_weights", "rate_activations", "rate_layers", "rate_image", "decay")
#: Weight bits of the ends in full scope (tvmsr.adabm_paper.cost.EIGHT_BITS, which is not loaded to parse options).
_EIGHT = 8
#: For each field the first that holds counts.
_IDLE: tuple[_Idle, ...] = (
    _Idle(("held",), lambda p: p.quirks.keep is Keep.LAST, "only --quirk keep=best holds crops back"),
    _Idle(
        ("weight_percentile",),
        lambda p: p.weight_observer is not Observer.PERCENTILE,
        "only --setting weight_observer=percentile cuts anything off",
    ),
    _Idle(
        ("weight_start",),
        lambda p: p.weight_observer is Observer.PERCENTILE,
        "--setting weight_observer=percentile starts nowhere",
    ),
    _Idle(
        ("eight_searched_at",),
        lambda p: p.weight_observer is not Observer.OMSE,
        "only --setting weight_observer=omse searches",
    ),
    _Idle(("eight_searched_at",), lambda p: p.quirks.scope is Scope.BODY, "only --scope full has layers of 8 bits"),
    _Idle(("eight_searched_at",), lambda p: p.weight_bits == _EIGHT, "the others have 8 bits, too"),
    _Idle(
        ("clipping_pictures", "shrink", "clipping_momentum"),
        lambda p: not p.clipping,
        "--setting clipping=off leaves bit-aware clipping out",
    ),
    _Idle(
        ("norm", "draw", "grouping", "batch", "transfer", "bit_price", *_RATES),
        lambda p: p.epochs == 0,
        "--setting epochs=0 leaves fine-tuning out",
    ),
    _Idle(("image_percentile", "rate_image"), lambda p: not p.by_image, "pictures have no bits of their own"),
    _Idle(("layer_percentile", "rate_layers"), lambda p: not p.by_layer, "layers have no bits of their own"),
    _Idle(("bit_price",), lambda p: p.adapt is Adapt.NONE, "bits are fixed"),
)


def unheard(made: Protocol) -> tuple[str, ...]:
    """Notes of what is not as published and changes nothing."""
    notes = []
    for said in differences(made):
        name = said.partition("=")[0]
        rule = next((rule for rule in _IDLE if name in rule.names and rule.when(made)), None)
        if rule is not None:
            notes.append(f"{'--quirk' if name in QUIRKS else '--setting'} {said} changes nothing: {rule.why}")
    return tuple(notes)


def differences(made: Protocol) -> tuple[str, ...]:
    """What is not as published, as NAME=VALUE, but for what has an option of its own."""
    odd = [(_fields(Quirks(), QUIRKS), made.quirks), (_fields(Protocol(), SETTINGS), made)]
    return tuple(
        f"{name}={_text(getattr(of, name))}"
        for known, of in odd
        for name, field in known.items()
        if getattr(of, name) != field.default
    )


def scope_named(text: str) -> Scope:
    """UsageError for one that is none."""
    return _member(Scope, "--scope", text)


@dataclass(frozen=True)
class _Field:
    """A field of a dataclass: the type of its values, whether None is one, its default, what it is in words."""

    name: str
    kind: type
    optional: bool
    default: Any
    words: str

    def read(self, text: str) -> Any:
        """ValueError where it is no value of the field."""
        if self.optional and text == _NONE:
            return None
        if self.kind is bool:
            return _SWITCH[text] if text in _SWITCH else _fail()
        value = self.kind(text)
        return value if not isinstance(value, float) or math.isfinite(value) else _fail()

    @property
    def values(self) -> str:
        """What can be read, in words."""
        if issubclass(self.kind, Enum):
            return " or ".join(one.value for one in self.kind)
        known = {bool: " or ".join(_SWITCH), int: "a whole number", float: "a number"}[self.kind]
        return f"{known} or {_NONE}" if self.optional else known

    @property
    def line(self) -> str:
        return f"  {self.name}={_text(self.default)}: {self.words} ({self.values})"


def _fail() -> Any:
    raise ValueError


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return next(text for text, meaning in _SWITCH.items() if meaning is value)
    if isinstance(value, Enum):
        return str(value.value)
    return _NONE if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _fields(of: Protocol | Quirks, words: Mapping[str, str]) -> dict[str, _Field]:
    hints, found = get_type_hints(type(of)), {}
    for one in fields(of):
        if one.name in words:
            kinds = get_args(hints[one.name]) or (hints[one.name],)
            default = getattr(of, one.name)
            found[one.name] = _Field(one.name, kinds[0], type(None) in kinds, default, words[one.name])
    return found


def _with(start: T, option: str, words: Mapping[str, str], items: Sequence[str]) -> T:
    known, given = _fields(start, words), dict[str, Any]()
    for item in items:
        name, equals, text = item.partition("=")
        if name in _OPTIONS:
            raise UsageError(f"{option} {item}: {_OPTIONS[name]} says it")
        if name not in known or not equals:
            what = f"there is no {name!r}" if equals else "expected NAME=VALUE"
            lines = "\n".join(field.line for field in known.values())
            raise UsageError(f"{option} {item}: {what}; there are, as published:\n{lines}")
        if name in given:
            raise UsageError(f"{option} {name} is given twice; leave one out")
        try:
            given[name] = known[name].read(text)
        except ValueError:
            raise UsageError(f"{option} {item}: expected {known[name].values}; {known[name].words}") from None
    return replace(start, **given)


def _member(kind: type[E], option: str, text: str) -> E:
    try:
        return kind(text)
    except ValueError:
        raise UsageError(f"{option} {text}: expected {' or '.join(str(one.value) for one in kind)}") from None
