"""The page that needs no server: its files, and cartoons that a browser makes with them, without a network."""

import base64
import dataclasses
import functools
import gzip
import hashlib
import http.server
import io
import json
import re
import tarfile
import threading
import zipfile
from contextlib import contextmanager

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from ppcartoon import images, weights
from ppcartoon.cli.export import main as export
from ppcartoon.errors import InputError
from ppcartoon.inference import engines, onnx_graph
from ppcartoon.inference.predictor import CartoonPredictor
from ppcartoon.web import site
from tests.helpers.browser import browsing, needs_browser
from tests.helpers.samples import photo

pytestmark = pytest.mark.slow


def package(*names):
    """An archive as npm packs them, with small files of these names in its dist folder; all that are needed if none."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name in ["../../escaped", *(f"package/dist/{name}" for name in names or site.RUNTIME.values())]:
            data = f"the file {name}".encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return file.getvalue()


@pytest.fixture
def registry(web, tmp_path, monkeypatch):
    """A function that makes a package what the npm registry has."""
    monkeypatch.setattr(site, "cache_home", lambda: tmp_path / "cache")

    def offer(data):
        url = web.put(f"/npm/{site.PACKAGE}", data)
        monkeypatch.setenv("npm_config_registry", url.removesuffix(site.PACKAGE))
        monkeypatch.setattr(site, "CHECKSUM", f"sha256:{hashlib.sha256(data).hexdigest()}")

    offer(package())
    return offer


@pytest.fixture
def tiny(tiny_file):
    return weights.load(tiny_file)


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def known(folder):
    """Version and files that the service worker of a site knows."""
    return json.loads(re.match(r"const SITE = (\{.*\});\n", (folder / "sw.js").read_text())[1])


def test_site_has_page_runtime_and_network_and_the_service_worker_knows_all_files(tiny, registry, tmp_path):
    folder = tmp_path / "new" / "site"
    written = site.export(tiny, folder)
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert set(known(folder)["files"]) == names - {"sw.js"} and written.files == len(names)
    assert written.size == sum((folder / name).stat().st_size for name in names)
    assert {"index.html", "page.js", "worker.js", "model.onnx.gz", *site.RUNTIME} <= names
    assert not names & set(site.SERVICE) and not (tmp_path / "escaped").exists()
    assert (folder / "backend.js").read_bytes() == (site.HERE / "browser" / "backend.js").read_bytes()
    assert gzip.decompress((folder / "runtime/wasm.wasm.gz").read_bytes()).endswith(b"threaded.wasm")
    html = (folder / "index.html").read_text()
    assert html.index("Content-Security-Policy") < html.index("<link") and "'wasm-unsafe-eval'" in html
    about = json.loads((folder / "site.json").read_text())
    assert about["styles"] == [{"name": "tiny", "license": "CC0", "attribution": "nobody"}]
    for file in [*(icon["src"] for icon in json.loads((folder / "manifest.webmanifest").read_text())["icons"])]:
        assert file in names


def test_stored_network_is_small_and_makes_the_same_cartoons(tiny, registry, tmp_path):
    site.export(tiny, tmp_path / "site")
    model = gzip.decompress((tmp_path / "site" / "model.onnx.gz").read_bytes())
    image = images.to_network(photo(48, 64)[None])
    (cartoon,) = onnxruntime.InferenceSession(model).run(None, {"image": image})
    assert images.psnr(cartoon, engines.create(tiny, "onnx", "cpu")(image), 2) > 38
    assert len(model) < 0.6 * sum(tensor.nbytes for tensor in tiny.tensors.values()) + 20_000


def test_package_is_downloaded_once_and_verified(tiny, registry, web, tmp_path):
    site.export(tiny, tmp_path / "one")
    web.files.clear()
    site.export(tiny, tmp_path / "two")
    assert len(web.log) == 1 and contents(tmp_path / "one") == contents(tmp_path / "two")


@pytest.mark.parametrize("data, message", [
    (package("ort.wasm.min.mjs"), "has no ort"),
    (b"no archive", "not a package of npm, or a damaged one; remove it"),
    (package()[:-300], "not a package of npm, or a damaged one; remove it"),
])  # fmt: skip
def test_package_that_cannot_be_used_is_one_line_and_the_older_site_stays(tiny, registry, tmp_path, data, message):
    site.export(tiny, tmp_path / "site")
    before = contents(tmp_path / "site")
    (tmp_path / "cache" / "ppcartoon" / "npm" / site.PACKAGE.rpartition("/")[2]).unlink()
    registry(data)
    with pytest.raises(InputError, match=message):
        site.export(tiny, tmp_path / "site")
    assert contents(tmp_path / "site") == before


def test_without_a_network_or_with_another_package_nothing_is_written(tiny, registry, web, tmp_path, monkeypatch):
    web.put(f"/npm/{site.PACKAGE}", package("other"))
    with pytest.raises(InputError, match=r"has sha256:\w+ instead of"):
        site.export(tiny, tmp_path / "site")
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    with pytest.raises(InputError, match="no connection"):
        site.export(tiny, tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_only_files_of_the_site_are_replaced_and_another_page_is_not(tiny, registry, tmp_path):
    folder = tmp_path / "site"
    site.export(tiny, folder)
    version = known(folder)["version"]
    (folder / "mine.txt").write_text("mine")
    (folder / "page.js").write_text("old")
    site.export(tiny, folder)
    assert (folder / "mine.txt").read_text() == "mine" and (folder / "page.js").read_text() != "old"
    assert known(folder)["version"] == version
    (folder / "site.json").unlink()
    before = contents(folder)
    with pytest.raises(InputError, match=r"site: has an index\.html of something else"):
        site.export(tiny, folder)
    assert contents(folder) == before


def test_nothing_is_written_if_cartoons_differ(tiny, registry, tmp_path, monkeypatch):
    monkeypatch.setattr(site, "compact", lambda model: onnx_graph.build(dataclasses.replace(tiny, tensors=zeros(tiny))))
    with pytest.raises(InputError, match=r"tiny: in 8 bits, cartoons differ too much \(\d+ dB\); nothing was written"):
        site.export(tiny, tmp_path / "site")
    assert not (tmp_path / "site").exists()


def zeros(loaded):
    return {name: np.zeros_like(tensor) for name, tensor in loaded.tensors.items()}


@pytest.mark.parametrize("options", [["--format", "onnx"], ["--precision", "int8"], ["--calibrate", "photos"]])
def test_browser_goes_with_no_other_format(options, tmp_path, capsys):
    assert export(["--browser", *options, "-o", str(tmp_path / "site")]) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1 and "--browser writes a page" in said.err and not (tmp_path / "site").exists()


def test_command_tells_how_to_see_the_site(tiny_file, registry, tmp_path, capsys):
    assert export(["-w", str(tiny_file), "--browser", "-o", str(tmp_path / "my site")]) == 0
    assert f"python -m http.server -d '{tmp_path}/my site'" in capsys.readouterr().out


@contextmanager
def file_host(folder):
    """Serves a folder as `python -m http.server` does; yields the address."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


