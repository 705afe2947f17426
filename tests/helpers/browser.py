"""A headless browser for tests of web pages, and a check of their accessibility."""

import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ppcartoon.data.download import fetch
from ppcartoon.errors import InputError

AXE = "axe-core/-/axe-core-4.14.1.tgz"  # in the npm registry
AXE_CHECKSUM = "sha256:e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745"
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


@pytest.fixture(scope="session")
def axe(request) -> str:
    """The source of axe-core, which finds faults in accessibility; see `violations`."""
    registry = os.environ.get("npm_config_registry") or "https://registry.npmjs.org"  # noqa: SIM112
    try:
        path = request.config.cache.mkdir("npm") / AXE.rpartition("/")[2]
        fetch(f"{registry.rstrip('/')}/{AXE}", path, AXE_CHECKSUM)
    except InputError as error:
        if AXE_CHECKSUM in str(error):  # another file
            raise
        pytest.skip(str(error))
    with tarfile.open(path) as package:
        return package.extractfile("package/axe.min.js").read().decode()


def violations(driver, axe: str) -> list[str]:
    """The faults of impact serious or critical that axe-core finds in the current state of a page."""
    driver.execute_script(axe)
    found = driver.execute_async_script("""
        axe.run({resultTypes: ["violations"]}).then(({violations}) => arguments[0](violations));
    """)
    return [
        f"{fault['id']}: {node['html']}: {node['failureSummary']}"
        for fault in found
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]
