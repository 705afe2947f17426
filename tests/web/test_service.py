"""The service: cartoons of photos and videos by HTTP, and requests that it refuses."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import av
import numpy as np
import pytest
import requests
from PIL import Image

from ppcartoon import images, weights
from ppcartoon.cli.demo import choose, predictors
from ppcartoon.cli.serve import read_keys
from ppcartoon.errors import InputError
from ppcartoon.inference import looks
from tests.helpers import videos
from tests.helpers.samples import photo
from tests.helpers.training_runs import ROOT
from tests.helpers.visitors import Visitor, demo

pytestmark = pytest.mark.slow

SECONDS = 2  # of a video


@pytest.fixture(scope="module")
def page(tiny_file, tmp_path_factory):
    """The folder of the service's temporary files, and its address."""
    folder = tmp_path_factory.mktemp("demo") / "tmp"
    options = ["-w", tiny_file, "-s", "peppercarrot", "--max-upload", 2, "--max-pixels", 1, "--max-seconds", SECONDS]
    with demo(folder, *options) as (_, address):
        yield folder, address


@pytest.fixture
def visitor(page):
    return Visitor(page[1])


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """The bytes of a video of three seconds."""
    path = tmp_path_factory.mktemp("video") / "clip.mkv"
    return videos.write(path, videos.scenes(1, 2, seconds=1.5)).read_bytes()


