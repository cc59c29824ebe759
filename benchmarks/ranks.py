"""Training on several GPUs (or, for tests, in several processes): images per second of all of them together.

Run as `torchrun -m benchmarks.ranks RECORDS ARCH BATCH SIZE STEPS REPEATS ANSWER`: each process takes `BATCH` images a
step, the gradients are averaged, and the first one writes the seconds of each turn.
"""

import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from lightning_fabric import Fabric

from benchmarks.harness import Measured, timed
from benchmarks.processes import run_program
from benchmarks.steps import Steps, run_epoch
from benchmarks.training import training_config
from fastfer.training.fit import start_fabric
from fastfer.training.learner import Learner
from fastfer.training.run import Run
from pipelines.loaders import open_loader
from pipelines.records import read_info


def train_on(
    processes: int, records: Path, arch: str, *, batch: int, size_px: int, steps: int, repeats: int
) -> Measured:
    """The turns of a training in so many processes, each on its GPU where there are any.

    Raises:
        ProgramError: one of them failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        words = map(str, (records.resolve(), arch, batch, size_px, steps, repeats, answer))
        launch = ["--standalone", f"--nproc-per-node={processes}", "-m", "benchmarks.ranks"]
        run_program("torch.distributed.run", [*launch, *words])
        return Measured(**json.loads(answer.read_text(encoding="utf-8")))


def main() -> None:
    """One process of the training."""
    records, arch, batch, size_px, steps, repeats, answer = sys.argv[1:]
    config = training_config(Path(records), arch, loader="resident", image_size=int(size_px))
    fabric = start_fabric(config)
    config = replace(config, batch=int(batch) * fabric.world_size)
    torch.manual_seed(config.seed)
    where = {"rank": fabric.global_rank, "world_size": fabric.world_size}
    info = read_info(Path(records))
    with open_loader(config.loader_config(Path(records), "train", str(fabric.device), **where)) as loader:
        train = Steps(loader, int(steps))
        learner = Learner.of(Run(config, [], info, {}), fabric, train)

        turns = [_turn(fabric, learner, train, epoch) for epoch in range(1, 2 + int(repeats))][1:]
    if fabric.is_global_zero:
        found = {"items": turns[0][0] * fabric.world_size, "seconds": [seconds for _, seconds in turns]}
        Path(answer).write_text(json.dumps(found), encoding="utf-8")


def _turn(fabric: Fabric, learner: Learner, train: Steps, epoch: int) -> tuple[int, float]:
    """The images of this process, and the seconds until all are through."""

    def work() -> int:
        images = run_epoch(learner, train, epoch).images
        fabric.barrier()
        return images

    fabric.barrier()
    return timed(work)


if __name__ == "__main__":
    main()
