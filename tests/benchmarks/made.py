"""Made results: two machines, curves, architectures, a failed contender, figures that are None, hostile names."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.harness import Measured
from benchmarks.schema import Axis, Case, Entry, Machine, Result, Role

HOSTILE = "<script>alert(1)</script>"
SPECIALS = r"50% of \textbf{x} & a_b | $c$ {limit} `d` [e](f)"
MODELS = {"resnet": "resnet50", "vit": "vit_small"}
FAILED = "it has ended; it said:\n<b>no such file</b> |"


def machine(**changes: Any) -> Machine:
    facts = {
        "processor": "Made Processor", "cores": 2, "memory_gib": 8.0, "device": None, "driver": None,
        "power_limit_w": None, "system": "Linux x86_64", "python": "3.11.7", "libraries": {"torch": "2.15.0"},
        "commit": "abc1234", "date": "2026-01-02",
    }  # fmt: skip
    return Machine(**(facts | changes))


def entry(
    role: Role, seconds: list[float], items: int = 1000, measures: Mapping[str, float | None] | None = None
) -> Entry:
    return Measured(items, seconds).entry(role, measures, {"torch": "2.15.0"})


def case(title: str, contenders: dict[str, Entry], **changes: Any) -> Case:
    facts = {"unit": "images", "how": "By a test.", "ours": "ours", "settings": {"batch": 64}}
    return Case(title=title, contenders=contenders, **(facts | changes))


def result(suite: str, *cases: Case, quick: bool = False, **facts: Any) -> Result:
    return Result(schema_version=2, suite=suite, quick=quick, machine=machine(**facts), cases=list(cases))


def write(folder: Path, name: str, made: Result) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(made.model_dump()), encoding="utf-8")
    return path


def loaders(**facts: Any) -> Result:
    nothing = {"gpu_utilisation": None, "power_w": None}
    contenders = {
        "peer": entry("peer", [0.21, 0.2, 0.19, 0.2, 0.22], measures={"pss_mib": 300.0} | nothing),
        "ours": entry(
            "ours", [0.011, 0.01, 0.009, 0.01, 0.012], measures={"pss_mib": 123.456, "mean": 0.4817} | nothing
        ),
        "limit: memcpy": entry("limit", [0.004, 0.005, 0.0045, 0.0041, 0.0042]),
        "limit: decoder": entry("limit", [0.1, 0.11, 0.12, 0.1, 0.1]),
        HOSTILE: entry("peer", [0.3, 0.31, 0.29, 0.3, 0.3], measures={"pss_mib": 200.0}),
        SPECIALS: entry("peer", [0.4, 0.41, 0.39, 0.4, 0.4]),
    }
    near = {"ours": entry("ours", [0.1, 0.11, 0.1]), "peer": entry("peer", [0.3, 0.2, 0.25])}
    return result(
        "loaders",
        case("Wide rates", contenders, failed={"broken": FAILED}),
        case(f"Near rates {HOSTILE}", near, how=f"As {SPECIALS}."),
        **facts,
    )


def scaling() -> Result:
    def at(title: str, name: str, value: float, seconds: float) -> Case:
        contenders = {
            "ours": entry("ours", [seconds, seconds * 1.1, seconds * 0.9], measures={"pss_mib": 100 + value / 10}),
            "plain loop": entry("peer", [seconds * 4, seconds * 4.2], measures={"pss_mib": 100 + value}),
        }
        return case(title, contenders, axis=Axis(name=name, value=value), settings={"batch": 64, "n": value})

    sizes = [at("Growth", "images", value, 0.1) for value in (10000, 100, 1000)]
    return result("scaling", *sizes, *(at("Sharing", "workers", value, 1 / value) for value in (1, 2, 4)))


def training() -> Result:
    def of(arch: str, memory: float | None, precision: str = "") -> Case:
        measures = {"allocated_mib": memory, "rafdb_epoch_s": 12.5, "mfu": 0.31}
        contenders = {"ours": entry("ours", [0.5, 0.6], measures=measures), "plain": entry("peer", [0.9, 0.8])}
        settings = {"arch": arch, "batch": 16, "model": MODELS[arch], "precision": precision.removeprefix(", ")}
        return case(f"Training {arch}{precision}", contenders, settings=settings)

    both = [of("resnet", 812.5), of("vit", 2048.25), of("resnet", 512.5, ", bf16"), of("vit", 999.0, ", bf16")]
    return result("training", *both, device="Made GPU 80GB", driver="555", cores=16)


def write_all(folder: Path) -> Path:
    """All of them as files."""
    write(folder, "a", loaders())
    write(folder, "b", loaders(device="Made GPU 80GB", date="2026-02-03"))
    write(folder, "c", scaling())
    write(folder, "d", training())
    write(folder, "e", result(HOSTILE, case("Unknown suite", {"ours": entry("ours", [1.0])})))
    return folder
