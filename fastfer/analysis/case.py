"""The case about ExpW, in numbers: all that can be said of datasets side by side from what is on disk."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import polars as pl
import torch

from fastfer.analysis.evidence import EVIDENCE, in_evidence, refuse_faceless, sampled_images, scenes_of
from fastfer.analysis.faces import AlignedFaces, hog_features, network_features, read_faces
from fastfer.analysis.label_noise import LabelNoise, label_noise
from fastfer.analysis.photographs import MEASURES, Measure, Photographs, measure, summary_of
from fastfer.analysis.queries import agreement, queries_by_labels, with_queries
from fastfer.analysis.separability import Sample, Separability, plane, separability
from fastfer.analysis.statistics import Difference, Share, difference, share_of
from fastfer.analysis.verdicts import judged_wrong, read_verdicts, write_suspects
from fastfer.datasets import Source, find_dataset, read
from fastfer.evaluation.compare import holm
from fastfer.evaluation.evaluate import FinishedRun, finished_runs
from fastfer.faces.detect import detector_version
from fastfer.training.log import EPOCHS_NAME
from pipelines.errors import InputError
from pipelines.progress import Say, Track, unsaid, untracked

TRAINING_FREE: Final = "HOG"


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseConfig:
    """What is compared, and where things lie; `data_root` holds the datasets' folders.

    `images` of each dataset are searched whole, `faces` of each are described; both are random samples by `seed`.
    """

    datasets: tuple[str, ...]
    data_root: Path
    shards: Path
    runs: Path
    results: Path
    detector: str | None = None
    images: int = 2000
    faces: int = 10_000
    seed: int = 0
    workers: int = 2

    def __post_init__(self) -> None:
        """Refuse what cannot be compared."""
        for name in self.datasets:
            find_dataset(name)
        if self.detector is not None:
            detector_version(self.detector)
        for name in ("images", "faces"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}: a sample has 1 or more")

    def source(self, dataset: str) -> Source:
        """Where a dataset is read from."""
        return Source(dataset=dataset, root=self.data_root / dataset)

    def verdicts(self, dataset: str) -> Path:
        """The table of suspicious labels that a person fills in."""
        return self.results / f"verdicts-{dataset}.csv"


@dataclass(frozen=True, slots=True)
class Evidence:
    """How often the annotated face is not the largest, most central, sharpest (`EVIDENCE`) of its image."""

    detector: str
    crowded: Share  # images with more than one face
    not_so: dict[str, Share]


@dataclass(kw_only=True, slots=True)
class DatasetFacts:
    """What is known of one dataset; None and empty where its material is missing."""

    name: str
    photographs: Photographs | None = None
    boxed: pl.DataFrame | None = None  # its rows that have a box
    queries: Share | None = None
    queries_KK: Any = None
    evidence: Evidence | None = None
    faces: AlignedFaces | None = None
    described: Sample | None = None  # the faces, by training-free features
    noise: LabelNoise | None = None
    suspects: list[dict[str, Any]] = field(default_factory=list)
    judged: Share | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """One of `MEASURES` in two datasets, with the adjusted p of their difference."""

    quantity: str
    quartiles: dict[str, tuple[float | None, float | None, float | None]]  # 25%, 50%, 75% by dataset
    difference: Difference | None
    p_adjusted: float | None


@dataclass(kw_only=True, slots=True)
class Case:
    """Everything the page about the datasets says."""

    facts: list[DatasetFacts]
    compared: list[Comparison] = field(default_factory=list)
    separability: dict[str, dict[str, Separability]] = field(default_factory=dict)  # by features, by dataset
    planes: dict[str, tuple[Any, Any]] = field(default_factory=dict)  # by dataset: points, labels
    missing: list[tuple[str, str]] = field(default_factory=list)  # why, and the command that helps


def make_case(config: CaseConfig, *, track: Track = untracked, say: Say = unsaid) -> Case:
    """Measure and estimate all that the material allows; what is missing is said in `missing`.

    Raises:
        InputError: there is nothing of any of the datasets, or the verdicts that are there cannot be read.
    """
    for name in config.datasets:
        read_verdicts(config.verdicts(name))  # refused before anything is measured
    case = Case(facts=[DatasetFacts(name=name) for name in config.datasets])
    for facts in case.facts:
        say(f"photographs of {facts.name}")
        _attempt(case, f"make check DATASET={facts.name}", partial(_photographs, config, facts, track))
        if facts.boxed is not None:
            _attempt(case, "make dataset-case DETECTOR=mtcnn", partial(_look_for_others, config, facts, track))
        _attempt(case, f"make shards DATASET={facts.name}", partial(_faces, config, facts, track))
    if not any(facts.photographs or facts.faces for facts in case.facts):
        raise InputError("; ".join(dict.fromkeys(why for why, _ in case.missing)))
    case.compared = _compared(case.facts)
    say("separability of classes")
    _separate(config, case, track)
    return case


def _attempt(case: Case, command: str, work: Callable[[], None]) -> None:
    try:
        work()
    except InputError as error:
        case.missing.append((str(error), command))


def _photographs(config: CaseConfig, facts: DatasetFacts, track: Track) -> None:
    source = config.source(facts.name)
    facts.photographs = measure(source, config.shards, workers=config.workers, track=track)
    rows = read(source).rows.filter(pl.col("problem").is_null())
    named = with_queries(rows)
    if len(named):
        facts.queries, facts.queries_KK = agreement(named), queries_by_labels(named)
    facts.boxed = refuse_faceless(rows, facts.name)


def _look_for_others(config: CaseConfig, facts: DatasetFacts, track: Track) -> None:
    assert facts.boxed is not None
    dataset = facts.name
    detector = config.detector or find_dataset(dataset).detector
    chosen = sampled_images(facts.boxed, config.images, config.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    root, folder = config.data_root / dataset, config.shards / dataset
    told = in_evidence(chosen, scenes_of(root, chosen, folder, detector, device=device, track=track))
    image_N = told["image_path"].to_numpy()
    each = told.unique("image_path", maintain_order=True)
    facts.evidence = Evidence(
        detector=detector,
        crowded=share_of((each["faces"] > 1).to_numpy(), each["image_path"].to_numpy()),
        not_so={name: share_of((~told[name]).to_numpy(), image_N) for name in EVIDENCE},
    )


def _faces(config: CaseConfig, facts: DatasetFacts, track: Track) -> None:
    faces = read_faces(config.shards, facts.name, most=config.faces, seed=config.seed, track=track)
    facts.faces = faces
    facts.described = Sample(hog_features(faces, track), faces.label_N, faces.group_N)
    facts.noise = label_noise(facts.described, seed=config.seed, track=track)
    if facts.noise is None:
        raise InputError(f"a class of {facts.name} has too few faces for an estimate of wrong labels")
    path = config.verdicts(facts.name)
    facts.suspects = write_suspects(path, faces, facts.noise)
    facts.judged = judged_wrong(read_verdicts(path))


def _separate(config: CaseConfig, case: Case, track: Track) -> None:
    """On training-free features of all faces, and on each trained network's of its own test faces."""
    free = {facts.name: facts.described for facts in case.facts if facts.described is not None}
    if not free:
        return
    _attempt(case, "make shards", partial(_separate_by, case, TRAINING_FREE, free, config.seed, track))
    with track("Faces in the plane", total=len(free), unit="datasets") as advance:
        for name, sample in free.items():
            case.planes[name] = plane(sample, seed=config.seed)
            advance(1)
    trained: dict[str, tuple[str, Sample]] = {}
    for name in free:

        def describe(name: str = name) -> None:
            run = best_run(config.runs, name)
            tested = read_faces(config.shards, name, most=config.faces, seed=config.seed, splits=("test",), track=track)
            sample = Sample(network_features(run, tested, track), tested.label_N, tested.group_N)
            trained[name] = (str(run.settings["arch"]), sample)

        _attempt(case, f"make train DATASET={name}", describe)
    if trained:
        told = ", ".join(dict.fromkeys(arch for arch, _ in trained.values()))
        samples = {name: sample for name, (_, sample) in trained.items()}
        _attempt(case, "make shards", partial(_separate_by, case, told, samples, config.seed, track))


