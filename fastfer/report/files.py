"""A report's files: figures as PNG, PDF and SVG of the charts that the page draws."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import vl_convert

from fastfer.report.charts import Figure
from fastfer.report.theme import VEGALITE, file_config
from pipelines.progress import Track, untracked

WIDTH_PX: Final = 680
_PNG_SCALE: Final = 2  # sharp on screens with two dots to a pixel, and 190 dpi at 18 cm in print
_LABEL_CHARACTER_PX: Final = 6.5
_LEGEND_SYMBOL_PX: Final = 34


def legend_width_px(figure: Figure) -> int:
    """How much room one entry of the figure's legend needs."""
    return round(max(map(len, figure.legend), default=0) * _LABEL_CHARACTER_PX + _LEGEND_SYMBOL_PX)


def write_figures(
    figures: Sequence[Figure], file_names: Mapping[str, str], folder: Path, track: Track = untracked
) -> None:
    """Write `<file name>.png`, `.pdf` and `.svg` of every figure.

    The chart is laid out once, as SVG (70 ms); the other two are drawn from that (10 ms).

    Args:
        figures: what to draw.
        file_names: by figure name, without extension.
        folder: is made.
        track: told of each figure.
    """
    folder.mkdir(parents=True)
    with track("Drawing figures", total=len(figures), unit="figures") as advance:
        for figure in figures:
            title = {"text": figure.full_title, "subtitle": figure.note}
            columns = max(1, WIDTH_PX // legend_width_px(figure))
            svg = vl_convert.vegalite_to_svg(
                figure.spec | {"width": WIDTH_PX, "title": title},
                vl_version=VEGALITE,
                config=file_config(legend_columns=columns),
            )
            name = file_names[figure.name]
            (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
            (folder / f"{name}.png").write_bytes(vl_convert.svg_to_png(svg, scale=_PNG_SCALE))
            (folder / f"{name}.pdf").write_bytes(vl_convert.svg_to_pdf(svg))
            advance(1)
