"""What augmentation may do to an image: operations, ranges and chances, as data, in two strengths.

`STRONG` is drawn anew each epoch by `online`; `LIGHT` makes the copies of `offline`. Both engines read these tables and
`describe` prints them. Lengths are fractions of the image's size, so one table serves 64 and 224 px alike. Ranges keep
an expression readable on an aligned face of 64..224 px.
"""

import math
from dataclasses import dataclass, replace
from typing import Final, Literal

from pipelines.augment.limits import GEOMETRY, TAKES

STREAMS: Final = (
    "geometry", "photometric", "degradation", "occlusion",
    "flip", "rotation", "translation", "scale", "shear", "perspective",
    "brightness_contrast", "gamma", "equalise", "illumination",
    "gaussian_blur", "motion_blur", "gaussian_noise", "downscale",
    "erasing", "grid",
)  # fmt: skip
"""Every group and operation there is; a name's place keys its random draws, so append and never reorder."""

DRAWN_BY_DALI: Final = frozenset({"flip", "scale", "translation"})
"""What a DALI pipeline on a GPU draws itself (mirror, random resized crop): the online policy's `skip` is then this."""


@dataclass(frozen=True, slots=True)
class Range:
    """A parameter, drawn uniformly from [low, high) for each image."""

    name: str
    low: float
    high: float
    unit: str

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ValueError(f"range of {self.name}: low {self.low} is above high {self.high}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """One way to change an image.

    `chance` is the operation's own probability in a group that applies `all`, and its share of the images that take a
    branch in a group that applies `one`. `keys` more draws seed randomness inside the operation (noise).
    """

    name: str
    chance: float
    ranges: tuple[Range, ...] = ()
    keys: int = 0

    def __post_init__(self) -> None:
        if self.name not in TAKES:
            raise ValueError(f"unknown operation {self.name!r}: known are {', '.join(TAKES)}")
        if not 0 <= self.chance <= 1:
            raise ValueError(f"chance of {self.name} must be in 0..1, got {self.chance}")
        limits, keys = TAKES[self.name]
        names = [drawn.name for drawn in self.ranges]
        if names != list(limits) or self.keys != keys:
            given = f"{', '.join(names) or 'nothing'} and {self.keys} keys"
            raise ValueError(f"{self.name} takes {', '.join(limits) or 'nothing'} and {keys} keys, not {given}")
        for drawn in self.ranges:
            lowest, highest = limits[drawn.name]
            if drawn.low < lowest or drawn.high > highest:
                raise ValueError(
                    f"{self.name}: {drawn.name} from {drawn.low} to {drawn.high} is not within {lowest} to {highest}"
                )

    @property
    def stream(self) -> int:
        """The number that keys this operation's draws."""
        return STREAMS.index(self.name)

    @property
    def parameters(self) -> int:
        """How many numbers it is applied with: one of each range, and its keys."""
        return len(self.ranges) + self.keys


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Operations of one kind. An image takes the group with `probability`; then `all` or exactly `one` of it acts."""

    name: Literal["geometry", "photometric", "degradation", "occlusion"]
    probability: float
    applies: Literal["all", "one"]
    operations: tuple[Operation, ...]

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability of {self.name} must be in 0..1, got {self.probability}")
        shares = math.fsum(operation.chance for operation in self.operations)
        if self.applies == "one" and not math.isclose(shares, 1.0):
            raise ValueError(f"the chances of {self.name}, of which one applies, must sum to 1, not {shares}")
        for operation in self.operations:
            if (operation.name in GEOMETRY) != (self.name == "geometry"):
                raise ValueError(f"{operation.name} is no operation of the group {self.name}")

    @property
    def stream(self) -> int:
        """The number that keys this group's draws."""
        return STREAMS.index(self.name)


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """Groups in the order in which they act; geometry, if any, comes first because it is one warp of the input."""

    name: str
    groups: tuple[Group, ...]

    def __post_init__(self) -> None:
        names = [group.name for group in self.groups] + [operation.name for operation in self.operations]
        if len(set(names)) < len(names):
            raise ValueError(f"policy {self.name} names a group or an operation twice: {', '.join(names)}")
        if "geometry" in names[1 : len(self.groups)]:
            raise ValueError(f"policy {self.name}: the group geometry must be the first")

    @property
    def operations(self) -> tuple[Operation, ...]:
        """Every operation, in order."""
        return tuple(operation for group in self.groups for operation in group.operations)

    def alone(self, name: str) -> "Policy":
        """One of its operations as a policy of its own, which every image takes; its draws stay as they are."""
        group = next(group for group in self.groups if name in {operation.name for operation in group.operations})
        operation = next(operation for operation in group.operations if operation.name == name)
        always = replace(group, probability=1.0, operations=(replace(operation, chance=1.0),))
        return Policy(name=f"{self.name}, {name}", groups=(always,))


STRONG: Final = Policy(
    name="strong",
    groups=(
        Group(
            name="geometry",
            probability=1.0,
            applies="all",
            operations=(
                Operation(name="flip", chance=0.5),
                Operation(name="scale", chance=1.0, ranges=(Range("zoom", 0.85, 1.15, "times"),)),
                Operation(name="rotation", chance=1.0, ranges=(Range("angle", -20, 20, "degrees"),)),
                Operation(
                    name="shear", chance=1.0, ranges=(Range("x", -8, 8, "degrees"), Range("y", -8, 8, "degrees"))
                ),
                Operation(
                    name="perspective",
                    chance=0.5,
                    ranges=(Range("x", -0.08, 0.08, "of width"), Range("y", -0.08, 0.08, "of height")),
                ),
                Operation(
                    name="translation",
                    chance=1.0,
                    ranges=(Range("x", -0.08, 0.08, "of width"), Range("y", -0.08, 0.08, "of height")),
                ),
            ),
        ),
        Group(
            name="photometric",
            probability=0.8,
            applies="one",
            operations=(
                Operation(
                    name="brightness_contrast",
                    chance=0.4,
                    ranges=(Range("brightness", -0.12, 0.12, "of white"), Range("contrast", 0.75, 1.2, "times")),
                ),
                Operation(name="gamma", chance=0.2, ranges=(Range("gamma", 0.6, 1.6, "exponent"),)),
                Operation(name="equalise", chance=0.15, ranges=(Range("amount", 0.5, 1.0, "share"),)),
                Operation(
                    name="illumination",
                    chance=0.25,
                    ranges=(Range("amount", 0.2, 0.6, "gain at the edge"), Range("angle", 0, 360, "degrees")),
                ),
            ),
        ),
        Group(
            name="degradation",
            probability=0.5,
            applies="one",
            operations=(
                Operation(name="gaussian_blur", chance=0.3, ranges=(Range("sigma", 0.004, 0.012, "of size"),)),
                Operation(
                    name="motion_blur",
                    chance=0.2,
                    ranges=(Range("length", 0.015, 0.045, "of size"), Range("angle", 0, 180, "degrees")),
                ),
                Operation(name="gaussian_noise", chance=0.3, ranges=(Range("sigma", 0.02, 0.08, "of white"),), keys=2),
                Operation(name="downscale", chance=0.2, ranges=(Range("factor", 1.5, 2.5, "times"),)),
            ),
        ),
        Group(
            name="occlusion",
            probability=0.4,
            applies="one",
            operations=(
                Operation(
                    name="erasing",
                    chance=0.6,
                    ranges=(
                        Range("area", 0.02, 0.12, "of image"),
                        Range("aspect", -1, 1, "log2 of width/height"),
                        Range("x", 0, 1, "of free width"),
                        Range("y", 0, 1, "of free height"),
                        Range("value", 0, 1, "of white"),
                    ),
                ),
                Operation(
                    name="grid",
                    chance=0.4,
                    ranges=(
                        Range("cell", 0.15, 0.3, "of size"),
                        Range("hole", 0.25, 0.45, "of cell's side"),
                        Range("x", 0, 1, "of cell"),
                        Range("y", 0, 1, "of cell"),
                        Range("value", 0, 1, "of white"),
                    ),
                ),
            ),
        ),
    ),
)
"""Online, every epoch."""

LIGHT: Final = Policy(
    name="light",
    groups=(
        Group(
            name="geometry",
            probability=1.0,
            applies="all",
            operations=(
                Operation(name="flip", chance=0.5),
                Operation(name="scale", chance=1.0, ranges=(Range("zoom", 0.95, 1.05, "times"),)),
                Operation(name="rotation", chance=1.0, ranges=(Range("angle", -8, 8, "degrees"),)),
                Operation(
                    name="translation",
                    chance=1.0,
                    ranges=(Range("x", -0.03, 0.03, "of width"), Range("y", -0.03, 0.03, "of height")),
                ),
            ),
        ),
        Group(
            name="photometric",
            probability=0.6,
            applies="one",
            operations=(
                Operation(
                    name="brightness_contrast",
                    chance=0.6,
                    ranges=(Range("brightness", -0.08, 0.08, "of white"), Range("contrast", 0.85, 1.15, "times")),
                ),
                Operation(name="gamma", chance=0.4, ranges=(Range("gamma", 0.8, 1.25, "exponent"),)),
            ),
        ),
        Group(
            name="degradation",
            probability=0.3,
            applies="one",
            operations=(
                Operation(name="gaussian_blur", chance=0.5, ranges=(Range("sigma", 0.004, 0.008, "of size"),)),
                Operation(name="gaussian_noise", chance=0.5, ranges=(Range("sigma", 0.01, 0.03, "of white"),), keys=2),
            ),
        ),
    ),
)
"""Offline, for the copies that balance the classes: gentle, since the strong policy comes on top of it."""


def describe(policy: Policy) -> list[dict[str, str | float | None]]:
    """The table of a policy for printing: one row per parameter, or one with empty range where there is none.

    `probability` is what an image has of meeting the operation at all.
    """
    rows: list[dict[str, str | float | None]] = []
    for group in policy.groups:
        for operation in group.operations:
            head: dict[str, str | float | None] = {
                "policy": policy.name,
                "group": group.name,
                "applies": group.applies,
                "operation": operation.name,
                "probability": group.probability * operation.chance,
            }
            rows += [
                head | {"parameter": drawn.name, "low": drawn.low, "high": drawn.high, "unit": drawn.unit}
                for drawn in operation.ranges
            ] or [head | {"parameter": None, "low": None, "high": None, "unit": None}]
    return rows
