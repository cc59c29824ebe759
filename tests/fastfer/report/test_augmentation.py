"""The picture of a policy: every operation by itself, drawn by the engines that train."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastfer.cli import main
from fastfer.report.augmentation import PER_OPERATION, POLICIES, portrait, write_augmentation_sheet
from fastfer.report.sheets import COLUMNS, GAP_PX, LINE_PX, TILE_PX
from pipelines.errors import InputError


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_operation_is_drawn_and_changes_the_face(tmp_path: Path, policy: str, channels: int) -> None:
    face = np.repeat(portrait(), channels, axis=2)
    table = write_augmentation_sheet(tmp_path / "new" / "sheet.jpg", face, policy=policy, seed=0)
    sheet = np.asarray(Image.open(tmp_path / "new" / "sheet.jpg").convert("L"), np.float64)
    step_y, top = TILE_PX + GAP_PX + 2 * LINE_PX, 2 * GAP_PX + LINE_PX
    plain = np.asarray(Image.fromarray(face[..., 0]).resize((TILE_PX, TILE_PX)), np.float64)
    for place, operation in enumerate(table.operations):
        changes = []
        for tile in range(place * PER_OPERATION, (place + 1) * PER_OPERATION):
            x, y = GAP_PX + tile % COLUMNS * (TILE_PX + GAP_PX), top + tile // COLUMNS * step_y
            changes.append(np.abs(sheet[y : y + TILE_PX, x : x + TILE_PX] - plain).mean())
        assert max(changes) > 2, operation.name


def test_the_command_prints_the_table_and_refuses_what_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["augment", "show", "--reports", str(tmp_path)])
    said = capsys.readouterr().out
    assert "perspective" in said
    assert (tmp_path / "augment-strong.jpg").is_file()
    with pytest.raises(InputError, match="no policy 'bold': choose one of strong, light"):
        write_augmentation_sheet(tmp_path / "sheet.jpg", portrait(), policy="bold", seed=0)
    with pytest.raises(SystemExit, match="2"):
        main(["augment", "show", "--dataset", "rafdb", "--out", str(tmp_path)])
