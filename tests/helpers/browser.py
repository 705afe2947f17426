"""A headless browser for tests of web pages."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

BROWSER = shutil.which("chromium"), shutil.which("chromedriver")
needs_browser = pytest.mark.skipif(
    None in BROWSER, reason="needs chromium and chromedriver (Debian: chromium, chromium-driver)"
)


@contextmanager
def browsing(profile: Path, width: int = 1400, height: int = 1600, logs: dict[str, str] | None = None) -> Iterator:
    """Starts Chromium and yields its Selenium driver.

    Args:
        profile: an empty folder.
        width: of the window, in pixels.
        height: of the window, in pixels.
        logs: levels of the logs that `get_log` returns.
    """
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER[0]
    for switch in (
        "headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "no-first-run", "disable-sync",
        "disable-background-networking", "disable-component-update", f"window-size={width},{height}",
        f"user-data-dir={profile}",
    ):  # fmt: skip
        options.add_argument(f"--{switch}")
    if logs:
        options.set_capability("goog:loggingPrefs", logs)
    driver = webdriver.Chrome(options, webdriver.ChromeService(BROWSER[1]))
    try:
        yield driver
    finally:
        driver.quit()
