"""The demo page: cartoons of photos and videos, and refused requests."""

import io
import signal
import socket
import subprocess
import sys
from pathlib import Path

import av
import gradio
import numpy as np
import pytest
import requests
from PIL import Image

from ppcartoon import video, weights
from ppcartoon.cli.demo import predictors
from ppcartoon.errors import InputError
from ppcartoon.inference import looks
from ppcartoon.inference.predictor import CartoonPredictor
from ppcartoon.web import studio
from ppcartoon.web.page import MAX_SESSIONS, MAX_WAITING, build, in_sentences
from tests.helpers import videos
from tests.helpers.samples import photo
from tests.helpers.training_runs import ROOT
from tests.helpers.visitors import Visitor, demo

pytestmark = pytest.mark.slow

FULL = "full resolution (finest)"


@pytest.fixture(scope="module")
def page(tiny_file, tmp_path_factory):
    """The folder of the page's temporary files, and its address."""
    folder = tmp_path_factory.mktemp("demo") / "tmp"
    options = ["-w", tiny_file, "-s", "peppercarrot", "--max-upload", 2, "--max-pixels", 1, "--max-seconds", 2]
    with demo(folder, *options) as (_, address):
        yield folder, address


@pytest.fixture
def visitor(page, request):
    return Visitor(page[1], request.node.name)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """The bytes of a video of three seconds."""
    path = tmp_path_factory.mktemp("video") / "clip.mkv"
    return videos.write(path, videos.scenes(1, 2, seconds=1.5)).read_bytes()


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def opened(visitor, file):
    return np.asarray(Image.open(io.BytesIO(visitor.get(file))))


def rotated_exif():
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "secret"
    return exif


@pytest.mark.parametrize("size, expected", [("384", (216, 384)), ("original", (288, 512))])
def test_a_photo_is_returned_upright_in_its_format_and_the_chosen_size(visitor, size, expected):
    data = encoded(Image.fromarray(photo(288, 512)), "JPEG", exif=rotated_exif())
    (before, after), download, *_ = visitor.make("photo", "my photo.jpg", data, size=size)
    assert download["value"]["path"] == after["path"] and after["path"].endswith("/my photo_cartoon.jpg")
    source, cartoon = (Image.open(io.BytesIO(visitor.get(file))) for file in (before, after))
    assert cartoon.format == "JPEG" and cartoon.size == source.size == expected and not cartoon.getexif()
    assert np.abs(np.int16(cartoon) - np.int16(source)).mean() > 5
    assert b"secret" in data and b"secret" not in visitor.get(after)


def test_transparency_is_kept_and_styles_differ(visitor):
    rgba = np.dstack([photo(64, 96), np.tile(np.uint8([0, 255]), (64, 48))])
    cartoons = []
    for style in ("tiny", "peppercarrot"):
        (_, after), *_ = visitor.make("photo", "a.png", encoded(Image.fromarray(rgba)), style)
        cartoons.append(opened(visitor, after))
    assert all(np.array_equal(cartoon[..., 3], rgba[..., 3]) for cartoon in cartoons)
    assert np.abs(np.int16(cartoons[0]) - np.int16(cartoons[1]))[..., :3].mean() > 5


def test_sliders_mix_the_photo_and_its_cartoon(page, visitor):
    rgba = np.dstack([photo(64, 96), np.tile(np.uint8([1, 255]), (64, 48))])
    (before, unmixed), *_ = visitor.make("photo", "a.png", encoded(Image.fromarray(rgba)))
    cartoon, last = opened(visitor, unmixed), unmixed
    for keep_colors, strength in ((0.5, 0.25), (0.0, 1), (1, 0)):
        (source, after), download = visitor.mix(keep_colors, strength)
        expected = looks.mix(rgba[..., :3], cartoon[..., :3], keep_colors, strength)
        assert np.array_equal(opened(visitor, after), np.dstack([expected, rgba[..., 3]]))
        assert source == before and after["path"].endswith("/a_cartoon.png")
        assert download["value"]["path"] == after["path"] != last["path"]
        assert Path(last["path"]).is_file()  # a browser may still be loading it
        last = after
    assert not Path(unmixed["path"]).exists()
    (_, after), *_ = visitor.make("photo", "a.png", encoded(Image.fromarray(rgba)), shares=(0.5, 0.25))
    expected = looks.mix(rgba[..., :3], cartoon[..., :3], 0.5, 0.25)
    assert np.array_equal(opened(visitor, after)[..., :3], expected)