def encoded(pixels, kind="PNG", **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def opened(data):
    return np.asarray(Image.open(io.BytesIO(data)))


def rotated_exif():
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "secret"
    return exif


def error_of(answer):
    return answer.status_code, answer.json()["error"]


def files_below(folder):
    return sorted(Path(parent, name) for parent, _, names in os.walk(folder) for name in names)  # may vanish meanwhile


@pytest.mark.parametrize("size, expected", [(384, (216, 384)), (0, (288, 512))])
def test_a_photo_is_returned_upright_in_its_format_and_the_chosen_size(visitor, predictor, size, expected):
    data = encoded(photo(288, 512), "JPEG", exif=rotated_exif())
    job = visitor.make("my photo.jpg", data, size=size)
    assert (job["state"], job["width"], job["height"], job["media_type"]) == ("done", *expected, "image/jpeg")
    cartoon = Image.open(io.BytesIO(visitor.result(job)))
    assert cartoon.format == "JPEG" and cartoon.size == expected and not cartoon.getexif()
    upright = images.read(io.BytesIO(data), None, size or None).rgb
    assert images.psnr(np.asarray(cartoon), predictor(upright)) > 40
    assert b"secret" in data and b"secret" not in visitor.result(job)


def test_a_photo_in_one_request_equals_that_of_a_job(visitor):
    data = encoded(photo(64, 96))
    answer = visitor.post("cartoon", data, style="tiny", strength=0.5, keep_colors=0.5)
    assert (answer.headers["Content-Type"], answer.headers["X-Working-Size"]) == ("image/png", "96")
    job = visitor.make("a.png", data, style="tiny")
    assert np.array_equal(opened(answer.content), opened(visitor.result(job, strength=0.5, keep_colors=0.5)))
    other = visitor.post("cartoon", data, style="tiny", format="webp")
    assert other.headers["Content-Type"] == "image/webp" and Image.open(io.BytesIO(other.content)).format == "WEBP"


def test_transparency_is_kept_and_styles_differ(visitor):
    rgba = np.dstack([photo(64, 96), np.tile(np.uint8([0, 255]), (64, 48))])
    jobs = [visitor.make("a.png", encoded(rgba), style=style) for style in ("tiny", "peppercarrot")]
    cartoons = [opened(visitor.result(job)) for job in jobs]
    assert all(np.array_equal(cartoon[..., 3], rgba[..., 3]) for cartoon in cartoons)
    assert np.abs(np.int16(cartoons[0]) - np.int16(cartoons[1]))[..., :3].mean() > 5
    preview = visitor.get(f"jobs/{jobs[0]['id']}/photo")
    assert preview.headers["Content-Type"] == "image/png" and np.array_equal(
        opened(preview.content)[..., 3], rgba[..., 3]
    )


def test_a_cartoon_is_mixed_with_its_photo_after_it_was_made(visitor):
    rgb = photo(64, 96)
    job = visitor.make("a.png", encoded(rgb))
    cartoon = opened(visitor.result(job))
    for strength, keep_colors in ((0.5, 0.25), (1, 1), (0, 0)):
        mixed = opened(visitor.result(job, strength=strength, keep_colors=keep_colors))
        assert np.array_equal(mixed, looks.mix(rgb, cartoon, keep_colors, strength))


def test_the_file_of_a_job_is_used_again_and_both_have_previews(visitor):
    rgb = photo(270, 480)
    first = visitor.make("a.png", encoded(rgb))
    found = [first, *(visitor.make("", source=first["id"], working_size=size) for size in (384, 768))]
    assert [job["working_size"] for job in found] == [320, 384, 480]
    assert [job["name"] for job in found] == ["a.png"] * 3
    assert not np.array_equal(opened(visitor.result(found[0])), opened(visitor.result(found[1])))
    for kind, expected in (("photo", rgb), ("cartoon", opened(visitor.result(found[2])))):
        preview = visitor.get(f"jobs/{found[2]['id']}/{kind}")
        assert preview.headers["Content-Type"] == "image/jpeg" and images.psnr(opened(preview.content), expected) > 30
    assert visitor.get(f"jobs/{first['id']}/source").content == encoded(rgb)


def test_large_photos_are_reduced_and_not_refused(visitor):
    large = encoded(np.full((3000, 4000, 3), 120, np.uint8), "JPEG")
    job = visitor.make("large.jpg", large, working_size=64)
    assert (job["width"], job["height"]) == (1154, 865) and job["error"] == ""
    assert opened(visitor.result(job)).shape == (865, 1154, 3)


def test_results_of_several_jobs_come_in_one_archive_with_legal_names(visitor):
    data = encoded(photo(32, 48))
    names = ["a.png", "b/../a.png", "c:\\d\\A.PNG", "../..", "<x>\u00fc\n.jpg"]
    jobs = [visitor.make(name, data) for name in names]
    answer = visitor.get("archive", job=[job["id"] for job in jobs], format="webp")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        found = archive.namelist()
        assert all(opened(archive.read(name)).shape == (32, 48, 3) for name in found)
    assert found == [
        "a_cartoon.webp", "a_cartoon_2.webp", "A_cartoon_3.webp", "photo_cartoon.webp", "_x_\u00fc__cartoon.webp"
    ]  # fmt: skip


def test_the_beginning_of_a_video_is_returned_in_a_format_that_browsers_play(visitor, clip):
    states = list(visitor.events(visitor.start("clip.mkv", clip, size=256)))
    last = states[-1]
    assert (last["state"], last["kind"], last["frames"], last["seconds"]) == ("done", "video", 2 * videos.RATE, 2)
    assert (last["width"], last["height"], last["working_size"]) == (256, 144, 256)
    with av.open(io.BytesIO(visitor.result(last))) as cartoon:
        stream = cartoon.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height, stream.frames) == (256, 144, 2 * videos.RATE)
    progress = [state["progress"] for state in states]
    assert progress == sorted(progress) and progress[-1] == 1 and len(set(progress)) > 2
    left = [state["seconds_left"] for state in states if state["state"] == "running"]
    assert left[-1] is not None and left[-1] < 30 and last["seconds_left"] == 0
    part = visitor.http.get(f"{visitor.address}/v1/jobs/{last['id']}/result", headers={"Range": "bytes=0-99"})
    assert part.status_code == 206 and len(part.content) == 100  # browsers seek with it


