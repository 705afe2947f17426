"""The page in a browser: photos, several files, videos; by mouse and keyboard; wide and narrow, light and dark."""

import base64
import io
import json
import zipfile

import av
import numpy as np
import pytest
from PIL import Image

from ppcartoon.inference import looks
from tests.helpers import videos
from tests.helpers.browser import axe, browsing, needs_browser, violations  # noqa: F401
from tests.helpers.samples import photo
from tests.helpers.visitors import demo

pytestmark = [pytest.mark.slow, needs_browser]

TAB, ENTER, SPACE, RIGHT, HOME, SHIFT = "\ue004", "\ue007", " ", "\ue014", "\ue011", "\ue008"
TIMES = "\N{MULTIPLICATION SIGN}"
WIDE, NARROW = (1400, 900), (390, 844)
SECONDS = 4  # of a video
OFFLINE = {"offline": False, "latency": 60_000, "downloadThroughput": -1, "uploadThroughput": -1}
ONLINE = {**OFFLINE, "latency": 0}
SMALL = """
    const targets = document.querySelectorAll("a, button, input, select, video[controls]");
    return [...targets].filter((element) => element.checkVisibility() && !element.disabled)
        .map((element) => [element.outerHTML.slice(0, 80), element.getBoundingClientRect()])
        .filter(([, {width, height}]) => width < 44 || height < 44).map(([html]) => html);
"""