class Page:
    """The site in a browser, driven by the interface that its page uses."""

    def __init__(self, driver, address, folder):
        from selenium.webdriver.support.wait import WebDriverWait

        self.driver, self.folder = driver, folder
        self.wait = WebDriverWait(driver, 60, 0.05)
        driver.set_script_timeout(60)
        driver.get(address)
        self.until_loaded()

    def until_loaded(self):
        self.wait.until(
            lambda driver: driver.execute_script("return self.crossOriginIsolated && document.readyState == 'complete'")
        )

    def reload(self):
        self.driver.execute_script(
            "window.old = true; location.reload();"
        )  # the driver's way leaves out the service worker
        self.wait.until(lambda driver: driver.execute_script("return !window.old"))
        self.until_loaded()

    def run(self, script, *arguments):
        """Runs a script that has the module `backend` and the functions of `PRELUDE`; returns what it returns."""
        return self.driver.execute_async_script(
            f"{PRELUDE} started.then(async () => {{ {script} }}).then(done, fail);", arguments
        )

    def make(self, data, name="photo.png", kind="image/png", **options):
        """Makes a cartoon; returns its handle and its job."""
        return self.run("""
            const handle = await backend.begin(file(sent[0]), sent[1]);
            return [handle, await ended(handle)];
        """, sent(data, name, kind), options)  # fmt: skip

    def result(self, handle, **look):
        """The file of a cartoon: its bytes and its name."""
        script = "const {blob, name} = await backend.result(...sent); return [await text(blob), name];"
        data, name = self.run(script, handle, look)
        return base64.b64decode(data), name

    def cartoon(self, data, look=(), **options):
        """Makes a cartoon; returns the pixels of its file, and its job."""
        handle, job = self.make(data, **options)
        assert job["state"] == "done", job
        return np.asarray(Image.open(io.BytesIO(self.result(handle, format="png", **dict(look))[0]))), job

    def refusal(self, data, name, kind):
        return self.run("""
            return backend.begin(file(sent[0]), {}).then(() => "accepted", (error) => error.message);
        """, sent(data, name, kind))  # fmt: skip