def test_a_part_of_a_video_and_one_of_its_frames(visitor, clip):
    part = visitor.make("clip.mkv", clip, start=1, duration=0.5, size=128)
    assert (part["frames"], part["seconds"]) == (videos.RATE // 2, 0.5)
    frame = visitor.make("", source=part["id"], frame=1.6)
    assert (frame["kind"], frame["width"], frame["height"]) == ("frame", 320, 180)
    with av.open(io.BytesIO(clip)) as video:
        wanted = [shown.to_ndarray(format="rgb24") for shown in video.decode(video=0)][round(1.6 * videos.RATE)]
    preview = opened(visitor.get(f"jobs/{frame['id']}/photo").content)
    assert images.psnr(preview, wanted) > 30
    late = visitor.make("", source=part["id"], frame=99)
    assert (late["state"], late["error"]) == ("failed", "the video has no frame at 99 seconds")


@pytest.mark.parametrize("kind", ["WEBP", "AVIF"])
def test_an_animated_image_is_a_video(visitor, kind):
    data = io.BytesIO()
    frames = [Image.fromarray(videos.scene(seed, 48, 64)) for seed in (1, 2, 3)]
    frames[0].save(data, kind, save_all=True, append_images=frames[1:], duration=200)
    job = visitor.make("moving.webp", data.getvalue())
    assert (job["kind"], job["frames"], job["working_size"]) == ("video", 3, 64)
    assert round(job["seconds"], 1) == 0.6


@pytest.mark.parametrize(
    "name, data, message",
    [
        ("a.jpg", b"no image at all", "not an image that can be read here"),
        ("a.mp4", b"no video at all", "not a video that FFmpeg can read"),
        ("a.m3u8", b"#EXTM3U\n/etc/passwd", "playlist"),
    ],
)
def test_a_file_that_is_no_photo_or_video_is_refused_without_paths(page, visitor, name, data, message):
    status, sentence = error_of(visitor.post("jobs", data, name=name))
    assert status == 415 and message in sentence and str(page[0]) not in sentence and "source" not in sentence


def test_a_damaged_photo_fails_with_a_sentence_without_paths(page, visitor):
    job = visitor.make("a.png", encoded(photo(64, 64))[:200])
    assert job["state"] == "failed" and job["error"].startswith("cannot be read") and str(page[0]) not in job["error"]
    assert error_of(visitor.get(f"jobs/{job['id']}/result")) == (409, job["error"])
    assert error_of(visitor.post("cartoon", encoded(photo(64, 64))[:200]))[0] == 415


def test_a_video_with_large_frames_is_refused_before_it_is_decoded(visitor, tmp_path):
    path = videos.write(tmp_path / "large.mp4", [np.zeros((900, 1200, 3), np.uint8)])
    status, sentence = error_of(visitor.post("jobs", path.read_bytes(), name="large.mp4"))
    assert status == 415 and "1200x900: more than 1 megapixels" in sentence
    assert error_of(visitor.post("cartoon", path.read_bytes()))[0] == 415


@pytest.mark.parametrize(
    "options, message",
    [
        ({"style": "../x"}, "style: ../x does not exist; the styles are tiny, peppercarrot"),
        ({"size": -1}, "size: Input should be greater than or equal to 0"),
        ({"working_size": "7"}, "working_size: Input should be"),
        ({"strength": 2}, "strength: Input should be less than or equal to 1"),
        ({"strength": "nan"}, "strength: "),
        ({"keep_colors": "x"}, "keep_colors: Input should be a valid number"),
        ({"format": "exe"}, "format: Input should be 'jpg', 'png' or 'webp'"),
        ({"unknown": 1}, "unknown: Extra inputs are not permitted"),
    ],
    ids=str,
)
def test_invalid_options_are_refused_with_a_sentence(visitor, options, message):
    status, sentence = error_of(visitor.post("cartoon", encoded(photo(32, 32)), **options))
    assert status == 400 and sentence.startswith(message)


def test_an_upload_that_is_empty_or_too_large_is_refused_and_not_kept(page, visitor):
    before = files_below(page[0])
    assert error_of(visitor.post("jobs"))[0] == 400
    assert error_of(visitor.post("jobs", bytes(2**21 + 1))) == (413, "the file is too large: at most 2 MB are allowed")
    assert files_below(page[0]) == before


def test_an_upload_that_is_broken_off_is_not_kept(page, visitor):
    before, url = files_below(page[0]), urlsplit(page[1])
    with socket.create_connection((url.hostname, url.port)) as sock:
        sock.sendall(f"POST /v1/jobs HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Length: 999999\r\n\r\n".encode())
        sock.sendall(bytes(70000))
        wait_until(lambda: files_below(page[0]) != before)
    wait_until(lambda: files_below(page[0]) == before)


def wait_until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_unknown_jobs_are_not_found(visitor):
    for path in ("jobs/x", "jobs/x/result", "jobs/x/events", "jobs/../../etc/passwd", "archive?job=x"):
        assert visitor.get(path).status_code == 404
    assert error_of(visitor.post("jobs", source="x")) == (404, "there is no such job, or it was deleted")


def test_a_deleted_job_and_its_files_are_gone(page, visitor):
    job = visitor.make("a.png", encoded(photo(32, 32)))
    kept = files_below(page[0])
    assert visitor.http.delete(f"{visitor.address}/v1/jobs/{job['id']}").status_code == 204
    assert len(files_below(page[0])) < len(kept) and visitor.get(f"jobs/{job['id']}").status_code == 404


def test_a_canceled_video_ends_at_once_and_others_are_made(page, visitor, clip):
    first, second = visitor.start("clip.mkv", clip, style="peppercarrot"), visitor.start("clip.mkv", clip, size=64)
    waiting = visitor.get(f"jobs/{second}").json()
    assert (waiting["state"], waiting["position"]) == ("waiting", 1)
    assert visitor.http.delete(f"{visitor.address}/v1/jobs/{first}").status_code == 204
    *_, last = visitor.events(second)
    assert last["state"] == "done" and last["position"] == 0


def test_a_watched_video_is_canceled_when_its_watcher_leaves(visitor, clip):
    id = visitor.start("clip.mkv", clip * 1, style="peppercarrot", working_size=1024, size=1024, watched=True)
    other = visitor.start("clip.mkv", clip, size=64)
    stream = visitor.events(id)
    assert next(stream)["state"] in ("waiting", "running")
    stream.close()
    *_, last = visitor.events(other)
    assert last["state"] == "done" and visitor.get(f"jobs/{id}").json()["state"] in ("canceled", "done")


def test_few_clients_may_watch_a_job(visitor, clip):
    id = visitor.start("clip.mkv", clip, style="peppercarrot", working_size=1024)
    streams = [visitor.http.get(f"{visitor.address}/v1/jobs/{id}/events", stream=True) for _ in range(5)]
    assert [stream.status_code for stream in streams] == [200] * 4 + [429]
    for stream in streams:
        stream.close()
    visitor.http.delete(f"{visitor.address}/v1/jobs/{id}")


def test_an_unexpected_error_is_a_sentence_and_one_line_in_the_log(tmp_path, tiny_file):
    with demo(tmp_path / "tmp", "-w", tiny_file) as (process, address):
        for folder in (tmp_path / "tmp").iterdir():
            folder.rename(tmp_path / "gone")
        status, sentence = error_of(Visitor(address).post("jobs", b"x"))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert status == 500 and sentence.startswith("something went wrong")
    (line,) = err.splitlines()
    assert "POST /v1/jobs: FileNotFoundError" in line


def test_photos_do_not_wait_behind_videos(visitor, clip):
    video = visitor.start("clip.mkv", clip, style="peppercarrot")
    assert visitor.make("a.png", encoded(photo(64, 64)))["state"] == "done"
    assert visitor.get(f"jobs/{video}").json()["state"] == "running"
    visitor.http.delete(f"{visitor.address}/v1/jobs/{video}")


def test_other_sites_and_host_names_are_refused(page):
    def status(path="/v1/styles", method="GET", **headers):
        return requests.request(method, page[1] + path, headers=headers, proxies={"http": ""}).status_code

    assert status() == 200 and status(Host="localhost") == 200
    assert status(Host="evil.example") == 400  # DNS rebinding
    assert status("/healthz", Host="evil.example") == 200  # by the address of a container
    assert status("/v1/jobs", "POST", Origin="http://evil.example") == 403
    assert status("/v1/jobs", "POST", Origin="null") == 403
    assert status("/v1/jobs", "POST", Origin=page[1]) == 400  # an empty body


def test_health_readiness_metrics_and_the_description_of_the_api(page, visitor):
    visitor.make("a.png", encoded(photo(32, 32)))
    get = lambda path: visitor.http.get(page[1] + path)  # noqa: E731
    assert (get("/healthz").text, get("/readyz").text) == ("ok", "ready")
    text = get("/metrics").text
    assert (
        'ppcartoon_jobs_total{kind="photo",state="done"}' in text and 'ppcartoon_jobs_waiting{lane="video"} 0.0' in text
    )
    paths = get("/openapi.json").json()["paths"]
    assert {"/v1/cartoon", "/v1/jobs", "/v1/jobs/{id}/events", "/v1/styles"} <= set(paths)
    assert "SwaggerUIBundle" in get("/docs.js").text and get("/swagger/swagger-ui-bundle.js").ok
    answer = get("/docs")
    assert "docs.js" in answer.text and answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_a_video_ends_the_service_cleanly_and_nothing_was_sent(tmp_path, tiny_file, clip, number):
    with demo(tmp_path / "tmp", "-w", tiny_file) as (process, address):
        visitor = Visitor(address)
        ids = [visitor.start("clip.mkv", clip, working_size=1024) for _ in range(4)]
        stream = visitor.events(ids[0])
        next(stream)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, "") and "CONNECTION" not in err
    assert [line.split()[1] for line in err.splitlines()] == ["job"] * len(err.splitlines())
    assert list((tmp_path / "tmp").iterdir()) == []