def _separate_by(case: Case, features: str, samples: dict[str, Sample], seed: int, track: Track) -> None:
    found = separability(samples, seed=seed, track=track)
    if not found:
        raise InputError(f"by {features}, a class of {' or '.join(samples)} has too few faces to measure separability")
    case.separability[features] = found


def best_run(runs: Path, dataset: str) -> FinishedRun:
    """The run trained on the aligned faces of `dataset` with the best score in validation.

    Raises:
        InputError: there is none, or a run cannot be read.
    """
    candidates = [
        run for run in finished_runs(runs) if run.settings["dataset"] == dataset and run.settings["variant"] != "raw"
    ]
    if not candidates:
        raise InputError(f"no network is trained on {dataset}, so its features are not looked at")
    return max(candidates, key=_validated)


def _validated(run: FinishedRun) -> float:
    epochs = pl.read_csv(run.folder / EPOCHS_NAME, columns=["val_macro_f1"]).cast(pl.Float64)
    return float(epochs.fill_nan(None).max().item() or 0.0)


def _compared(facts: list[DatasetFacts]) -> list[Comparison]:
    known = {one.name: one.photographs for one in facts if one.photographs is not None}
    summaries = {name: summary_of(photographs) for name, photographs in known.items()}
    found = [_difference_in(one, list(known.values())) for one in MEASURES]
    adjusted = iter(holm([one.p for one in found if one is not None]))
    return [
        Comparison(
            quantity=one.name,
            quartiles={
                name: summary.filter(measure=one.name).select("q25", "median", "q75").row(0)
                for name, summary in summaries.items()
            },
            difference=apart,
            p_adjusted=next(adjusted) if apart is not None else None,
        )
        for one, apart in zip(MEASURES, found, strict=True)
        if known
    ]


def _difference_in(one: Measure, photographs: list[Photographs]) -> Difference | None:
    """Of two datasets; None of another number of them, or where one has no values."""
    if len(photographs) != 2:
        return None
    tables = [{"images": each.images, "faces": each.faces}[one.of] for each in photographs]
    first, second = (table[one.name].drop_nulls().cast(pl.Float64).to_numpy() for table in tables)
    return difference(first, second)