PRELUDE = (
    """
const [sent, done] = arguments;
const fail = (error) => done({error: String(error)});
const file = ({data, name, type}) => new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], name, {type});
const text = (blob) => new Promise((resolve) => {
  const reader = new FileReader();
  reader.onload = () => resolve(reader.result.split(",")[1]);
  reader.readAsDataURL(blob);
});
let backend;
const ended = (handle) => new Promise((resolve) => backend.follow(handle, (job) => {
  if (!["waiting", "running"].includes(job.state)) resolve(job);
}));
""".strip()
    + " const started = import('./backend.js').then((module) => { backend = module; }); "
)


def sent(data, name, kind):
    """The argument of `file` in a script."""
    return {"data": base64.b64encode(data).decode(), "name": name, "type": kind}


def encoded(rgb, kind="PNG", **options):
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, kind, **options)
    return file.getvalue()


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The site of the shipped style."""
    folder = tmp_path_factory.mktemp("site") / "site"
    try:
        written = site.export(weights.load_style("peppercarrot"), folder)
    except InputError as error:
        pytest.skip(f"the npm registry cannot be reached: {error}")
    assert written.size < 12e6
    return folder


@pytest.fixture(scope="module")
def page(exported, tmp_path_factory):
    """The page after its first visit, without a network: its host is gone, and the browser is offline."""
    with browsing(tmp_path_factory.mktemp("profile"), 1200, 900) as driver:
        with file_host(exported) as address:
            page = Page(driver, address, tmp_path_factory.mktemp("downloads"))
            page.cartoon(encoded(photo(32, 32)))
        driver.execute_cdp_cmd("Network.enable", {})
        nothing = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        driver.execute_cdp_cmd("Network.emulateNetworkConditions", nothing)
        page.reload()
        yield page


@pytest.fixture(scope="module")
def command():
    return CartoonPredictor("peppercarrot", engine="onnx", precision="fp32")


def sample(name):
    from skimage import data

    return getattr(data, name)()


@needs_browser
@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee"])
def test_cartoon_is_that_of_the_command_line_without_a_network(page, command, name):
    rgb = np.asarray(images.shrink(images.Picture(sample(name)), 512).rgb)
    cartoon, job = page.cartoon(encoded(rgb))
    assert images.psnr(cartoon[..., :3], command(rgb)) >= 38
    assert job["working_size"] == max(command.reduce(rgb).shape[:2])
    assert (job["height"], job["width"]) == rgb.shape[:2] == cartoon.shape[:2]


@needs_browser
def test_working_size_size_strength_and_colors_are_those_of_the_command_line(page, command):
    rgb = sample("coffee")
    small = images.shrink(images.Picture(rgb), 250).rgb
    wanted = command.replace(working_size=130, keep_colors=0.6, strength=0.7)(small)
    look = {"strength": 0.7, "keepColors": 0.6}
    cartoon, job = page.cartoon(encoded(rgb), look, workingSize=130, size=250)
    assert cartoon.shape[:2] == small.shape[:2] and job["working_size"] == 130
    assert images.psnr(cartoon[..., :3], wanted) >= 38


@needs_browser
def test_transparent_photo_keeps_alpha_and_hidden_colors_do_not_matter(page, command):
    rgb, alpha = sample("astronaut")[:160, :120], np.zeros((160, 120), np.uint8)
    alpha[30:140, 20:110] = 255
    data = encoded(np.dstack([rgb, alpha]))
    handle, _ = page.make(data, workingSize=96)
    cartoon = np.asarray(Image.open(io.BytesIO(page.result(handle, format="png")[0])))
    picture = images.read(io.BytesIO(data))
    wanted = command.replace(working_size=96)(picture.rgb)
    assert np.array_equal(cartoon[..., 3], alpha)
    assert images.psnr(cartoon[alpha > 0][:, :3], wanted[alpha > 0]) >= 38
    white = np.asarray(Image.open(io.BytesIO(page.result(handle, format="jpg")[0])))
    assert white[:20].min() > 250


@needs_browser
def test_photo_of_a_camera_is_upright_and_its_file_has_its_format(page):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    handle, job = page.make(encoded(photo(40, 60), "JPEG", exif=exif), "beach.jpg", "image/jpeg")
    assert (job["width"], job["height"], job["media_type"]) == (40, 60, "image/jpeg")
    for look, kind, ending in (
        ({}, "JPEG", "jpg"),
        ({"format": "webp"}, "WEBP", "webp"),
        ({"format": "png"}, "PNG", "png"),
    ):
        data, name = page.result(handle, **look)
        image = Image.open(io.BytesIO(data))
        assert (image.format, image.size, name) == (kind, (40, 60), f"beach_cartoon.{ending}")


@needs_browser
def test_zip_has_all_cartoons(page):
    handles = [page.make(encoded(photo(20, 30, seed)), "same.png")[0] for seed in (1, 2)]
    script = "const {blob, name} = await backend.archive(...sent); return [await text(blob), name];"
    data, name = page.run(script, handles, {"format": "png"})
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(data))) as archive:
        assert archive.testzip() is None and name == "cartoons.zip"
        assert archive.namelist() == ["same_cartoon.png", "same_cartoon_2.png"]
        for handle, entry in zip(handles, archive.namelist()):
            assert archive.read(entry) == page.result(handle, format="png")[0]


@needs_browser
@pytest.mark.parametrize("data, name, kind, said", [
    (b"no image", "bad.jpg", "image/jpeg", "bad.jpg: not a photo that this browser can read."),
    (b"....ftypheic", "a.HEIC", "", "a.HEIC: this browser cannot read HEIC photos; save it as JPEG first."),
    (b"video", "clip.mp4", "video/mp4", "clip.mp4: this page makes cartoons of photos, not of videos."),
])  # fmt: skip
def test_files_that_the_browser_cannot_read_are_refused_with_a_sentence(page, data, name, kind, said):
    assert page.refusal(data, name, kind) == said


@needs_browser
def test_cancelled_cartoon_ends_and_those_after_it_are_made(page):
    states = page.run("""
        const photo = file(sent[0]);
        const options = {workingSize: 1024, size: 0};
        const handles = [];
        for (let i = 0; i < 3; i++) handles.push(await backend.begin(photo, i < 2 ? options : {workingSize: 64}));
        const ends = handles.map(ended);
        await new Promise((resolve) => setTimeout(resolve, 300));
        await backend.cancel(handles[1]);
        await backend.cancel(handles[0]);
        return (await Promise.all(ends)).map(({state}) => state);
    """, sent(encoded(photo(1024, 1024)), "large.png", "image/png"))  # fmt: skip
    assert states == ["cancelled", "cancelled", "done"]


@needs_browser
def test_finished_cartoon_is_there_after_a_reload_and_an_unknown_one_is_gone(page):
    handle, _ = page.make(encoded(photo(24, 36)))
    before = page.result(handle)
    page.wait.until(lambda _: page.run("return caches.match(`kept/${sent[0].id}`).then(Boolean);", handle))
    page.reload()
    job = page.run("return ended(sent[0]);", handle)
    assert (job["state"], job["width"], job["height"]) == ("done", 36, 24)
    assert page.result(handle) == before
    page.run("await backend.cancel(sent[0]);", handle)
    job = page.run("return ended(sent[0]);", handle)
    assert (job["state"], job["error"]) == ("failed", "This photo is no longer here; choose it again.")


@needs_browser
def test_visitor_chooses_a_photo_and_downloads_its_cartoon(page, tmp_path):
    driver = page.driver
    driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    (tmp_path / "mine.png").write_bytes(encoded(photo(60, 80)))
    driver.find_element("css selector", "#file").send_keys(str(tmp_path / "mine.png"))
    button = driver.find_element("css selector", "#download")
    page.wait.until(lambda _: button.is_displayed())
    button.click()
    page.wait.until(lambda _: (tmp_path / "mine_cartoon.png").exists())
    assert Image.open(tmp_path / "mine_cartoon.png").size == (80, 60)


CAMERA = """
    const canvas = document.createElement("canvas");
    const context = canvas.getContext("2d");
    [canvas.width, canvas.height] = [64, 48];
    setInterval(() => context.fillRect(Math.random() * 60, 10, 9, 9), 50);
    navigator.mediaDevices.getUserMedia = async () => canvas.captureStream(20);