def test_files_of_a_killed_service_are_deleted_by_the_next(tmp_path, tiny_file):
    folder = tmp_path / "tmp"
    with demo(folder, "-w", tiny_file) as (process, address):
        Visitor(address).make("a.png", encoded(photo(32, 32)))
        process.send_signal(signal.SIGKILL)
        process.wait()
    (user_folder,) = folder.iterdir()
    (left,) = user_folder.iterdir()
    assert any(path.name == "source.png" for path in files_below(left)) and left.stat().st_mode & 0o77 == 0
    with demo(folder, "-w", tiny_file):
        assert not left.exists()


def test_too_many_jobs_are_refused_with_the_time_to_wait(tmp_path, tiny_file, clip):
    with demo(tmp_path / "tmp", "-w", tiny_file, "--max-jobs", 2) as (_, address):
        visitor = Visitor(address)
        answers = [visitor.post("jobs", clip, working_size=1024) for _ in range(6)]
        refused = [answer for answer in answers if answer.status_code != 202]
        assert len(refused) == 3 and error_of(refused[0]) == (429, "2 videos are waiting already; try again later")
        assert int(refused[0].headers["Retry-After"]) > 0
        assert visitor.post("cartoon", encoded(photo(32, 32))).ok


def test_serve_wants_a_key_and_logs_json_without_file_names(tmp_path, tiny_file):
    keys = tmp_path / "keys.txt"
    keys.write_text("# for tests\n0123456789abcdef\nfedcba9876543210\n")
    data = encoded(photo(32, 32))
    with demo(tmp_path / "tmp", "-w", tiny_file, "--api-keys", keys, command="serve") as (process, address):
        visitor = Visitor(address)
        for header in ({}, {"Authorization": "Bearer 0123456789abcdeX"}, {"Authorization": "Basic 0123456789abcdef"}):
            answer = visitor.http.post(f"{address}/v1/cartoon", data=data, headers=header)
            assert error_of(answer) == (401, "send an API key: Authorization: Bearer KEY")
        visitor.http.headers["Authorization"] = "Bearer fedcba9876543210"
        assert visitor.make("secret name.png", data)["state"] == "done"
        request = visitor.post("jobs", data, name="secret name.png").headers["X-Request-ID"]
        assert visitor.http.get(f"{address}/").status_code == 404 and visitor.http.get(f"{address}/healthz").ok
        wait_until(lambda: '"kind="' not in visitor.http.get(f"{address}/metrics").text)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    lines = [json.loads(line) for line in err.splitlines()]
    assert len(lines) == 2 and lines[1]["request"] == request and "secret" not in err
    assert lines[0].items() >= {"event": "job", "kind": "photo", "outcome": "done", "size": "32x32"}.items()


