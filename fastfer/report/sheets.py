"""Contact sheets: many small pictures with a line of text each, as one JPEG."""

import io
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

COLUMNS: Final = 8
TILE_PX: Final = 150
GAP_PX: Final = 8
LINE_PX: Final = 15
FONT_PX: Final = 11
FONTS: Final = ("LiberationSans-Regular.ttf", "DejaVuSans.ttf", "Arial.ttf", "arial.ttf", "Helvetica.ttc")
"""The first of these that the system has is taken: the one inside Pillow has no accents."""
Font: TypeAlias = ImageFont.ImageFont | ImageFont.FreeTypeFont
INK, GROUND = (27, 36, 48), (255, 255, 255)
QUALITY: Final = 90
ANNOTATED, DETECTED = (230, 159, 0), (86, 180, 233)
"""Colours of the boxes: Okabe & Ito's orange and sky blue."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A picture (uint8, `H x W` or `H x W x 3`) and the lines under it."""

    img: NDArray[np.uint8]
    lines: tuple[str, ...]


def contact_sheet(tiles: Sequence[Tile], title: str) -> bytes:
    """The tiles in rows under a title, as JPEG; pictures are fitted into their squares, long lines are cut."""
    lines = max((len(tile.lines) for tile in tiles), default=0)
    step_x, step_y = TILE_PX + GAP_PX, TILE_PX + GAP_PX + lines * LINE_PX
    rows = -(-len(tiles) // COLUMNS)
    top = 2 * GAP_PX + LINE_PX
    sheet = Image.new("RGB", (COLUMNS * step_x + GAP_PX, rows * step_y + top), GROUND)
    draw, (font, has_accents) = ImageDraw.Draw(sheet), _font()
    written = str if has_accents else unaccented
    draw.text((GAP_PX, GAP_PX), written(title), INK, font)
    for number, tile in enumerate(tiles):
        x, y = GAP_PX + number % COLUMNS * step_x, top + number // COLUMNS * step_y
        picture = ImageOps.contain(Image.fromarray(tile.img).convert("RGB"), (TILE_PX, TILE_PX))
        sheet.paste(picture, (x + (TILE_PX - picture.width) // 2, y + (TILE_PX - picture.height) // 2))
        for i, line in enumerate(tile.lines):
            draw.text((x, y + TILE_PX + GAP_PX // 4 + i * LINE_PX), _cut(written(line), font), INK, font)
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def _font() -> tuple[Font, bool]:
    """A font, and whether it has letters with accents."""
    for name in FONTS:
        try:
            return ImageFont.truetype(name, FONT_PX), True
        except OSError:
            continue
    return ImageFont.load_default(FONT_PX), False


def unaccented(text: str) -> str:
    """The text without its accents: better than the empty boxes that a font draws for letters it lacks."""
    return "".join(sign for sign in unicodedata.normalize("NFD", text) if not unicodedata.combining(sign))


def _cut(line: str, font: Font) -> str:
    """The line, its head cut off where it is too long: names differ at their ends."""
    while line and font.getlength(line) > TILE_PX:
        line = line[1:]
    return line


def marked(
    img_HWC: NDArray[np.uint8],
    view_xyxy_px: NDArray[np.float64],
    boxes: Sequence[tuple[NDArray[np.float64], tuple[int, int, int]]],
    lmk_52_px: NDArray[np.float64] | None,
) -> NDArray[np.uint8]:
    """The part of an image within `view`, drawn twice the size of a tile, with boxes (xyxy, colour) and landmarks."""
    side_px = 2 * TILE_PX
    low, high = view_xyxy_px[:2], view_xyxy_px[2:]
    scale = side_px / (high - low).max()
    picture = Image.fromarray(img_HWC).transform(
        (round((high[0] - low[0]) * scale), round((high[1] - low[1]) * scale)),
        Image.Transform.EXTENT,
        tuple(view_xyxy_px.tolist()),
        Image.Resampling.BILINEAR,
    )
    draw = ImageDraw.Draw(picture)
    for box, colour in boxes:
        corners = ((box.reshape(2, 2) - low) * scale).clip(-side_px, 2 * side_px)
        draw.rectangle([tuple(corner) for corner in corners.tolist()], outline=colour, width=4)
    for x, y in [] if lmk_52_px is None else ((lmk_52_px - low) * scale).tolist():
        draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill=DETECTED)
    return np.asarray(picture)
