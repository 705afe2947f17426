"""The scripts in examples/, on small photos and videos."""

import io
import os
import re
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from ppcartoon import CartoonPredictor
from ppcartoon.images import psnr
from ppcartoon.video import cartoonize
from tests.helpers import videos
from tests.helpers.samples import photo

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def shipped():
    return CartoonPredictor("peppercarrot")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)


def run(name, *arguments):
    """Runs a script in this process; returns what it passes to `sys.exit`, and None if it ends without."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [f"{name}.py", *arguments])
        try:
            runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
        except SystemExit as ended:
            return ended.code


def save(name, image):
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(name, quality=95)


def frames(path):
    with av.open(path) as video:
        return [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]


def test_readme_lists_every_example():
    listed = re.findall(r"^\| \[(.+?)\]\((.+?)\) \|", (EXAMPLES / "README.md").read_text(encoding="utf-8"), re.M)
    assert sorted(listed) == [(path.name, path.name) for path in sorted(EXAMPLES.glob("*.py"))]


def test_folder_keeps_subfolders_formats_and_transparency_and_reports_other_files(shipped, capsys):
    rgb = photo(40, 60)
    alpha = np.full((40, 60, 1), 255, np.uint8)
    alpha[:20] = 90
    save("photos/a.jpg", rgb)
    save("photos/sub/b.png", np.dstack([rgb, alpha]))
    save("photos/sub/c.bmp", rgb)
    save("photos/.hidden.jpg", rgb)
    Path("photos/words.jpg").write_text("words")
    assert run("folder", "photos", "cartoons") == 1
    made = {path.relative_to("cartoons").as_posix() for path in Path("cartoons").rglob("*.*")}
    assert made == {"a.jpg", "sub/b.png", "sub/c.bmp.png"}
    cartoon = np.asarray(Image.open("cartoons/sub/b.png"))
    assert (cartoon == np.dstack([shipped(rgb), alpha])).all()
    assert (np.asarray(Image.open("cartoons/sub/c.bmp.png")) == shipped(rgb)).all()
    assert "photos/words.jpg: not an image that can be read here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("folder", ["photos", "photos/cartoons"], "the source must contain files, and not the target"),
        ("folder", ["missing", "cartoons"], "the source must contain files, and not the target"),
        ("ray_batch", ["photos", "photos"], "the source must contain JPEG files, and not the target"),
        ("video", ["clip.mp4", "./clip.mp4"], "clip.mp4: would replace the source"),
        ("webcam", ["missing.mp4"], "missing.mp4: no such camera or video"),
        ("webcam", ["clip.mp4", "-o", "missing/cartoon.mp4"], "missing/cartoon.mp4: cannot be written"),
    ],
)
def test_paths_that_do_not_fit_are_refused(name, arguments, message, capsys):
    save("photos/a.jpg", photo(40, 60))
    videos.write("clip.mp4", videos.scenes(0, height=48, width=64))
    before = sorted(Path().rglob("*"))
    assert run(name, *arguments) == 2
    assert message in capsys.readouterr().err
    assert sorted(Path().rglob("*")) == before


def test_video_becomes_a_cartoon_within_two_seconds(shipped):
    videos.write("clip.mp4", videos.scenes(1, seconds=3, height=90, width=160))
    assert run("video", "clip.mp4", "faded.mp4") is None
    cartoonize("clip.mp4", "cartoon.mp4", shipped)
    source, cartoon, faded = frames("clip.mp4"), frames("cartoon.mp4"), frames("faded.mp4")
    assert len(faded) == len(source) == 36
    assert psnr(faded[0], source[0]) > 30 and psnr(faded[-1], cartoon[-1]) > 30
    assert psnr(faded[0], cartoon[0]) < 25 and psnr(faded[-1], source[-1]) < 25


def test_video_keeps_its_audio_and_reports_a_file_that_is_no_video(capsys):
    videos.write_flash("clip.mp4")
    assert run("video", "clip.mp4", "cartoon.mp4") is None
    assert capsys.readouterr().out == "24 frames, 2.0 seconds\n"
    white, loud = videos.onset("cartoon.mp4")
    assert white == pytest.approx(1, abs=0.1) and loud == pytest.approx(1, abs=0.1)
    assert run("video", "missing.mp4", "cartoon.mp4") == "missing.mp4: no such file"


def test_fastapi_app_answers_a_photo_with_its_cartoon_and_refuses_other_files(shipped):
    module = runpy.run_path(str(EXAMPLES / "fastapi_app.py"))
    rgb, file = photo(40, 60), io.BytesIO()
    Image.fromarray(rgb).save(file, "PNG")
    with TestClient(module["app"]) as client:
        answer = client.post("/cartoon", content=file.getvalue())
        assert answer.status_code == 200 and answer.headers["content-type"] == "image/jpeg"
        assert psnr(np.asarray(Image.open(io.BytesIO(answer.content))), shipped(rgb)) > 35
        words = client.post("/cartoon", content=b"words")
        assert (words.status_code, words.json()) == (415, {"detail": "not an image that can be read here"})
        large = client.post("/cartoon", content=bytes(module["MAX_BYTES"] + 1))
        assert (large.status_code, large.json()) == (413, {"detail": "the photo has more than 20000000 bytes"})
        pixels = io.BytesIO()
        Image.new("1", (10_000, 6_000)).save(pixels, "PNG")
        huge = client.post("/cartoon", content=pixels.getvalue())
        assert huge.status_code == 415 and "more than 50 megapixels" in huge.json()["detail"]


def test_webcam_writes_every_frame_of_a_video_with_the_frame_rate_on_it(shipped):
    videos.write("clip.mp4", videos.scenes(1, 2, height=180, width=320))
    assert run("webcam", "clip.mp4", "-o", "cartoon.mp4") is None
    source, cartoons = frames("clip.mp4"), frames("cartoon.mp4")
    assert len(cartoons) == len(source) == 24
    with av.open("cartoon.mp4") as video:
        assert video.streams.video[0].average_rate == videos.RATE
    expected = shipped.replace(working_size=256)(source[-1])
    assert psnr(cartoons[-1][40:], expected[40:]) > 25 > psnr(cartoons[-1][:40], expected[:40])


def test_webcam_shows_frames_until_q(monkeypatch):
    shown = []
    monkeypatch.setattr(cv2, "imshow", lambda title, image: shown.append(image), raising=False)
    monkeypatch.setattr(cv2, "waitKey", lambda delay: ord("q") if len(shown) == 3 else -1, raising=False)
    videos.write("clip.mp4", videos.scenes(1, height=48, width=64))
    assert run("webcam", "clip.mp4") is None
    assert [image.shape for image in shown] == [(48, 64, 3)] * 3


@pytest.mark.slow
def test_ray_batch_writes_every_cartoon_and_reports_other_files(shipped):
    for name, seed in (("a.jpg", 0), ("sub/b.jpg", 1), ("sub/c.jpg", 2)):
        save(f"photos/{name}", photo(40, 60, seed))
    Path("photos/words.jpg").write_text("words")
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp") as short:  # sockets need a short path
        settings = {"RAY_TMPDIR": short, "RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
        environment = os.environ | settings | {"PYTHONPATH": str(EXAMPLES.parent)}
        done = subprocess.run(
            [sys.executable, EXAMPLES / "ray_batch.py", "photos", "cartoons"],
            env=environment, capture_output=True, text=True,
        )  # fmt: skip
    assert done.returncode == 1, done.stderr
    refusal = f"{Path('photos/words.jpg').resolve()}: not an image that can be read here"
    assert refusal in done.stderr.splitlines()  # among Ray's own lines
    assert {path.name for path in Path("cartoons").rglob("*.*")} == {"a.jpg", "b.jpg", "c.jpg"}
    for path in Path("photos").rglob("[abc].jpg"):
        cartoon = np.asarray(Image.open("cartoons" / path.relative_to("photos")))
        assert psnr(cartoon, shipped(path)) > 35
