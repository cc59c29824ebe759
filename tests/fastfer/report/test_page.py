"""The report opened in a real browser."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fastfer.report import make_report

_CHART_BOXES = """() => Object.fromEntries([...document.querySelectorAll('.chart svg.marks')].map((svg) => {
    const { left, top, right, bottom } = svg.getBoundingClientRect();
    return [svg.closest('figure').id, [left, top + scrollY, right, bottom + scrollY]];
}))"""
_BEYOND_THE_EDGE = """() => [...document.querySelectorAll('body *')]
    .filter((one) => !one.closest('.scroll') && one.getBoundingClientRect().right > innerWidth + 0.5)
    .map((one) => one.outerHTML.slice(0, 100))"""
HOSTILE = "<script>alert(1)</script>"


def pixels_of(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("L"), dtype=int)


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (390, "dark")])
def test_it_opens_without_errors_requests_or_overflow_and_draws_every_figure(
    study: Any, open_page: Callable[..., Any], width: int, scheme: str
) -> None:
    opened = open_page(study.report / "index.html", width=width, scheme=scheme)
    boxes = opened.page.evaluate(_CHART_BOXES)
    assert len(boxes) == len(study.charts()) == 28
    page = pixels_of(opened.page.screenshot(full_page=True))
    for name, (left, top, right, bottom) in boxes.items():
        assert right - left > 200, name
        assert bottom - top > 80, name
        grey = page[round(top) : round(bottom), round(left) : round(right)]
        ground = np.bincount(grey.ravel()).argmax()
        assert (abs(grey - ground) > 40).mean() > 0.01, f"{name} is blank"
    # Wide tables and commands scroll in their own box; everything else, charts included, fits as it is.
    assert opened.page.evaluate("document.documentElement.scrollWidth") == width
    assert opened.page.evaluate(_BEYOND_THE_EDGE) == []
    assert opened.errors == []
    assert opened.requests == [(study.report / "index.html").as_uri()]


def test_it_follows_the_scheme_and_prints_light(study: Any, open_page: Callable[..., Any]) -> None:
    page = open_page(study.report / "index.html", scheme="dark").page

    def drawn() -> set[str]:
        return set(page.evaluate("[...document.querySelectorAll('.chart')].map((box) => box.dataset.drawn)"))

    assert drawn() == {"dark"}
    assert pixels_of(page.screenshot()).mean() < 80
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.wait_for_function("document.querySelectorAll('.chart:not([data-drawn=light])').length === 0")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.wait_for_function("document.querySelectorAll('.chart:not([data-drawn=dark])').length === 0")
    page.emulate_media(color_scheme="light")
    page.wait_for_function("document.querySelectorAll('.chart:not([data-drawn=light])').length === 0")
    assert pixels_of(page.screenshot()).mean() > 200


def column_texts(table: Any, column: int) -> list[str]:
    return [row.locator("td").nth(column).inner_text().split("\n")[0] for row in table.locator("tbody tr").all()]


def test_a_click_on_a_heading_sorts(study: Any, open_page: Callable[..., Any]) -> None:
    page = open_page(study.report / "index.html", drawn=False).page
    table = page.locator("#runs table")
    header = table.get_by_role("columnheader", name="Balanced accuracy")
    before = column_texts(table, 2)
    header.get_by_role("button").click()
    assert header.get_attribute("aria-sort") == "descending"
    assert column_texts(table, 2) == sorted(before, reverse=True) != before
    header.get_by_role("button").click()
    assert header.get_attribute("aria-sort") == "ascending"
    assert column_texts(table, 2) == sorted(before)
    table.get_by_role("columnheader", name="Dataset").get_by_role("button").click()
    assert header.get_attribute("aria-sort") is None
    assert column_texts(table, 1) == ["demo-expw"] + ["demo-rafdb"] * 3


def test_words_filter_the_rows_of_a_long_table_and_sorting_keeps_them(
    study: Any, open_page: Callable[..., Any]
) -> None:
    page = open_page(study.report / "index.html", drawn=False).page
    box = page.locator(".table", has=page.locator(".filter")).first
    page.evaluate("(box) => box.closest('details')?.setAttribute('open', '')", box.element_handle())
    rows = box.locator("tbody tr")
    count = rows.count()
    word = rows.first.locator("td").nth(1).inner_text()  # a class
    matching = [text for text in rows.all_inner_texts() if word.lower() in text.lower()]
    assert 0 < len(matching) < count
    search = box.get_by_role("searchbox")
    search.fill(word.upper())
    assert box.locator("tbody tr:visible").all_inner_texts() == matching
    assert box.locator("output").inner_text() == f"{len(matching)} / {count}"
    box.locator("th button").nth(1).click()
    assert sorted(box.locator("tbody tr:visible").all_inner_texts()) == sorted(matching)
    search.fill("nothing is called so")
    assert box.locator("tbody tr:visible").count() == 0
    search.fill("")
    assert box.locator("tbody tr:visible").count() == count
    assert page.locator(".filter").count() < page.locator(".table").count()  # short tables need none


def test_what_is_not_measured_sorts_last_both_ways(study: Any, open_page: Callable[..., Any]) -> None:
    page = open_page(study.report / "index.html").page  # charts drawn meanwhile would move the heading
    table = page.locator("#cost table")
    header = table.get_by_role("columnheader", name="Peak GPU")
    column = table.locator("th").all_inner_texts().index(header.inner_text())
    for _ in range(2):
        header.get_by_role("button").click()
        assert column_texts(table, column) == ["5,300"] + ["not measured"] * 4


def test_it_says_what_is_best_and_what_is_unfinished(study: Any, open_page: Callable[..., Any]) -> None:
    page = open_page(study.report / "index.html", drawn=False).page
    headline = page.locator(".headline", has_text="Best on demo-rafdb").inner_text()
    best = max(study.metrics("demo-rafdb"), key=lambda metrics: metrics["balanced_accuracy"]["value"])
    for number in best["balanced_accuracy"].values():
        assert f"{number:.3f}" in headline
    assert "Next of 3 runs is vit · offline" in headline
    assert "On demo-expw, which it was not trained on, it reaches" in headline
    unfinished = page.locator("#summary .missing").inner_text()
    assert "is unfinished (3 of 8 epochs are logged); continue it with make train ARCH=efficientvit" in unfinished


def test_missing_parts_name_the_command_that_makes_them(
    tmp_path: Path, write_run: Callable[..., Path], open_page: Callable[..., Any]
) -> None:
    folder = write_run(tmp_path / "runs", arch="resnet", epochs=0)
    (folder / "confusion.csv").unlink()
    (folder / "environment.json").unlink()
    opened = open_page(make_report(tmp_path / "runs", tmp_path / "report"))
    run, cross = (opened.page.locator(section).inner_text() for section in ("#each-run", "#cross"))
    assert "No epoch is logged, so there are no curves: make train ARCH=resnet AUG=online DATASET=demo-rafdb" in run
    assert f"no confusion matrix: make evaluate RUN={folder} DATASET=demo-rafdb" in run
    assert "No run was tested on another dataset yet: make cross" in cross
    assert opened.errors == []


def test_runs_that_are_all_unfinished_make_a_page(
    tmp_path: Path, write_run: Callable[..., Path], open_page: Callable[..., Any]
) -> None:
    write_run(tmp_path / "runs", finished=False, epochs=1)
    write_run(tmp_path / "runs", finished=False, epochs=0, seed=1)
    opened = open_page(make_report(tmp_path / "runs", tmp_path / "report"))
    text = opened.page.locator("main").inner_text()
    assert "No run has been tested yet." in text
    assert "0 of 8 epochs are logged" in text
    assert opened.page.locator(".chart svg.marks").count() == 2
    assert opened.errors == []


@pytest.fixture(scope="module")
def hostile_report(tmp_path_factory: pytest.TempPathFactory, write_run: Callable[..., Path]) -> Path:
    """Names that would run as a script, close the page's own script block, or break attributes, wherever they can."""
    root = tmp_path_factory.mktemp("hostile")
    classes = (HOSTILE, 'a" onmouseover="alert(1)', "x,'y'\u2028&amp;")
    folder = write_run(
        root / "runs", dataset=HOSTILE, arch="<img src=x onerror=alert(1)>", classes=classes, name="<b>run & 'co'"
    )
    for seed in (1, 2):
        write_run(root / "runs", dataset=HOSTILE, arch="</script><!--", classes=classes, seed=seed, name=f"r{seed}")
    other = folder / "cross" / "other"
    other.mkdir(parents=True)
    metrics = (folder / "metrics.json").read_text().replace('"split"', '"<i>note</i>": "</title>", "split"')
    (other / "metrics.json").write_text(metrics)
    (other / "confusion.csv").write_text((folder / "confusion.csv").read_text())
    return make_report(root / "runs", root / "report", title=f"{HOSTILE} & co")


