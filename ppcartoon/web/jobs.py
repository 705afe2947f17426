"""Jobs: cartoons that are waited for, made in two lanes, kept for a while, and deleted."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from statistics import mean
from typing import Literal

from pydantic import BaseModel, Field

from .. import images
from ..errors import InputError, UnavailableError, printable
from ..inference.jobs import Kind, find_kind
from ..utils.files import ILLEGAL, remove
from .studio import Drawing, Options, Studio, Video

PHOTO_WORKERS = 2  # a network, so that one photo is read or written while the network sees another
KEPT = 3600.0  # seconds that a job is kept after its last use
UNWATCHED = 5.0  # seconds after which a job that nobody watches any more is canceled
REMEMBERED = 20  # jobs from whose times the time of others is estimated
MEASURED = 4  # frames of a video after which its own speed is used
LONGEST_NAME = 100  # characters of the name of a result, without its ending
SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "WEBP": ".webp"}
MEDIA_TYPES = {".jpg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}
State = Literal["waiting", "running", "done", "failed", "canceled"]
log = logging.getLogger(__name__)


class TooManyJobsError(Exception):
    """So many jobs wait, or so many files are kept, that no other can be taken."""


class Canceled(Exception):
    """The job in progress was canceled."""


class Status(BaseModel):
    """What is known of a job."""

    id: str
    kind: Literal["photo", "frame", "video"]
    state: State
    position: int = Field(description="jobs of the same lane that end before this one starts")
    progress: float | None = Field(description="in [0, 1], of a video; null if unknown")
    seconds_left: float | None = Field(description="until it is done, waiting included; null if unknown")
    name: str = Field(description="of the file")
    style: str
    working_size: int | None = Field(description="pixels of the longer side at which the network saw it")
    width: int | None = Field(description="of the cartoon in pixels")
    height: int | None = Field(description="of the cartoon in pixels")
    frames: int | None = Field(description="of a video; approximate until it is done")
    seconds: float | None = Field(description="duration of a video")
    source_seconds: float | None = Field(description="duration of the uploaded video")
    media_type: str | None = Field(description="of the result, unless another format is asked for")
    remark: str = Field(description="what else you should know")
    error: str = Field(description="why it failed")


@dataclass(eq=False)
class Job:
    """A cartoon to make, and what is known of it.

    Attributes:
        name: of the file, for downloads only.
        options: how it is made.
        folder: of its files; deleted with it.
        source: the uploaded file.
        watched: whether it is canceled when nobody watches it.
        previews: whether previews of a photo are made.
        kind: what it makes.
        total: frames of a video; None if unknown.
        source_seconds: duration of the uploaded video.
        done: frames of them that are made.
        made: the result.
        watchers: how many listen to its changes.
        broken: whether it failed for another reason than its file.
        suffix: ending of the result of a photo, unless another is asked for: that of the upload's format, or .png.
        bytes: of its files.
        request: id of the request that made it, for the log.
        used: when it was last asked for, in seconds of `time.monotonic`.
    """

    name: str
    options: Options
    folder: Path
    source: Path
    watched: bool = False
    previews: bool = True
    kind: Literal["photo", "frame", "video"] = "photo"
    total: int | None = None
    source_seconds: float | None = None
    done: int = 0
    made: Drawing | Video | None = None
    error: str = ""
    broken: bool = False
    state: State = "waiting"
    watchers: int = 0
    suffix: str = ".png"
    bytes: int = 0
    request: str = ""
    id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    created: float = field(default_factory=time.monotonic)
    used: float = field(default_factory=time.monotonic)
    started: float = 0.0
    ended: float = 0.0
    stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def lane(self) -> Literal["photo", "video"]:
        return "video" if self.kind == "video" else "photo"

    @property
    def is_over(self) -> bool:
        return self.state in ("done", "failed", "canceled")

    def sentence(self, error: InputError) -> str:
        """The message of an error, without the path of the file."""
        return str(error).replace(f"{self.source}: ", "").replace(str(self.source), "the file")

    def result_name(self, suffix: str) -> str:
        """A legal file name for the result."""
        stem = PurePath(self.name.replace("\\", "/")).stem.strip(". ")[:LONGEST_NAME]
        return f"{ILLEGAL.sub('_', stem) if stem else self.kind}_cartoon{suffix}"

    def check(self) -> None:
        """Raises Canceled after it was canceled."""
        if self.stopped.is_set():
            raise Canceled

    def count_frame(self) -> None:
        self.check()
        self.done += 1


class Jobs:
    """All jobs of a service. Photos and videos have lanes of their own, each served in order of arrival.

    Args:
        studio: makes the cartoons.
        folder: of all files; nothing else is in it.
        on_end: called with each job that has ended, in the thread that made it.
    """

    def __init__(self, studio: Studio, folder: Path, on_end: Callable[[Job], None] = lambda job: None) -> None:
        self.studio, self.folder, self.limits = studio, folder, studio.limits
        self._on_end, self._jobs, self._lock = on_end, {}, threading.Lock()
        batch = max(predictor.batch_size for predictor in studio.predictors.values())
        self._workers = {"photo": PHOTO_WORKERS * batch * studio.networks, "video": studio.networks}
        self._lanes = {lane: ThreadPoolExecutor(count, lane) for lane, count in self._workers.items()}
        self._photo_seconds: deque[float] = deque(maxlen=REMEMBERED)
        self._frame_seconds: deque[float] = deque(maxlen=REMEMBERED)

    def new_folder(self) -> Path:
        """A folder for the files of a job.

        Raises:
            TooManyJobsError: the files that are kept take up all the space that is allowed.
        """
        self._make_room()
        folder = self.folder / secrets.token_urlsafe(16)
        folder.mkdir()
        return folder

    def prepare(self, job: Job) -> None:
        """Finds out what an uploaded file is; takes a moment.

        Raises:
            InputError: it is no photo, and no video that is accepted here.
        """
        job.bytes = sum(file.stat().st_size for file in job.folder.iterdir())
        if find_kind(job.source) not in (Kind.VIDEO, Kind.ANIMATION):
            with images.opened(job.source) as image:
                job.suffix = SUFFIXES.get(image.format, ".png")
            return
        job.kind = "video" if job.options.frame is None else "frame"
        job.total, job.source_seconds = self.studio.measure(job.source, job.options)

    def submit(self, job: Job) -> Future:
        """Adds a job to its lane; the future is done when the job has ended.

        Raises:
            TooManyJobsError: too many wait already.
        """
        with self._lock:
            if self.is_full(job.lane):
                raise TooManyJobsError(f"{self.limits.waiting} {job.lane}s are waiting already; try again later")
            self._jobs[job.id] = job
            return self._lanes[job.lane].submit(self._run, job)

    def get(self, id: str) -> Job | None:
        """The job of an id, which is kept longer for it; None if there is none any more."""
        if job := self._jobs.get(id):
            job.used = time.monotonic()
        return job

    def cancel(self, job: Job) -> None:
        """Ends a job as soon as possible; does nothing to one that has ended."""
        job.stopped.set()
        if job.state == "waiting":
            job.state = "canceled"

    def delete(self, job: Job) -> None:
        """Cancels and forgets a job; its files are deleted as soon as it has ended."""
        self.cancel(job)
        self._jobs.pop(job.id, None)
        if job.state != "running":
            remove(job.folder)

    def waiting(self, lane: str) -> list[Job]:
        """The jobs of a lane that wait, in order."""
        return [job for job in list(self._jobs.values()) if job.lane == lane and job.state == "waiting"]

    def is_full(self, lane: str) -> bool:
        """Whether no other job can be added to a lane."""
        return len(self.waiting(lane)) >= self.limits.waiting

    def tidy(self) -> None:
        """Cancels what nobody watches any more, and deletes what was not used for long; to be called every second."""
        now = time.monotonic()
        for job in list(self._jobs.values()):
            if job.watchers:
                job.used = now
            elif job.watched and not job.is_over and now - job.used > UNWATCHED:
                self.cancel(job)
            if job.is_over and now - job.used > KEPT:
                self.delete(job)

    def close(self) -> None:
        """Cancels all jobs, and waits until they have ended."""
        for job in list(self._jobs.values()):
            self.cancel(job)
        for lane in self._lanes.values():
            lane.shutdown(cancel_futures=True)

    def status(self, job: Job) -> Status:
        """What is known of a job now."""
        made, is_video = job.made, job.kind == "video"
        ahead = self._ahead(job)
        return Status(
            id=job.id,
            kind=job.kind,
            state=job.state,
            position=len(ahead),
            progress=min(1.0, job.done / job.total) if is_video and job.total else None,
            seconds_left=self._seconds_left(job, ahead),
            name=job.name,
            style=job.options.style,
            working_size=made.working_size if made else None,
            width=made.width if made else None,
            height=made.height if made else None,
            frames=made.frames if isinstance(made, Video) else job.total if is_video else None,
            seconds=made.seconds if isinstance(made, Video) else None,
            source_seconds=job.source_seconds,
            media_type=("video/mp4" if is_video else MEDIA_TYPES[job.suffix]) if made else None,
            remark=made.remark if made else "",
            error=job.error,
        )

    def _ahead(self, job: Job) -> list[Job]:
        """The jobs that are to end before a job starts."""
        if job.state != "waiting":
            return []
        before = []
        for other in list(self._jobs.values()):
            if other is job:
                break
            if other.lane == job.lane and not other.is_over:
                before.append(other)
        return before

    def _seconds_left(self, job: Job, ahead: list[Job]) -> float | None:
        if job.is_over:
            return 0.0
        rest = [self._own_seconds_left(other) for other in (*ahead, job)]
        if None in rest:
            return None
        return round(sum(rest[:-1]) / self._workers[job.lane] + rest[-1], 1)

    def _own_seconds_left(self, job: Job) -> float | None:
        """Seconds that a job still runs, by its own speed or that of others; None if unknown."""
        elapsed = time.monotonic() - job.started if job.state == "running" else 0.0
        if job.lane == "photo":
            return max(0.0, mean(self._photo_seconds) - elapsed) if self._photo_seconds else None
        if job.total is None:
            return None
        if job.done >= MEASURED:
            return elapsed / job.done * max(0, job.total - job.done)
        return max(0.0, mean(self._frame_seconds) * job.total - elapsed) if self._frame_seconds else None

    def _run(self, job: Job) -> None:
        if job.state != "waiting":  # canceled
            self._finished(job)
            return
        job.state, job.started = "running", time.monotonic()
        try:
            job.check()
            job.made = self._make(job)
            job.state = "done"
        except Canceled:
            job.state = "canceled"
        except InputError as error:
            job.state, job.error = "failed", job.sentence(error)
        except Exception as error:
            log.error("%s: %s", job.kind, printable(f"{type(error).__name__}: {error}"))
            known = isinstance(error, UnavailableError)
            job.error = str(error) if known else "something went wrong; the log of the service has the reason"
            job.state, job.broken = "failed", True
        self._finished(job)

    def _make(self, job: Job) -> Drawing | Video:
        if job.kind == "video":
            return self.studio.video(job.source, job.options, job.folder / "cartoon.mp4", job.count_frame)
        source = self.studio.frame(job.source, job.options, job.folder) if job.kind == "frame" else job.source
        return self.studio.photo(source, job.options, job.folder, job.check, job.previews)

    def _finished(self, job: Job) -> None:
        job.ended = job.used = time.monotonic()
        seconds = job.ended - job.started
        if job.state == "done":
            if job.kind == "video":
                self._frame_seconds.append(seconds / max(1, job.done))
            else:
                self._photo_seconds.append(seconds)
        with suppress(OSError):  # it is being deleted
            job.bytes = sum(file.stat().st_size for file in job.folder.iterdir())
        if job.id not in self._jobs:
            remove(job.folder)
        self._on_end(job)

    def _make_room(self) -> None:
        """Deletes the jobs that were not used for the longest time until there is room for an upload.

        Raises:
            TooManyJobsError: all are in use.
        """
        room = (self.limits.disk_mb - self.limits.upload_mb) << 20
        over = sorted((job for job in list(self._jobs.values()) if job.is_over), key=lambda job: job.used)
        while sum(job.bytes for job in list(self._jobs.values())) > room:
            if not over:
                raise TooManyJobsError("all space for uploads is in use; try again later")
            self.delete(over.pop(0))
