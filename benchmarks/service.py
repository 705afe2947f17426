"""The HTTP service under load, compared with the engine alone: speed, time per photo, memory, files left behind."""

from __future__ import annotations

import argparse
import atexit
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from urllib.request import Request, urlopen

import psutil

from ppcartoon.errors import InputError
from ppcartoon.inference.predictor import DEFAULT_STYLE
from ppcartoon.utils.tables import markdown_table

from . import common, harness
from .common import Style, format_number, median_range
from .folder import HEIGHT, WIDTH, write_photos

FILES, FRAMES = 12, 50
ROOT = Path(__file__).parents[1]
TIMEOUT = 600  # seconds of a request


class Load(NamedTuple):
    """What the clients of the service do, at the same time.

    Attributes:
        name: in the table.
        clients: that send photos, each one after the other.
        photos: in all.
        videos: clients that send a video each.
    """

    name: str
    clients: int
    photos: int
    videos: int


class Served(NamedTuple):
    """One measurement of the service.

    Attributes:
        seconds: until all was done.
        waits: seconds from the request to the cartoon, for each photo.
        memory: resident bytes of the service, afterwards.
        files: that the service has, afterwards.
    """

    seconds: float
    waits: list[float]
    memory: int
    files: int


def loads(clients: int, photos: int) -> list[Load]:
    videos = max(1, clients // 10)
    return [
        Load(f"{clients} clients", clients, photos, 0),
        Load(f"{clients} clients, {videos} of them with videos", clients - videos, photos, videos),
        Load("1 client", 1, FILES, 0),
        Load("1 client, while another's video is made", 1, FILES, 1),
    ]


def add_options(p: argparse.ArgumentParser) -> None:
    """Adds the options, except --rounds and --threads."""
    p.add_argument("--clients", type=int, default=50, metavar="N", help="at the same time (default: 50)")
    p.add_argument("--photos", type=int, default=200, metavar="N", help="of all clients together (default: 200)")


def measure(clients: int, photos: int, rounds: int, threads: int) -> Iterator[str]:
    """Measures each load on a service of its own, and the engine on the same photos; yields lines of Markdown.

    Raises:
        InputError: an option is out of range, or the service does not start.
    """
    if clients < 2 or min(photos, rounds, threads) < 1:
        raise InputError("--clients must be at least 2, --photos, --rounds and --threads at least 1")
    style = Style(DEFAULT_STYLE)
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        harness.run_once(_write_files, folder)
        variants = [("engine", None), *(("service", load) for load in loads(clients, photos))]
        engine, *services = harness.run(
            _prepare, [(*variant, style, folder, threads) for variant in variants], rounds, threads
        )
    yield engine.info
    yield ""
    rows = []
    for (_, load), result in zip(variants[1:], services):
        waits = sorted(wait for served in result.measurements for wait in served.waits)
        work_seconds = [load.photos * photo + load.videos * FRAMES * frame for photo, frame in engine.measurements]
        elapsed = [served.seconds for served in result.measurements]
        last = result.measurements[-1]
        rows.append(
            [
                load.name,
                median_range([(load.photos + load.videos * FRAMES) / seconds for seconds in elapsed]),
                common.ratio_range(work_seconds, elapsed),
                format_number(statistics.median(waits)),
                format_number(waits[int(0.95 * len(waits))]),
                f"{result.info >> 20} to {last.memory >> 20}",
                str(last.files),
            ]
        )
    header = [
        f"photos of {WIDTH}x{HEIGHT}, videos of {FRAMES} frames",
        "photos and frames per s, median (range)",
        "fraction of the engine's speed",
        "s for a photo, median",
        "95 %",
        "memory in MB, before and after",
        "files left",
    ]
    yield from markdown_table(header, rows)


def _write_files(folder: Path) -> None:
    write_photos(folder / "photos", FILES, HEIGHT, WIDTH)
    common.write_video(folder / "video.mp4", common.video_frames(common.PAN, FRAMES, HEIGHT, WIDTH))


def _prepare(
    kind: str, load: Load | None, style: Style, folder: Path, threads: int
) -> tuple[str | int, Callable[[], tuple[float, float] | Served]]:
    return _prepare_engine(style, folder, threads) if load is None else _prepare_service(load, style, folder)


def _prepare_engine(style: Style, folder: Path, threads: int) -> tuple[str, Callable[[], tuple[float, float]]]:
    """Returns the description of the engine and a function that measures its seconds per photo and per frame."""
    from ppcartoon import images

    predictor = style.predictor(threads, working_size="auto")
    photos = [predictor.reduce(images.read(file).rgb) for file in sorted((folder / "photos").iterdir())]
    frame = common.video_frames(common.PAN, 1, HEIGHT, WIDTH)[0]
    frame = predictor.reduce(frame)

    def measure() -> tuple[float, float]:
        start = time.perf_counter()
        for photo in photos:
            predictor.draw([photo])
        middle, stats = time.perf_counter(), None
        for i in range(FILES):
            _, stats = predictor.with_stats(frame, stats, 1.0 if i % 3 == 0 else 0.0)
        return (middle - start) / len(photos), (time.perf_counter() - middle) / FILES

    measure()
    return predictor.engine.description, measure


def _prepare_service(load: Load, style: Style, folder: Path) -> tuple[int, Callable[[], Served]]:
    """Starts a service; returns its memory and a function that puts it under load."""
    place = tempfile.TemporaryDirectory()
    command = [sys.executable, "-m", "ppcartoon", "serve", "--port", "0", "--max-jobs", "1000", *style.infer_options()]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={**os.environ, "TMPDIR": place.name},
    )  # fmt: skip

    def end() -> None:
        process.terminate()
        process.wait()
        place.cleanup()

    atexit.register(end)
    address = next((line.split()[0] for line in process.stdout or () if line.startswith("http")), None)
    if not address:
        raise InputError("ppcartoon serve does not start")
    photos = [file.read_bytes() for file in sorted((folder / "photos").iterdir())]
    video = (folder / "video.mp4").read_bytes()

    def send_photo(i: int) -> float:
        start = time.perf_counter()
        _request(f"{address}/v1/cartoon?format=jpg", photos[i % len(photos)])
        return time.perf_counter() - start

    def send_video(i: int) -> None:
        id = json.loads(_request(f"{address}/v1/jobs?name=a.mp4", video))["id"]
        job = f"{address}/v1/jobs/{id}"
        while (state := json.loads(_request(job))["state"]) in ("waiting", "running"):
            time.sleep(0.2)
        if state != "done":
            raise InputError(f"a video has {state}")
        _request(f"{job}/result")
        _request(job, method="DELETE")

    def measure() -> Served:
        start = time.perf_counter()
        with ThreadPoolExecutor(load.clients) as clients, ThreadPoolExecutor(max(1, load.videos)) as others:
            made = others.map(send_video, range(load.videos))
            waits = list(clients.map(send_photo, range(load.photos)))
            list(made)
        seconds = time.perf_counter() - start
        time.sleep(1)
        files = [path for path in Path(place.name).rglob("*") if path.is_file() and path.name != "camera.mp4"]
        return Served(seconds, waits, psutil.Process(process.pid).memory_info().rss, len(files))

    send_photo(0)
    return psutil.Process(process.pid).memory_info().rss, measure


def _request(url: str, data: bytes | None = None, method: str | None = None) -> bytes:
    with urlopen(Request(url, data, method=method), timeout=TIMEOUT) as answer:
        return answer.read()
