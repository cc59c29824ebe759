"""What a result file holds: `benchmarks/results/<suite>--<machine>--<device>.json`, one run of one suite.

A suite measures cases; a case asks the same of several contenders, which run in turn. What could not be measured is
None (a figure) or a sentence under `failed` (a contender): never 0, never an estimate.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError

from pipelines.errors import InputError

SCHEMA_VERSION: Final = 2
Scalar = str | int | float | bool | None
Role = Literal["ours", "peer", "limit"]
"""`limit`: what no contender can exceed, such as a copy of the same bytes."""


class Kind(NamedTuple):
    """A figure beside the rate: its title, unit, and whether more is better (None: neither)."""

    title: str
    unit: str
    more_is_better: bool | None = False


MEASURES: Final[Mapping[str, Kind]] = {
    "cpu_s_per_1000": Kind("CPU time per 1,000", "s"),
    "first_epoch_s": Kind("First epoch", "s"),
    "rss_mib": Kind("Peak RSS of all processes", "MiB"),
    "pss_mib": Kind("Peak PSS of all processes", "MiB"),
    "worker_rss_mib": Kind("Peak RSS of the largest worker", "MiB"),
    "gpu_memory_mib": Kind("Peak GPU memory of the processes (NVML)", "MiB"),
    "allocated_mib": Kind("Peak GPU memory allocated (torch)", "MiB"),
    "reserved_mib": Kind("Peak GPU memory reserved (torch)", "MiB"),
    "gpu_utilisation": Kind("GPU utilisation", "share", None),
    "power_w": Kind("Power", "W"),
    "joules_per_1000": Kind("Energy per 1,000", "J"),
    "wait_share": Kind("Of a step: waiting for data", "share"),
    "forward_share": Kind("Of a step: forward", "share", None),
    "backward_share": Kind("Of a step: backward", "share", None),
    "optimiser_share": Kind("Of a step: optimiser", "share", None),
    "gflops_per_image": Kind("Forward pass per image", "GFLOP", None),
    "mfu": Kind("Of the processor's peak (MFU)", "share", True),
    "rafdb_epoch_s": Kind("Epoch of RAF-DB's size", "s"),
    "expw_epoch_s": Kind("Epoch of ExpW's size", "s"),
    "p50_ms": Kind("Latency, median", "ms"),
    "p95_ms": Kind("Latency, 95th percentile", "ms"),
    "p99_ms": Kind("Latency, 99th percentile", "ms"),
    "recall": Kind("Faces found", "share", True),
    "landmark_error": Kind("Landmark error, median", "distances of the eyes"),
    "landmark_error_p95": Kind("Landmark error, 95th percentile", "distances of the eyes"),
    "mean": Kind("Mean pixel", "of white", None),
}


def _known(name: str) -> str:
    if name not in MEASURES:
        raise ValueError(f"unknown measure {name}")
    return name


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Rate(_Model):
    """Items per second over the repetitions: quartiles, and a 95% bootstrap interval of the median."""

    median: PositiveFloat
    q25: PositiveFloat
    q75: PositiveFloat
    low: PositiveFloat
    high: PositiveFloat


class Entry(_Model):
    """One contender in one case: items of a repetition, the seconds of each, and what else it took."""

    role: Role
    items: PositiveInt
    seconds: Annotated[list[PositiveFloat], Field(min_length=1)]
    per_s: Rate
    measures: dict[Annotated[str, AfterValidator(_known)], float | None] = {}
    versions: dict[str, str] = {}


class Axis(_Model):
    """What differs from the case's neighbours in a row of cases, such as the batch: cases of one title make a curve."""

    name: str
    value: float


class Case(_Model):
    """What is asked of several contenders in turn: `how` says it in one sentence, with the state of the caches."""

    title: str
    unit: Literal["images", "faces", "copies"]
    how: str
    ours: str
    settings: dict[str, Scalar]
    axis: Axis | None = None
    contenders: dict[str, Entry]
    failed: dict[str, str] = {}


class Machine(_Model):
    """Where it was measured, and on what; None where there is no GPU or nothing to ask."""

    processor: str
    cores: PositiveInt
    memory_gib: PositiveFloat
    device: str | None
    driver: str | None
    power_limit_w: float | None
    system: str
    python: str
    libraries: dict[str, str]
    commit: str | None
    date: str


class Result(_Model):
    """A whole file. A quick run is a look, not evidence."""

    schema_version: Literal[2]
    suite: str
    quick: bool
    machine: Machine
    cases: list[Case]


def read_result(path: Path) -> Result:
    """A result file, checked.

    Raises:
        InputError: it cannot be read, or does not hold such a result; names the first thing that is wrong.
    """
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        return Result.model_validate(content)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path} cannot be read as a result of a benchmark: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise InputError(f"{path} is no result of a benchmark: {where}: {first['msg']}") from None
