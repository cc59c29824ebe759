"""Where result files lie, how they are named, and how one is written; `schema` reads them."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.machine import machine
from benchmarks.schema import SCHEMA_VERSION, Case, Result
from pipelines.records import write_atomically

QUICK_RESULTS: Final = Path("data/bench/results")
"""Where results go that are no evidence."""


def write_result(suite: str, cases: Sequence[Case], *, quick: bool, folder: Path) -> Path:
    """Write `<suite>--<cores>-core-<processor>--<device>.json` into the folder: this machine's facts and the cases."""
    facts = machine()
    path = folder / f"{suite}--{facts.cores}-core-{_in_names(facts.processor)}--{_in_names(facts.device or 'cpu')}.json"
    result = Result(schema_version=SCHEMA_VERSION, suite=suite, quick=quick, machine=facts, cases=list(cases))
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(result.model_dump(), indent=1) + "\n").encode())
    return path


def _in_names(name: str) -> str:
    """A name of hardware as a part of a file's: `Intel(R) Xeon(R) Processor` is intel-xeon-processor."""
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"\((r|tm)\)", "", name.lower())).strip("-")