def test_behind_a_proxy_the_public_host_and_origin_are_accepted(tmp_path, tiny_file):
    options = ["-w", tiny_file, "--public-url", "https://example.org/toon"]
    with demo(tmp_path / "tmp", *options, command="serve") as (_, address):
        visitor = Visitor(address).http

        def status(**headers):
            answer = requests.post(f"{address}/v1/jobs", headers=headers, proxies={"http": ""})
            return answer.status_code

        assert status(Host="example.org", Origin="https://example.org") == 400  # an empty body
        assert status(Origin="https://example.org") == 400
        assert status(Host="example.org", Origin="https://evil.example") == 403
        assert status(Host="evil.example") == 400
        assert '"https://example.org/toon/og.png"' in requests.get(f"{address}/toon/").text
        answer = requests.get(f"{address}/openapi.json", headers={"X-Forwarded-Host": "evil.example"})
        assert "evil" not in answer.text and answer.json()["servers"] == [{"url": "/toon"}]
        for prefix in ("", "/toon"):  # which the proxy removed, or not
            for path in ("/", "/page.json", "/v1/styles", "/docs", "/swagger/swagger-ui.css"):
                assert visitor.get(address + prefix + path).status_code == 200, prefix + path
            assert visitor.get(f"{address}{prefix}/v1/styles/").status_code == 404
        answer = visitor.get(f"{address}/toon", allow_redirects=False)
        assert (answer.status_code, answer.headers["Location"]) == (307, "/toon/")
        for path, expected in (("healthz", 200), ("readyz", 200), ("metrics", 200), ("v1/styles", 400)):
            answer = visitor.get(f"{address}/{path}", headers={"Host": "10.0.0.1:7860"})
            assert answer.status_code == expected, path


