"""The demo page in a browser."""

import base64
import io
import json

import av
import numpy as np
import pytest
from PIL import Image

from tests.helpers import videos
from tests.helpers.browser import browsing, needs_browser
from tests.helpers.samples import photo
from tests.helpers.visitors import demo

pytestmark = pytest.mark.slow

SHOWN = {  # scripts that return the sizes of the displayed photo and cartoon, or of the video
    "photo": """
        const images = [...document.querySelectorAll("#photo-shown img")];
        return images.length == 2 && images.every((img) => img.complete) &&
            images.map((img) => [img.naturalWidth, img.naturalHeight]);
    """,
    "video": """
        const video = document.querySelector("#video-shown video");
        return video && video.readyState >= 2 && [video.videoWidth, video.videoHeight, Math.round(video.duration)];
    """,
}


class Browser:
    """A user of the page in Chromium."""

    def __init__(self, driver, address, folder):
        from selenium.webdriver.support.wait import WebDriverWait

        self.driver, self.address, self.folder = driver, address, folder
        self.wait = WebDriverWait(driver, 30, 0.05)
        driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)})
        self.open()

    def open(self):
        self.driver.get(self.address)
        self.until("#make-photo")

    def until(self, selector):
        """Waits for the first visible element of a selector."""
        return self.wait.until(
            lambda driver: next((e for e in driver.find_elements("css selector", selector) if e.is_displayed()), None)
        )

    def shown(self, kind):
        """Waits for the result; returns its sizes."""
        return self.wait.until(lambda driver: driver.execute_script(SHOWN[kind]))

    def drop(self, kind, path):
        panel = f"#{kind}-given"
        self.driver.find_element("css selector", f"{panel} input[type=file]").send_keys(str(path))
        self.until(f"{panel} img, {panel} video")

    def choose(self, label, option):
        self.until(f"input[aria-label^={label}]").click()
        self.until(f"[role=option][aria-label='{option}']").click()
        self.wait.until(lambda _: self.until(f"input[aria-label^={label}]").get_property("value") == option)

    def make(self, kind):
        """Makes a cartoon, and waits for it."""
        self.until(f"#make-{kind}").click()
        self.shown(kind)

    def download(self, kind, name):
        """Downloads the cartoon that is shown; returns the path of the file."""
        (self.folder / name).unlink(missing_ok=True)
        self.until(f"#download-{kind}:not([disabled])").click()
        self.wait.until(lambda _: (self.folder / name).exists())
        return self.folder / name

    def pixels(self):
        """The displayed cartoon, RGB uint8 [H, W, 3]; None while it loads."""
        encoded = self.driver.execute_script("""
            const image = document.querySelectorAll("#photo-shown img")[1];
            if (!image.complete || !image.naturalWidth) return null;
            const canvas = document.createElement("canvas");
            canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
            canvas.getContext("2d").drawImage(image, 0, 0);
            return canvas.toDataURL().split(",")[1];
        """)
        return encoded and np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB"))

    def requested(self):
        """The URLs of all requests so far."""
        logged = (json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance"))
        return [event["params"]["request"]["url"] for event in logged if event["method"] == "Network.requestWillBeSent"]


@pytest.fixture(scope="module")
def browser(tiny_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("downloads")
    profile, temporary = tmp_path_factory.mktemp("profile"), tmp_path_factory.mktemp("demo") / "tmp"
    with (
        demo(temporary, "-w", tiny_file, "--max-seconds", 2) as (_, address),
        browsing(profile, 1400, 1000, {"performance": "ALL"}) as driver,
    ):
        yield Browser(driver, address, folder)


@needs_browser
def test_a_photo_is_uploaded_compared_and_downloaded(browser, tmp_path):
    source = photo(300, 400)
    Image.fromarray(source).save(tmp_path / "mine.png")
    browser.open()
    browser.drop("photo", tmp_path / "mine.png")
    browser.make("photo")
    cartoon = np.asarray(Image.open(browser.download("photo", "mine_cartoon.png")))
    assert cartoon.shape == source.shape and np.abs(np.int16(cartoon) - np.int16(source)).mean() > 5
    assert browser.shown("photo") == [[400, 300]] * 2
    slider = browser.until("#photo-strength input[type=range]")
    slider.send_keys("\ue011")  # Home
    browser.wait.until(lambda _: np.array_equal(browser.pixels(), source))  # strength 0: the photo
    assert np.array_equal(Image.open(browser.download("photo", "mine_cartoon.png")), source)
    browser.choose("Size", "384")
    browser.until("#make-photo").click()
    browser.wait.until(lambda driver: driver.execute_script(SHOWN["photo"]) == [[384, 288]] * 2)


@needs_browser
def test_errors_are_shown_as_sentences(browser, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    browser.open()
    browser.until("#make-photo").click()
    assert "Drop a file first." in browser.until(".toast-body").text
    browser.open()
    browser.drop("photo", tmp_path / "bad.jpg")
    browser.until("#make-photo").click()
    assert "bad.jpg: not an image that can be read here" in browser.until(".toast-body").text


@needs_browser
def test_a_video_is_uploaded_played_and_downloaded(browser, tmp_path):
    videos.write(tmp_path / "clip.mp4", videos.scenes(1, 2, 3))
    browser.open()
    browser.driver.find_elements("css selector", "button[role=tab]")[-1].click()
    browser.drop("video", tmp_path / "clip.mp4")
    browser.make("video")
    with av.open(str(browser.download("video", "clip_cartoon.mp4"))) as video:
        assert video.streams.video[0].frames == 2 * videos.RATE
    assert browser.shown("video") == [320, 180, 2]


@needs_browser
def test_a_click_on_an_example_uploads_it(browser):
    browser.open()
    browser.until(".gallery-item").click()
    browser.until("#photo-given img")
    browser.make("photo")
    browser.download("photo", "astronaut_cartoon.png")


@needs_browser
def test_the_page_fits_a_phone_and_requests_nothing_from_other_sites(browser):
    metrics = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.open()
    browser.until("#photo-given + *")
    width, visible = browser.driver.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert width <= visible == 360
    requested = [url for url in browser.requested() if not url.startswith(("data:", "blob:", "chrome"))]
    assert any("/assets/" in url for url in requested) and any("queue/join" in url for url in requested)
    assert [url for url in requested if not url.startswith(browser.address + "/")] == []