def test_sliders_do_not_run_the_network(predictor, tmp_path, monkeypatch):
    calls, cartoonize = [], CartoonPredictor._cartoonize
    monkeypatch.setattr(CartoonPredictor, "_cartoonize", lambda *args: calls.append(args) or cartoonize(*args))
    source = photo(64, 96)
    Image.fromarray(source).save(tmp_path / "a.png")
    page_studio = studio.Studio({"tiny": predictor}, tmp_path, studio.Limits(2, 1, 1))
    drawing = page_studio.photo(tmp_path / "a.png", "tiny", "384", "auto")
    assert len(calls) == 1
    mixed = np.asarray(Image.open(page_studio.mix(drawing, 0.5, 0.5)))
    assert np.array_equal(mixed, looks.mix(source, predictor(source), 0.5, 0.5)) and len(calls) == 2


def test_the_working_size_is_chosen_and_reported(visitor):
    data = encoded(Image.fromarray(photo(270, 480)))
    cartoons = []
    for working_size, used in (("auto", 320), ("384 (bold)", 384), ("768 (fine)", 480), (FULL, 480)):
        (_, after), _, remark, *_ = visitor.make("photo", "a.png", data, "tiny", "512", working_size)
        assert remark == f"Working size {used}"
        cartoons.append(opened(visitor, after))
    assert all(cartoon.shape == (270, 480, 3) for cartoon in cartoons)
    assert np.array_equal(cartoons[2], cartoons[3]) and not np.array_equal(cartoons[0], cartoons[1])


def test_no_visitor_sees_the_cartoon_of_another(page, visitor):
    (before, after), *_ = visitor.make("photo", "a.png", encoded(Image.fromarray(photo(32, 32))))
    gone = "This cartoon is no longer kept; make it again."
    other = Visitor(page[1], "other")
    assert other.mix(0, 1) == gone
    assert other.mix(0, 1, {"before": before["url"], "name": after["url"]}) == gone  # not the state of the session


def test_the_photos_of_the_latest_sessions_are_kept(page):
    data = encoded(Image.fromarray(photo(16, 16)))
    visitors = [Visitor(page[1], f"session-{i}") for i in range(MAX_SESSIONS + 1)]
    for visitor in visitors:
        visitor.make("photo", "a.png", data)
    assert visitors[0].mix(0, 1) == "This cartoon is no longer kept; make it again."
    assert all(len(visitor.mix(0, 1)) == 2 for visitor in visitors[2:])  # the first took the place of the second


@pytest.mark.parametrize("shares", [(2, 1), (0, -0.1), ("0", 1), (0, True), (None, 1), (0, [1])])
def test_values_that_are_no_shares_are_refused(visitor, clip, shares):
    sentence = "strength and colors are numbers from 0 to 1"
    data = encoded(Image.fromarray(photo(32, 32)))
    assert visitor.make("photo", "a.png", data, shares=shares) == f"a.png: {sentence}"
    assert visitor.make("video", "a.mkv", clip, shares=shares) == f"a.mkv: {sentence}"
    visitor.make("photo", "a.png", data)
    assert visitor.mix(*shares) == f"a.png: {sentence}"


def test_the_beginning_of_a_video_is_returned_in_a_format_that_browsers_play(visitor, clip):
    video, download, remark = visitor.make("video", "clip.mkv", clip, size="256")
    assert remark == f"{2 * videos.RATE} frames, 2.0 s, working size 256"
    assert download["value"]["path"].endswith("/clip_cartoon.mp4")
    with av.open(io.BytesIO(visitor.get(download["value"]))) as cartoon:
        stream = cartoon.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height, stream.frames) == (256, 144, 2 * videos.RATE)
    assert video["path"] == download["value"]["path"]


@pytest.mark.parametrize("kind", ["WEBP", "AVIF"])
def test_an_animated_image_is_a_video(visitor, kind):
    data = io.BytesIO()
    frames = [Image.fromarray(videos.scene(seed, 48, 64)) for seed in (1, 2, 3)]
    frames[0].save(data, kind, save_all=True, append_images=frames[1:], duration=200)
    _, download, remark = visitor.make("video", "moving.webp", data.getvalue(), size="256")
    assert remark == "3 frames, 0.6 s, working size 64" and download["value"]["path"].endswith("moving_cartoon.mp4")


