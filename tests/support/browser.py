"""Debian's headless Chromium, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SCREENSHOTS = Path(__file__).parents[2] / "results" / "screenshots"


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The browser. Without one: skipped, said loudly; under continuous integration: failed."""
    program = os.environ.get("ARENA_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        message = "no Chromium: apt-get install chromium, or name one in ARENA_CHROMIUM"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(message)
    from playwright.sync_api import sync_playwright  # here, because tests without a browser need none of it

    with sync_playwright() as playwright:
        # No sandbox: it needs rights that containers do not have, and the pages are the tests' own.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, path: Path, address: str = "", **options) -> Iterator[Page]:
    """A page; at its end there must have been no error, no warning and no request to a network."""
    said: list[str] = []
    options = {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"} | options
    page = browser.new_page(**options)
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on(
        "request", lambda request: said.append(request.url) if not request.url.startswith("file:") else None
    )
    page.goto(f"{path.as_uri()}{address}")
    yield page
    page.close()
    assert said == [], said


def screenshot(page: Page, name: str) -> None:
    """Keep a picture for whoever looks at the artefacts of continuous integration."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")