class Browser:
    """A user of the page in Chromium."""

    def __init__(self, driver, address, folder):
        from selenium.webdriver.support.wait import WebDriverWait

        self.driver, self.address, self.folder = driver, address, folder
        self.wait = WebDriverWait(driver, 30, 0.05)
        self.cdp("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))

    def cdp(self, command, **arguments):
        return self.driver.execute_cdp_cmd(command, arguments)

    def js(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def open(self, size=WIDE, dark=False):
        """Opens the page as somebody who was never here."""
        width, height = size
        self.cdp(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=size == NARROW
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        motion = {"name": "prefers-reduced-motion", "value": "reduce"}
        self.cdp("Emulation.setEmulatedMedia", features=[scheme, motion])
        self.driver.get(f"{self.address}/docs.js")  # without scripts
        self.js("sessionStorage.clear()")
        self.driver.get(self.address)
        self.until(lambda: self.js("return document.querySelectorAll('#styles input').length > 0"))

    def until(self, condition):
        """Waits for a true value, and returns it."""
        return self.wait.until(lambda _: condition())

    def element(self, selector):
        return self.driver.find_element("css selector", selector)

    def elements(self, selector):
        return self.driver.find_elements("css selector", selector)

    def find(self, selector):
        """The visible element of a selector; None if there is none."""
        return next((element for element in self.elements(selector) if element.is_displayed()), None)

    def see(self, selector):
        return self.until(lambda: self.find(selector))

    def text(self, selector):
        return self.element(selector).get_property("textContent")

    def choose(self, *paths):
        self.element("#file").send_keys("\n".join(map(str, paths)))

    def transfer(self, event, path):
        """Drops or pastes a file on the page."""
        self.js(
            """
            const [event, name, encoded] = arguments;
            const bytes = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], name, {type: "image/png"}));
            document.body.dispatchEvent(event === "drop"
                ? new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true})
                : new ClipboardEvent("paste", {clipboardData: transfer, bubbles: true}));
            """,
            event, path.name, base64.b64encode(path.read_bytes()).decode(),
        )  # fmt: skip

    def result(self, name=None):
        """Waits for the cartoon of a photo or frame; returns its pixels, see `canvas`."""
        if name:
            self.until(lambda: self.text("#title") == name)
        self.until(lambda: self.js("return !!document.querySelector('#sheet[data-state=shown] #after:not([hidden])')"))
        return self.canvas("after")

    def canvas(self, id):
        """The pixels of a canvas, RGB uint8 [H, W, 3]."""
        encoded = self.driver.execute_async_script(
            """
            const [id, done] = arguments;
            requestAnimationFrame(() => setTimeout(() => done(document.getElementById(id).toDataURL().split(",")[1])));
            """,
            id,
        )
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB"))

    def slide(self, selector, share):
        self.js(
            "const [slider, value] = arguments; slider.value = value; slider.dispatchEvent(new Event('input'))",
            self.see(selector), share,
        )  # fmt: skip

    def download(self, selector, name):
        """Clicks a button, and returns the bytes of the file that is saved."""
        path = self.folder / name
        path.unlink(missing_ok=True)
        self.see(selector).click()
        self.until(path.exists)
        return path.read_bytes()

    def press(self, *keys):
        """Presses keys one after the other; the focus is never lost."""
        from selenium.webdriver import ActionChains

        for key in keys:
            ActionChains(self.driver).send_keys(key).perform()
            assert self.focus() != "BODY", key

    def focus(self):
        """The id, else the name or tag, of the element that has the focus."""
        return self.js("const {id, name, tagName} = document.activeElement; return id || name || tagName")

    def requested(self):
        """Methods and URLs of the requests since the last call."""
        logged = (json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance"))
        requests = [event["params"]["request"] for event in logged if event["method"] == "Network.requestWillBeSent"]
        return [(request["method"], request["url"]) for request in requests]

    def begun(self):
        """The URLs of the jobs that were begun since the last call."""
        return [url for method, url in self.requested() if method == "POST"]


@pytest.fixture(scope="module")
def session(tiny_file, tmp_path_factory):
    folder, profile = tmp_path_factory.mktemp("downloads"), tmp_path_factory.mktemp("profile")
    options = ["-w", tiny_file, "-s", "peppercarrot", "--max-upload", 2, "--max-seconds", SECONDS]
    with (
        demo(tmp_path_factory.mktemp("demo") / "tmp", *options) as (_, address),
        browsing(profile, *WIDE, {"performance": "ALL", "browser": "ALL"}) as driver,
    ):
        yield Browser(driver, address, folder)


@pytest.fixture
def browser(session):
    """The opened page. It requests nothing from other sites, and its content security policy is kept."""
    session.open()
    session.requested()
    yield session
    urls = [url for _, url in session.requested() if not url.startswith(("data:", "blob:"))]
    assert [url for url in urls if not url.startswith(session.address + "/")] == []
    logged = [entry["message"] for entry in session.driver.get_log("browser")]
    assert [line for line in logged if "Content Security Policy" in line or "Uncaught" in line] == []


@pytest.fixture
def mine(tmp_path):
    """A photo in a file."""
    Image.fromarray(photo(300, 400)).save(tmp_path / "mine.png")
    return tmp_path / "mine.png"


@pytest.fixture
def clip(tmp_path):
    """A video of six seconds."""
    return videos.write(tmp_path / "clip.mp4", videos.scenes(1, 2, 3, seconds=2))


def pixels(data):
    return np.asarray(Image.open(io.BytesIO(data)))


def difference(one, other):
    return np.abs(np.int16(one) - np.int16(other))


def test_mixing_in_the_page_equals_that_of_the_package(browser):
    before, after = (np.random.default_rng(seed).integers(0, 256, (256, 256, 3), np.uint8) for seed in (1, 2))
    given = [np.dstack([rgb, np.full((256, 256), alpha, np.uint8)]) for rgb, alpha in ((before, 90), (after, 255))]
    for strength, keep_colors in ((1, 0), (1, 1), (0.35, 0), (0.8, 0.6), (0, 0.5)):
        mixed = browser.driver.execute_async_script(
            """
            const [photo, cartoon, keepColors, strength, done] = arguments;
            const image = (rgba) => new ImageData(new Uint8ClampedArray(rgba), 256);
            import("./looks.js").then(({mix}) =>
                done([...mix(image(photo), image(cartoon), keepColors, strength).data]));
            """,
            *(rgba.ravel().tolist() for rgba in given), keep_colors, strength,
        )  # fmt: skip
        mixed = np.reshape(mixed, (256, 256, 4))
        assert difference(mixed[..., :3], looks.mix(before, after, keep_colors, strength)).max() <= 1
        assert (mixed[..., 3] == 90).all()


def test_a_dropped_photo_becomes_a_cartoon_without_a_click(browser, mine, predictor):
    browser.transfer("drop", mine)
    shown, expected = browser.result(), predictor(photo(300, 400))
    assert shown.shape == expected.shape and difference(shown, expected).mean() < 3
    assert browser.text("#title") == "mine.png" and f"400 {TIMES} 300" in browser.text("#facts")
    assert "the cartoon is done" in browser.text("#status")
    assert f"PNG · 400 {TIMES} 300 px · 0.1 megapixels" in browser.text("#download-facts")
    downloaded = pixels(browser.download("#download", "mine_cartoon.png"))
    assert np.array_equal(downloaded, expected)
    browser.until(lambda: "kB" in browser.text("#download-facts"))


def test_keys_move_the_divider(browser, mine):
    browser.choose(mine)
    browser.result()
    slider = browser.element("#compare input")
    assert slider.get_attribute("aria-valuetext") == "50 % photo, 50 % cartoon"
    slider.send_keys(RIGHT * 3)
    assert slider.get_attribute("aria-valuetext") == "53 % photo, 47 % cartoon"
    slider.send_keys(HOME)
    edge = "return getComputedStyle(document.querySelector('#after')).clipPath"
    assert browser.js(edge) == "inset(0px 0px 0px 0%)"


def test_strength_and_colors_react_without_a_request(browser, mine):
    browser.choose(mine)
    cartoon = browser.result()
    browser.until(lambda: browser.find("#styles label:last-child img"))  # all is made
    browser.requested()
    browser.slide("#strength", 0)
    assert np.array_equal(browser.canvas("after"), browser.canvas("before"))
    browser.slide("#strength", 1)
    browser.slide("#colors", 0.6)
    assert difference(browser.canvas("after"), looks.mix(browser.canvas("before"), cartoon, 0.6, 1)).max() <= 1
    assert browser.requested() == []
    mixed = pixels(browser.download("#download", "mine_cartoon.png"))
    browser.slide("#colors", 0)
    made = pixels(browser.download("#download", "mine_cartoon.png"))
    assert np.array_equal(mixed, looks.mix(photo(300, 400), made, 0.6, 1))


def test_a_style_is_shown_on_the_photo_and_begins_a_new_cartoon(browser, mine):
    browser.choose(mine)
    first = browser.result()
    browser.see("#styles label:last-child img")
    assert ["size=256" in url for url in browser.begun()] == [False, True]
    second, other = browser.elements("#styles input")
    other.click()
    browser.until(lambda: len(browser.elements("[data-state=shown]")) == 1)
    browser.until(lambda: difference(browser.result(), first).mean() > 5)
    (url,) = browser.begun()
    assert "source=" in url
    second.click()
    browser.until(lambda: np.array_equal(browser.result(), first))
    assert browser.begun() == []


def test_working_size_output_size_and_format_are_those_chosen(browser, mine):
    from selenium.webdriver.support.select import Select

    browser.choose(mine)
    browser.result()
    Select(browser.see("#working-size")).select_by_value("256")
    Select(browser.see("#size")).select_by_value("512")
    Select(browser.see("#format")).select_by_value("webp")
    browser.until(lambda: "strokes at 256 px" in browser.text("#facts"))
    assert Image.open(io.BytesIO(browser.download("#download", "mine_cartoon.webp"))).format == "WEBP"
    assert any("working_size=256" in url and "size=512" in url for url in browser.begun())


def test_a_pasted_photo_replaces_the_result(browser, mine, tmp_path):
    browser.choose(mine)
    browser.result()
    Image.fromarray(photo(200, 100, 3)).save(tmp_path / "other.png")
    browser.cdp("Network.enable")
    browser.cdp("Network.emulateNetworkConditions", **OFFLINE)
    browser.transfer("paste", tmp_path / "other.png")
    browser.until(lambda: browser.text("#title") == "other.png")
    assert browser.see("#cancel") and not browser.find("#after") and not browser.find("#download")
    browser.cdp("Network.emulateNetworkConditions", **ONLINE)
    assert browser.result().shape == (200, 100, 3)


def test_a_click_on_an_example_is_enough(browser):
    browser.see("#examples button[aria-label*=astronaut]").click()
    assert browser.result("astronaut.png").shape == (512, 512, 3)


def test_several_files_are_made_and_come_as_a_zip(browser, tmp_path):
    for i in range(3):
        Image.fromarray(photo(100, 80 + 10 * i, i)).save(tmp_path / f"{i}.png")
    (tmp_path / "bad.png").write_bytes(b"no image")
    browser.choose(*sorted(tmp_path.glob("*.png")))
    browser.until(lambda: len(browser.elements("#strip :is([data-state=done], [data-state=failed])")) == 4)
    labels = [e.get_attribute("aria-label") for e in browser.elements("#strip button")]
    assert labels == ["0.png: done", "1.png: done", "2.png: done", "bad.png: failed"]
    browser.elements("#strip button")[2].click()
    assert browser.result("2.png").shape == (100, 100, 3)
    with zipfile.ZipFile(io.BytesIO(browser.download("#download-all", "cartoons.zip"))) as archive:
        assert archive.namelist() == ["0_cartoon.png", "1_cartoon.png", "2_cartoon.png"]
        assert [pixels(archive.read(name)).shape[1] for name in archive.namelist()] == [80, 90, 100]


def test_errors_are_sentences(browser, mine, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    browser.choose(tmp_path / "bad.jpg")
    assert browser.see("#problem-text").text == "Not an image that can be read here."
    (tmp_path / "large.jpg").write_bytes(bytes(3 << 20))
    browser.begun()
    browser.choose(tmp_path / "large.jpg")
    assert browser.see("[role=alert].note").text == "large.jpg has more than 2 MB, the limit of this page."
    assert browser.begun() == []
    browser.choose(mine)
    browser.result()
    assert not browser.find("[role=alert]")


def test_a_video_is_previewed_trimmed_made_compared_and_downloaded(browser, clip):
    browser.choose(clip)
    assert browser.result("clip.mp4").shape == (180, 320, 3)
    browser.element("#views [value=video]").click()
    browser.see("#player")
    assert browser.text("#part") == "0:00.0 to 0:04.0 (4.0 s)"
    browser.slide("#to", 5)
    assert browser.text("#part") == "0:01.0 to 0:05.0 (4.0 s)"
    browser.slide("#from", 4)
    assert browser.text("#part") == "0:04.0 to 0:05.0 (1.0 s)"
    first = browser.canvas("after")
    browser.until(lambda: browser.js("return document.querySelector('#player').currentTime") == 4)
    browser.see("#use-frame").click()
    browser.until(lambda: difference(browser.result(), first).mean() > 5)
    assert browser.see("#make").text == "Make the video (1.0 s)"
    browser.see("#make").click()
    browser.see("#transport")
    with av.open(io.BytesIO(browser.download("#download", "clip_cartoon.mp4"))) as video:
        assert video.streams.video[0].frames == videos.RATE
    times = "return ['movie', 'original'].map((id) => document.getElementById(id).currentTime)"
    browser.slide("#seek", 0.5)
    browser.until(lambda: browser.js(times) == [0.5, 4.5])
    assert browser.element("#duo input").get_attribute("aria-valuetext") == "50 % photo, 50 % cartoon"
    browser.see("#play").click()
    browser.until(lambda: browser.js("return document.querySelector('#movie').ended"))


def test_an_animation_is_a_video_whose_original_browsers_do_not_play(browser, tmp_path):
    first, *others = map(Image.fromarray, videos.scenes(1, 2))
    first.save(tmp_path / "moving.gif", save_all=True, append_images=others, duration=80)
    browser.choose(tmp_path / "moving.gif")
    browser.until(lambda: browser.find("#views"))
    assert browser.result("moving.gif").shape == (180, 320, 3)
    browser.element("#views [value=video]").click()
    assert browser.see("#unplayable") and not browser.find("#player")
    browser.until(lambda: browser.text("#part") == "0:00.0 to 0:01.9 (1.9 s)")
    browser.see("#make").click()
    browser.see("#transport")
    browser.until(lambda: browser.find("#duo.alone"))


def test_a_video_shows_its_progress_and_is_canceled(browser, clip):
    browser.choose(clip)
    browser.result()
    browser.elements("#styles input")[-1].click()  # a slow one
    browser.see("#make").click()
    browser.until(lambda: browser.text("#busy-text").startswith("Frame ") and " of 48" in browser.text("#busy-text"))
    assert browser.see("#progress")
    browser.see("#cancel").click()
    assert browser.see("#problem-text").text == "Canceled."
    assert ("DELETE", browser.address) in [(method, url.partition("/v1/")[0]) for method, url in browser.requested()]
    browser.element("#views [value=movie]").click()
    assert browser.see("#again").text == "Draw it"


def test_reload_and_back_keep_photo_and_result(browser, mine):
    browser.choose(mine)
    browser.slide("#strength", 0.5)
    shown = browser.result()
    browser.driver.refresh()
    assert np.array_equal(browser.result("mine.png"), shown)
    browser.driver.get("about:blank")
    browser.driver.back()
    assert np.array_equal(browser.result("mine.png"), shown)
    browser.see("#home").click()
    browser.see("#headline")
    browser.driver.back()
    assert np.array_equal(browser.result("mine.png"), shown)
    sent = [url for url in browser.begun() if "source=" not in url]
    assert len(sent) == 1


def test_all_is_done_by_keyboard(browser):
    browser.press(TAB, TAB)
    assert browser.focus() == "choose"
    browser.press(TAB)  # the first example
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    assert browser.js(outline) == "solid"
    browser.press(ENTER)
    browser.result()
    assert browser.focus() == "title"
    order = []
    while not order or order[-1] != "download":
        browser.press(TAB)
        order.append(browser.focus())
    assert order == ["INPUT", "style", "strength", "colors", "working-size", "size", "format", "download"]
    browser.js("document.querySelector('#compare input').focus()")
    browser.press(TAB, RIGHT)  # the other style
    browser.result()
    assert browser.focus() == "style"
    (browser.folder / "astronaut_cartoon.png").unlink(missing_ok=True)
    browser.press(*[TAB] * 6, ENTER)
    browser.until((browser.folder / "astronaut_cartoon.png").exists)


def test_the_focus_moves_on_when_cancel_disappears(browser, mine):
    browser.cdp("Network.enable")
    browser.cdp("Network.emulateNetworkConditions", **OFFLINE)
    browser.choose(mine)
    browser.see("#cancel")
    browser.js("document.querySelector('#cancel').focus()")
    browser.press(ENTER)
    assert browser.focus() == "again"
    browser.cdp("Network.emulateNetworkConditions", **ONLINE)
    browser.press(ENTER)
    browser.result()
    assert browser.focus() != "BODY"


def test_a_phone_shows_all_that_matters_without_scrolling(browser, mine, clip):
    def in_view(selector):
        box = browser.see(selector).rect
        assert box["y"] >= 0 and box["y"] + box["height"] <= NARROW[1], selector

    def fits():
        assert browser.js("return document.documentElement.scrollWidth") <= NARROW[0]
        assert browser.js("return scrollY") == 0
        assert browser.js(SMALL) == []

    browser.open(NARROW)
    in_view("#choose")
    fits()
    browser.cdp("Network.enable")
    browser.cdp("Network.emulateNetworkConditions", **OFFLINE)
    browser.choose(mine)
    in_view("#busy")
    in_view("#cancel")
    fits()
    browser.cdp("Network.emulateNetworkConditions", **ONLINE)
    browser.result()
    in_view("#compare")
    in_view("#download")
    fits()
    browser.choose(clip)
    browser.result("clip.mp4")
    in_view("#make")
    browser.element("#views [value=video]").click()
    in_view("#player")
    in_view("#trim")
    fits()
    browser.choose(mine, clip)
    browser.result("mine.png")
    in_view("#strip")
    fits()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_every_state_is_accessible(browser, axe, size, dark, mine, clip, tmp_path):  # noqa: F811
    def check():
        assert violations(browser.driver, axe) == []

    browser.open(size, dark)
    check()
    browser.cdp("Network.enable")
    browser.cdp("Network.emulateNetworkConditions", **OFFLINE)
    browser.choose(mine)
    browser.see("#busy")
    check()
    browser.cdp("Network.emulateNetworkConditions", **ONLINE)
    browser.result()
    check()
    (tmp_path / "bad.png").write_bytes(b"no image")
    browser.choose(tmp_path / "bad.png", mine)
    browser.see("#problem")
    check()
    browser.choose(clip)
    browser.result("clip.mp4")
    browser.element("#views [value=video]").click()
    browser.see("#trim")
    check()
    browser.see("#make").click()
    browser.see("#transport")
    check()