def test_a_video_is_mixed_with_its_cartoon(visitor, tmp_path):
    path = videos.write(tmp_path / "clip.mkv", videos.scenes(1, 2, seconds=0.5))
    decoded = []
    for strength in (0, 0.5, 1):
        (_, download, remark) = visitor.make(
            "video", "clip.mkv", path.read_bytes(), "tiny", "384", "256 (boldest)", (0, strength)
        )
        assert remark.endswith("working size 256")
        with av.open(io.BytesIO(visitor.get(download["value"]))) as cartoon:
            decoded.append(np.float32(next(cartoon.decode(video=0)).to_ndarray(format="rgb24")))
    with av.open(str(path)) as clip:
        source = np.float32(next(clip.decode(video=0)).to_ndarray(format="rgb24"))
    assert np.abs(decoded[0] - source).mean() < 3 < np.abs(decoded[2] - source).mean()
    assert np.abs(decoded[1] - (decoded[0] + decoded[2]) / 2).mean() < 3


@pytest.mark.parametrize(
    "kind, name, data, message",
    [
        ("photo", "a.jpg", b"no image at all", "not an image that can be read here"),
        ("photo", "a.png", encoded(Image.fromarray(photo(64, 64)))[:200], "cannot be read"),
        ("photo", "a.png", encoded(Image.new("1", (1500, 1000))), "1500x1000: more than 1 megapixels"),
        ("video", "a.mp4", b"no video at all", "not a video that FFmpeg can read"),
    ],
)
def test_a_file_that_cannot_be_used_gives_an_error_without_paths(page, visitor, kind, name, data, message):
    sentence = visitor.make(kind, name, data)
    assert (
        sentence.startswith(f"{name}: ")
        and message in sentence
        and str(page[0]) not in sentence
        and "Traceback" not in sentence
    )


def test_a_video_with_large_frames_is_refused_before_it_is_decoded(visitor, tmp_path):
    path = videos.write(tmp_path / "large.mp4", [np.zeros((900, 1200, 3), np.uint8)])
    assert "1200x900: more than 1 megapixels" in visitor.make("video", "large.mp4", path.read_bytes())


@pytest.mark.parametrize(
    "style, size, working_size",
    [
        ("../x", "384", "auto"),
        ("tiny", "99999", "auto"),
        (["tiny"], "384", "auto"),
        ("tiny", None, "auto"),
        ("tiny", "384", "7"),
        ("tiny", "384", {}),
    ],
    ids=["style", "size", "list", "none", "working size", "dictionary"],
)
def test_unknown_styles_and_sizes_are_refused(visitor, style, size, working_size):
    data = encoded(Image.fromarray(photo(32, 32)))
    sentence = visitor.make("photo", "a.png", data, style, size, working_size)
    assert sentence == "a.png: choose a style and sizes from the lists"


def test_a_click_without_a_file_gives_an_error(visitor):
    assert visitor.join("photo", None, "tiny", "384").ok
    assert visitor.results() == ["Drop a file first."]


def test_a_file_that_is_too_large_is_refused_and_not_kept(page, visitor):
    before = sorted(page[0].rglob("*"))
    for size, message in ((2**21 + 1, "maximum allowed size"), (2**22, "at most 2 MB")):  # by Gradio, by the guard
        answer = visitor.upload("a.png", bytes(size))
        assert answer.status_code == 413 and message in answer.text
    assert sorted(page[0].rglob("*")) == before


def test_local_files_and_urls_are_refused(page, visitor, web, tmp_path):
    url = web.put("/a.png", encoded(Image.fromarray(photo(32, 32))))
    (tmp_path / "a.png").write_bytes(web.files["/a.png"])
    (folder,) = page[0].iterdir()
    outside = [
        str(tmp_path / "a.png"),
        f"{folder}/../../{tmp_path.name}/a.png",
        url,
        f"file://{tmp_path}/a.png",
        "a\0b",
        7,
    ]
    for path in outside:
        answer = visitor.join("photo", path, "tiny", "384")
        assert (answer.status_code, answer.text) == (403, "This file was not uploaded here.")
        given = visitor.http.get(f"{visitor.address}/gradio_api/file={path}")
        assert given.status_code in (400, 404) and b"PNG" not in given.content
    (folder / "link.png").symlink_to(tmp_path / "a.png")
    assert visitor.join("photo", str(folder / "link.png"), "tiny", "384").status_code == 403
    assert web.log == []


def test_other_sites_and_paths_that_the_page_does_not_need_are_refused(page):
    def status(path="/", method="GET", **headers):
        return requests.request(method, page[1] + path, headers=headers, proxies={"http": ""}).status_code

    assert status() == 200 and status(Host="localhost") == 200
    assert status(Host="evil.example") == 400  # DNS rebinding
    join = "/gradio_api/queue/join"
    assert status(join, "POST", Origin="http://evil.example") == 403
    assert status(join, "POST", Origin="null") == 403
    for path in ("/config", "/monitoring", "/gradio_api/info", "/gradio_api/openapi.json", "/docs", "/gradio_api/runs"):
        assert status(path) == 404
    for path in ("/gradio_api/call/make", "/gradio_api/run/make", "/gradio_api/vibe-edit", "/login"):
        assert status(path, "POST") == 404


