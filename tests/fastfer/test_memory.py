"""Memory depends on no number of images."""

from pathlib import Path

from benchmarks.rss import peak_rss


def test_ten_times_the_images_take_no_more_memory(raw: Path) -> None:
    once, ten_times = (peak_rss(raw / "demo-expw", copies) for copies in (1, 10))
    for process in ("parent", "worker"):
        assert ten_times[process] <= 1.15 * once[process]
