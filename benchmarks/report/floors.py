"""How far each stage stands from its floor by arithmetic: bytes over bandwidth, or work over the rate of the bare work.

A floor is made of measured rows alone: what a copy moves in a second on that machine, what libjpeg-turbo decodes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.images import SIZE_PX
from benchmarks.report.found import Found
from benchmarks.report.tables import MICROSECONDS
from benchmarks.report.words import title_told
from benchmarks.schema import Case, Entry
from fastfer.report.locale import Locale
from fastfer.report.tables import Column, Record, Table

GRAY_BYTES: Final = SIZE_PX**2
"""Of a decoded image: uint8, one channel."""
FLOAT_BYTES: Final = 4 * GRAY_BYTES
COPIED_BYTES: Final = 2 * GRAY_BYTES
"""What copying an image moves: each byte is read once and written once."""
COPY: Final = ("From records to uint8 batches", "limit: memcpy")
DECODER: Final = ("From records to uint8 batches", "limit: libjpeg-turbo")


@dataclass(frozen=True, slots=True)
class Floor:
    """A contender (suite, title of the case, name), and what bounds it.

    Without `moved` its floor is the rate of the limit as it is; with it, the bytes an image moves at the bandwidth of
    the copy.
    """

    suite: str
    title: str
    contender: str
    limit: tuple[str, str]
    arithmetic: str
    moved: int | None = None


FLOORS: Final = (
    Floor(
        "loaders", "From records to uint8 batches", "fastfer, resident", COPY,
        "{gray:,} B read and as many written, at the copy's bandwidth", COPIED_BYTES,
    ),
    Floor(
        "loaders", "From records to uint8 batches", "fastfer, dali", DECODER,
        "one JPEG decoded by libjpeg-turbo in C, on all cores",
    ),
    Floor(
        "loaders", "From records to uint8 batches", "fastfer, reference", DECODER,
        "one JPEG decoded by libjpeg-turbo in C, on all cores",
    ),
    Floor(
        "loaders", "From records to augmented float batches", "fastfer, resident, compiled", COPY,
        "{gray:,} B read and {float:,} B of floats written, at the copy's bandwidth", GRAY_BYTES + FLOAT_BYTES,
    ),
    Floor(
        "augment", "Augmentation alone", "fastfer, compiled", COPY,
        "{gray:,} B read and {float:,} B of floats written, at the copy's bandwidth", GRAY_BYTES + FLOAT_BYTES,
    ),
)  # fmt: skip
LIMITS_IN: Final = "loaders"
"""The suite that measures the limits."""


def floors_table(found: Sequence[Found], _: Locale) -> Table:
    """A row for each floor whose contender and limit were measured, in whole runs on one kind of machine."""
    columns = (
        Column(key="stage", title=_("Stage")),
        Column(key="contender", title=_("Contender")),
        _number("floor_us", _("Floor, microseconds an image")),
        _number("us", _("Measured, microseconds an image") + "\u00a0↓"),
        _number("times", _("Times the floor") + "\u00a0↓"),
        Column(key="arithmetic", title=_("Floor")),
        Column(key="machine", title=_("On")),
    )
    whole = [one for one in found if not one.result.quick]
    records = [record for one in whole for floor in FLOORS if (record := _record(floor, one, whole, _))]
    return Table(
        name="performance-floors", title=_("Measured times beside their floors"), columns=columns, records=records
    )


def _record(floor: Floor, found: Found, all_found: Sequence[Found], _: Locale) -> Record | None:
    if found.result.suite != floor.suite:
        return None
    entry = _entry(found, floor.title, floor.contender)
    limit = _limit(found, all_found, floor)
    if entry is None or limit is None:
        return None
    floor_us = MICROSECONDS / limit.per_s.median * (1 if floor.moved is None else floor.moved / COPIED_BYTES)
    us = MICROSECONDS / entry.per_s.median
    return {
        "stage": title_told(floor.title, _),
        "contender": floor.contender,
        "machine": found.label,
        "arithmetic": _(floor.arithmetic, gray=GRAY_BYTES, float=FLOAT_BYTES),
        "floor_us": floor_us,
        "us": us,
        "times": us / floor_us,
    }


def _limit(found: Found, all_found: Sequence[Found], floor: Floor) -> Entry | None:
    """The floor's limit, from the loaders' result on the same kind of machine."""
    here = [one for one in all_found if one.result.suite == LIMITS_IN and one.label == found.label]
    return next((entry for one in here if (entry := _entry(one, *floor.limit))), None)


def _entry(found: Found, title: str, contender: str) -> Entry | None:
    cases: list[Case] = [case for case in found.result.cases if case.title == title]
    return next((case.contenders[contender] for case in cases if contender in case.contenders), None)


def _number(key: str, title: str) -> Column:
    return Column(key=key, title=title, kind="figure")
