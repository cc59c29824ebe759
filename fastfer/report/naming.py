"""Short names: for people (labels of runs) and for files."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from fastfer.report.runs import Run

_ALWAYS: Final = ("arch", "aug")
_WHEN_NEEDED: Final = ("variant", "loader", "image_size", "epochs", "batch", "lr", "seed")


def run_labels(runs: Sequence[Run]) -> dict[str, str]:
    """Label each run by its architecture and augmentation, and by further settings only where two would be alike.

    Returns:
        Labels such as `efficientnet · online` or `resnet · none · seed 1`, by the run's name. Among the runs trained
        on one dataset they differ.
    """
    labels: dict[str, str] = {}
    for dataset in sorted({run.dataset for run in runs}):
        siblings = [run for run in runs if run.dataset == dataset]
        parts = {run.name: [str(run.config.get(key, "?")) for key in _ALWAYS] for run in siblings}
        for key in _WHEN_NEEDED:
            values = {run.name: str(run.config.get(key, "?")) for run in siblings}
            if len(set(map(tuple, parts.values()))) < len(siblings) and len(set(values.values())) > 1:
                for name, value in values.items():
                    parts[name].append(f"{key.replace('_', ' ')} {value}")
        alike = len(set(map(tuple, parts.values()))) < len(siblings)
        for name, words in parts.items():
            # The folder's last part is the hash of the settings, which tells apart what the named ones do not.
            labels[name] = " · ".join([*words, name.rsplit("-", 1)[-1]] if alike else words)
    return labels


def file_names(names: Iterable[str]) -> dict[str, str]:
    """A file name without extension for each name: letters, digits and `._+-` only, all different."""
    chosen: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"[^A-Za-z0-9._+-]+", "-", name).strip("-.")[:120] or "unnamed"
        taken = {other.lower() for other in chosen.values()}  # some file systems ignore case
        number = 1
        while (candidate := plain if number == 1 else f"{plain}-{number}").lower() in taken:
            number += 1
        chosen[name] = candidate
    return chosen
