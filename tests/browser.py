"""A real browser to open pages in: one for the whole session, because Playwright runs once in a process."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_ALL_DRAWN = """() => {
    const waiting = document.querySelector('.chart:not([data-drawn])'); // charts are drawn when they come near
    (waiting ?? document.body).scrollIntoView();
    return waiting === null;
}"""


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """The system's Chromium, without its own network traffic."""
    from playwright.sync_api import sync_playwright  # not in the environment where FFCV's tests run

    path = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if path is None:
        missing = "No Chromium to open the report in: install Debian's package `chromium`."
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    flags = [*_FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, headless=True, args=flags)
        yield chromium
        chromium.close()


class Opened:
    """A page with what went wrong on it, and every address it asked for."""

    def __init__(self, page: "Page") -> None:
        self.page = page
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))


@pytest.fixture
def open_page(browser: "Browser") -> Iterator[Callable[..., Opened]]:
    """Opens a file in a new window: `open_page(path, width=390, scheme="dark")`.

    On return every chart is drawn, unless `drawn=False`.
    """
    contexts = []

    def opening(path: Path, *, width: int = 1200, scheme: str = "light", drawn: bool = True) -> Opened:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        opened = Opened(context.new_page())
        opened.page.goto(path.resolve().as_uri())
        if drawn:
            opened.page.wait_for_function(_ALL_DRAWN)
        return opened

    yield opening
    for context in contexts:
        context.close()