"""


@needs_browser
def test_camera_shows_cartoons_live_or_says_that_the_device_is_too_slow_and_takes_photos(page):
    driver = page.driver
    driver.execute_script(f"location.hash = ''; {CAMERA}")
    button = next(b for b in driver.find_elements("css selector", "#start button") if b.text == "Use the camera")
    button.click()
    status = driver.find_element("css selector", "#camera [role=status]")
    page.wait.until(lambda _: status.text == "" or "too few to be live" in status.text)
    page.wait.until(lambda _: driver.execute_script("return document.querySelector('#camera canvas').width") == 64)
    driver.find_element("css selector", "#camera .primary").click()
    page.wait.until(lambda _: driver.find_element("css selector", "#download").is_displayed())
    assert "camera" in driver.find_element("css selector", "#title").text
    assert not driver.find_elements("css selector", "#camera")


@needs_browser
def test_page_promises_nothing_that_it_cannot_do(page):
    page.driver.execute_script("location.hash = '';")
    page.wait.until(lambda driver: driver.find_element("css selector", "#choose").is_displayed())
    texts = page.driver.execute_script("return [document.title, document.body.innerText, document.head.innerHTML];")
    said = " ".join(texts)
    assert "photo" in said and not re.search("video|HEIC", said, re.IGNORECASE)
    assert page.driver.find_element("css selector", "#file").get_attribute("accept") == "image/*"


@needs_browser
def test_page_can_be_installed(page):
    driver = page.driver
    assert driver.execute_cdp_cmd("Page.getAppManifest", {})["errors"] == []
    assert driver.execute_cdp_cmd("Page.getInstallabilityErrors", {})["installabilityErrors"] == []