def test_hostile_names_are_shown_as_text(hostile_report: Path, open_page: Callable[..., Any]) -> None:
    opened = open_page(hostile_report)
    page = opened.page
    assert page.title() == page.locator("h1").inner_text() == f"{HOSTILE} & co"
    assert page.locator("script").count() == 3  # the charts, Vega, and the page's own
    assert page.locator("img, b:not(td b), i, [onmouseover], [onerror]").count() == 0
    assert HOSTILE in page.locator(".headline").inner_text()
    assert HOSTILE in page.locator(".chart svg.marks text").all_text_contents()
    point = page.locator(".chart svg .mark-symbol path").first
    point.scroll_into_view_if_needed()
    point.hover()
    tooltip = page.locator("#vg-tooltip-element.visible")
    tooltip.wait_for()
    assert page.locator("#vg-tooltip-element img, #vg-tooltip-element script").count() == 0
    assert opened.errors == []
    assert opened.requests == [hostile_report.as_uri()]


def test_a_script_that_slipped_in_would_not_run(study: Any, tmp_path: Path, open_page: Callable[..., Any]) -> None:
    page = (study.report / "index.html").read_text()
    changed = tmp_path / "index.html"
    slipped = "<script>document.title = 'run'</script>"
    changed.write_text(page.replace("<main>", f"<main>{slipped}", 1))
    opened = open_page(changed, drawn=False)
    assert opened.page.title() != "run"
    (refused,) = opened.errors
    assert "Content Security Policy" in refused