def test_keys_that_are_short_or_missing_are_refused(tmp_path):
    (tmp_path / "keys.txt").write_text("short\n")
    with pytest.raises(InputError, match="16 characters or more"):
        read_keys(tmp_path / "keys.txt")
    (tmp_path / "keys.txt").write_text("# nothing\n")
    with pytest.raises(InputError, match="needs one key a line"):
        read_keys(tmp_path / "keys.txt")
    (tmp_path / "keys.txt").write_bytes(bytes(range(128, 255)))
    with pytest.raises(InputError, match="in UTF-8"):
        read_keys(tmp_path / "keys.txt")


@pytest.mark.parametrize(
    "url", ["example.org", "ftp://example.org", "https://", "https://example.org/?a=1", "https://[::1"]
)
def test_invalid_public_urls_are_refused(url):
    from ppcartoon.cli.demo import split_url

    with pytest.raises(InputError, match="use a URL such as"):
        split_url(url)


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)


def test_without_fastapi_an_error_says_what_to_install_and_help_works():
    start = "import sys; sys.modules['fastapi'] = None; from ppcartoon.__main__ import main; sys.exit(main(%s))"
    done = python(start % ["demo", "--port", "0"])
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == "ppcartoon demo: fastapi is not installed; for the page: pip install fastapi\n"
    for arguments, text in ((["demo", "--help"], "--max-upload"), (["serve", "--help"], "--public-url")):
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
            predictors(choose(styles, files))
    assert list(choose([], [tiny_file])) == ["tiny"] and list(choose([], [])) == list(weights.manifest())


def test_a_port_in_use_is_an_error_of_one_line():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        done = subprocess.run([sys.executable, ROOT / "tools/demo.py", "--port", port], capture_output=True, text=True)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and done.stdout == "" and f"127.0.0.1, port {port}: cannot listen" in line