def test_requests_are_queued_and_too_many_are_refused(visitor, clip):
    (path,) = visitor.upload("clip.mkv", clip).json()
    answers = [visitor.join("video", path, "tiny", "256").status_code for _ in range(2 * MAX_WAITING + 4)]
    accepted = answers.count(200)
    assert set(answers) == {200, 503} and accepted >= MAX_WAITING
    assert visitor.join("video", path, "tiny", "256", to="run/predict").status_code == 404  # would bypass the queue
    assert visitor.call("mix", [None, 0, 1], to="run/predict").status_code == 404
    results = visitor.results()
    assert len({video["path"] for video, _, _ in results}) == len(results) == accepted


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_a_video_ends_the_page_cleanly_and_nothing_was_sent(tmp_path, tiny_file, clip, number):
    with demo(tmp_path / "tmp", "-w", tiny_file) as (process, address):
        visitor = Visitor(address)
        (path,) = visitor.upload("clip.mkv", clip).json()
        for _ in range(8):
            assert visitor.join("video", path, "tiny", "768").ok
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "", "")
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_video_with_too_many_frames_is_stopped(predictor, clip, tmp_path, monkeypatch):
    monkeypatch.setattr(studio, "MAX_FPS", videos.RATE - 1)
    (tmp_path / "clip.mkv").write_bytes(clip)
    page_studio = studio.Studio({"tiny": predictor}, tmp_path, studio.Limits(2, 1, 1))
    settings, progress = ("tiny", "256", "auto", 0, 1), []
    with pytest.raises(InputError, match="more than 11 frames per second"):
        page_studio.video(tmp_path / "clip.mkv", *settings, lambda *done: progress.append(done))
    assert progress == [(number, videos.RATE) for number in range(1, videos.RATE)]
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["clip.mkv"]


def test_an_unexpected_error_gives_a_general_message_and_a_line_in_the_log(caplog):
    with pytest.raises(gradio.Error) as caught, in_sentences(Path("/folder/<b>.png")):
        raise RuntimeError("<secret>")
    assert caught.value.message.startswith("&lt;b&gt;.png: something went wrong") and "secret" not in str(caught.value)
    assert caplog.messages == ["<b>.png: RuntimeError: <secret>"]


def test_without_opencv_the_video_tab_says_what_to_install(predictor, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    monkeypatch.delitem(sys.modules, "ppcartoon.video.deflicker", raising=False)
    monkeypatch.delattr(video, "deflicker", raising=False)
    page = build(studio.Studio({"tiny": predictor}, tmp_path, studio.Limits(1, 1, 1)), [], None)
    ids = {component["props"].get("elem_id") for component in page.config["components"]}
    assert "make-photo" in ids and "make-video" not in ids
    assert "cv2 is not installed; for videos: pip install opencv-python-headless" in str(page.config["components"])


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)


def test_without_gradio_an_error_says_what_to_install_and_help_works():
    start = "import sys; sys.modules['gradio'] = None; from ppcartoon.__main__ import main; sys.exit(main(%s))"
    done = python(start % ["demo", "--port", "0"])
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == "ppcartoon demo: gradio is not installed; for the page: pip install gradio\n"
    for arguments, text in ((["demo", "--help"], "--max-upload"), (["--help"], "ppcartoon demo")):
        done = python(start % arguments)
        assert done.returncode == 0 and text in " ".join(done.stdout.split())


def test_invalid_weights_and_duplicate_style_names_are_refused(tmp_path, tiny_file):
    (tmp_path / "peppercarrot.safetensors").write_bytes(b"none")
    for styles, files, message in (
        ([], [tmp_path / "peppercarrot.safetensors"], "peppercarrot.safetensors: "),
        (["peppercarrot"], [tmp_path / "peppercarrot.safetensors"], "several styles have this name"),
        ([], [tiny_file, tiny_file], "several styles have this name"),
        (["peppercarot"], [], "did you mean peppercarrot"),
    ):
        with pytest.raises(InputError, match=message):
            predictors(styles, files)
    assert list(predictors([], [tiny_file])) == ["tiny"] and list(predictors([], [])) == list(weights.manifest())


def test_a_port_in_use_is_an_error_of_one_line():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        done = subprocess.run([sys.executable, ROOT / "tools/demo.py", "--port", port], capture_output=True, text=True)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and done.stdout == "" and f"127.0.0.1, port {port}: cannot listen" in line
