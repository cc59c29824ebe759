"""Two decoders, one picture."""

from dataclasses import replace
from pathlib import Path

import torch

from pipelines.loaders import LoaderConfig, open_loader


def test_dali_and_reference_agree_within_one_gray_level(records: Path) -> None:
    dali = LoaderConfig(variant=records, split="test", batch=8, train=False)
    with open_loader(dali) as ours, open_loader(replace(dali, kind="reference", workers=2)) as plain:
        for a, b in zip(ours, plain, strict=True):
            assert a.host_rows_B.tolist() == b.host_rows_B.tolist()
            assert (a.img_BCHW.to(torch.int16) - b.img_BCHW.to(torch.int16)).abs().max() <= 1
            assert a.img_BCHW.float().std() > 10  # not blank
