"""What a run of AdaBM is made of: the settings of the published scripts, and its quirks, each under a name."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from math import inf

from tvmsr.errors import UsageError

#: What `tvmsr evaluate --method` calls it.
METHOD = "adabm-paper"
#: More training crops than that are a mistake, and would fill memory.
MOST_PICTURES = 10_000
#: Numbers of a protocol that what is trained, or what it costs, is multiplied by.
_FACTORS = ("rate_weights", "rate_activations", "rate_layers", "rate_image", "decay", "transfer", "bit_price")


class Scope(str, Enum):
    """What is quantized."""

    BODY = "body"  # convolutions of the body; the ends stay in FP32
    FULL = "full"  # the one that ends the body too, and the ends with 8 bits (--fq of the published scripts)


class Adapt(str, Enum):
    """What the bits of an activation depend on."""

    NONE = "none"
    IMAGE = "image"
    LAYER = "layer"
    BOTH = "both"


class Observer(str, Enum):
    """How a range is read from values."""

    MINMAX = "minmax"
    PERCENTILE = "percentile"  # 1 % cut off
    OMSE = "omse"  # shrunk in steps of 1 % for the least mean square error


class Grouping(str, Enum):
    """Which parameters an epoch trains."""

    PUBLISHED = "published"  # CYCLIC where bits adapt, JOINT where they do not
    CYCLIC = "cyclic"  # weight bounds, activation bounds, bit maps, one group an epoch
    JOINT = "joint"  # all in every epoch


class WeightStart(str, Enum):
    """Where the search for a weight bound starts."""

    LARGEST = "largest"  # at the largest weight, whatever the smallest is
    ABSOLUTE = "absolute"  # at the largest absolute value


class SearchBits(str, Enum):
    """The bits at which weight bounds of layers with 8 bits are searched."""

    BASE = "base"  # those of the other layers
    OWN = "own"


class Sides(str, Enum):
    """What the percentile of weights is taken of."""

    ONE = "one"  # of the weights: their upper end alone
    BOTH = "both"  # of their absolute values


class Order(str, Enum):
    """Whether lower bounds and thresholds are kept below upper ones."""

    FREE = "free"
    KEPT = "kept"


class Shrink(str, Enum):
    """How bit-aware clipping moves the two bounds of an activation."""

    COMMON = "common"  # both by one factor
    EACH = "each"  # the lower one after the upper one, each by its own


class Norm(str, Enum):
    """What a feature is divided by the norm of, before features are compared."""

    BATCH = "batch"  # the tensor of the whole batch
    PICTURE = "picture"


class Keep(str, Enum):
    """Which parameters a run ends with."""

    LAST = "last"
    BEST = "best"  # after the epoch whose pixel loss on crops that were held back is least


class Draw(str, Enum):
    """The crops and their order in the epochs."""

    REPEATED = "repeated"  # the same in every epoch: the published code sets the seed anew before each
    FRESH = "fresh"


@dataclass(frozen=True)
class Quirks:
    """What the published code does where one might have expected otherwise; the defaults are as published.

    clipping_pictures: so many training crops are what bit-aware clipping looks at. held: crops that Keep.BEST holds
    back.
    """

    weight_start: WeightStart = WeightStart.LARGEST
    eight_searched_at: SearchBits = SearchBits.BASE
    weight_percentile: Sides = Sides.ONE
    order: Order = Order.FREE
    clipping_pictures: int = 2
    shrink: Shrink = Shrink.COMMON
    norm: Norm = Norm.BATCH
    keep: Keep = Keep.LAST
    held: int = 8
    draw: Draw = Draw.REPEATED
    scope: Scope = Scope.BODY


@dataclass(frozen=True)
class Protocol:
    """Settings; the defaults are those of the published scripts (W8A6).

    bits: of adaptive activations before the factors. observer, momentum: of activation bounds, over the calibration
    batches; momentum is of the image thresholds too. *_percentile: 0 to 50. rate_*: Adam's, for values of 0..255 inside
    the network; each is multiplied by `decay` after each epoch of its group. pictures, crop: training crops and their
    side in LR pixels. patch: pictures are measured in windows of this LR side, each with its own bits; None: whole.
    inside: how large values inside the network are beside those of one that computes 0..255 (1, or 1/255 for one that
    computes 0..1); None: found out on the crops. epochs 0: calibration, and clipping where it is on, alone.
    """

    bits: int = 6
    weight_bits: int = 8
    adapt: Adapt = Adapt.BOTH
    clipping: bool = True
    observer: Observer = Observer.MINMAX
    weight_observer: Observer = Observer.OMSE
    momentum: float = 0.9
    clipping_momentum: float = 0.5
    image_percentile: float = 10.0
    layer_percentile: float = 30.0
    pictures: int = 100
    crop: int = 96
    calibration_batch: int = 16
    batch: int = 2
    epochs: int = 10
    grouping: Grouping = Grouping.PUBLISHED
    rate_weights: float = 0.01
    rate_activations: float = 0.01
    rate_layers: float = 0.01
    rate_image: float = 0.1
    decay: float = 0.9
    transfer: float = 10.0
    bit_price: float = 50.0
    patch: int | None = None
    inside: float | None = None
    quirks: Quirks = field(default_factory=Quirks)

    @property
    def by_image(self) -> bool:
        return self.adapt in (Adapt.IMAGE, Adapt.BOTH)

    @property
    def by_layer(self) -> bool:
        return self.adapt in (Adapt.LAYER, Adapt.BOTH)

    @property
    def is_cyclic(self) -> bool:
        if self.grouping is Grouping.PUBLISHED:
            return self.adapt is not Adapt.NONE
        return self.grouping is Grouping.CYCLIC

    def check(self) -> None:
        """Raise UsageError where no run could come of it."""
        least = self.bits - int(self.by_image) - int(self.by_layer)
        if least < 1:
            raise UsageError(
                f"{self.bits} activation bits: factors of AdaBM ({self.adapt.value}) take up to {self.bits - least} of "
                f"them away; give at least {self.bits - least + 1}"
            )
        if min(self.pictures, self.crop, self.calibration_batch, self.batch, self.quirks.clipping_pictures) < 1:
            raise UsageError("pictures, crop, batches and clipping_pictures of AdaBM's protocol are 1 or more each")
        if self.pictures > MOST_PICTURES:
            raise UsageError(f"pictures of AdaBM's protocol are at most {MOST_PICTURES}, not {self.pictures}")
        if self.epochs < 0 or (self.quirks.keep is Keep.BEST and self.quirks.held < 1):
            raise UsageError("epochs of AdaBM's protocol are 0 or more, and to keep the best one holds back crops")
        if self.quirks.keep is Keep.BEST and self.quirks.held >= self.pictures:
            raise UsageError(
                f"of {self.pictures} training crops, held={self.quirks.held} are held back for keep=best: "
                "none is left to train on; hold fewer back, or take more pictures"
            )
        for percentile in (self.image_percentile, self.layer_percentile):
            if not 0 <= percentile <= 50:
                raise UsageError(f"a percentile of AdaBM's maps is between 0 and 50, not {percentile}")
        for name in ("momentum", "clipping_momentum"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} of AdaBM's protocol is between 0 and 1, not {getattr(self, name)}")
        for name in _FACTORS:
            if not 0 <= getattr(self, name) < inf:
                raise UsageError(f"{name} of AdaBM's protocol is a number, 0 or more, not {getattr(self, name)}")
        if (self.patch is not None and self.patch < 1) or (self.inside is not None and not 0 < self.inside < inf):
            raise UsageError("patch of AdaBM's protocol is 1 or more, inside a number above 0, or none")
