"""The HTTP service: an API for programs, and the files of the page."""

import asyncio
import hmac
import shutil
import time
import zipfile
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

import fastapi_swagger
from fastapi import APIRouter, Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.sse import EventSourceResponse
from pydantic import BaseModel, Field
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.staticfiles import StaticFiles

from .. import __version__
from ..errors import InputError
from ..inference.jobs import IMAGE_ENDINGS, VIDEO_ENDINGS
from ..utils.files import remove
from .jobs import MEDIA_TYPES, PHOTO_WORKERS, Job, Jobs, Status, TooManyJobsError
from .metrics import Metrics
from .studio import Mix, Options

PAGE = Path(__file__).with_name("page")
SWAGGER = Path(fastapi_swagger.__file__).with_name("resources")
POLL = 0.25  # seconds between looks at a job whose changes are sent, or whose end is waited for
MAX_WATCHERS = 4  # of a job
RETRY = 10  # seconds after which a client that was refused may try again
DRAINED = 4  # times the limit of an upload that is read of a larger one, so that its client reads the answer
ENDINGS = IMAGE_ENDINGS | VIDEO_ENDINGS
Format = Literal["jpg", "png", "webp"]
FILE = {"requestBody": {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}}
PRIVATE = {"Cache-Control": "private, max-age=3600"}


class Error(BaseModel):
    """Every answer with a status of 400 or more."""

    error: str = Field(description="what is wrong, and what to do, in a sentence")


ERROR = {
    "model": Error,
    "description": "400 an option is wrong, 401 no API key, 404 no such job, or it was deleted, 408 the upload is too "
    "slow, 409 the job is not done, 413 the file is too large, 415 no photo or video that can be read, 429 too many "
    "jobs wait: try again after the seconds in Retry-After",
}


class Style(BaseModel):
    """A style that can be chosen."""

    name: str
    license: str
    attribution: str


class Styles(BaseModel):
    styles: list[Style]


class ResultOptions(Mix):
    """The form of a result."""

    format: Format | None = Field(None, description="of a photo; absent: that of the upload if possible, else png")


class CartoonOptions(Options):
    """A cartoon that is made at once."""

    format: Format | None = Field(None, description="absent: that of the upload if possible, else png")


class JobOptions(Options):
    """A cartoon that is made later."""

    name: str = Field("", max_length=1000, description="of the file, for the names of downloads")
    source: str | None = Field(None, description="id of a job whose file is used again, in place of a body")
    watched: bool = Field(False, description="cancel it as soon as nobody has asked for it for 5 seconds")


class ArchiveOptions(ResultOptions):
    """Several results."""

    job: list[str] = Field(min_length=1, max_length=1000, description="ids")


def jobs_of(request: Request) -> Jobs:
    return request.app.state.jobs


def check_key(
    request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))]
) -> None:
    """Refuses a request without one of the API keys, if there are any."""
    keys: Sequence[str] = request.app.state.keys
    sent = given.credentials.encode() if given else b""
    if keys and not any([hmac.compare_digest(sent, key.encode()) for key in keys]):  # all, always in the same time
        raise HTTPException(401, "send an API key: Authorization: Bearer KEY", {"WWW-Authenticate": "Bearer"})


AllJobs = Annotated[Jobs, Depends(jobs_of)]


def find(id: str, jobs: AllJobs) -> Job:
    """The job of an id."""
    if job := jobs.get(id):
        return job
    raise HTTPException(404, "there is no such job, or it was deleted")


def find_done(job: Annotated[Job, Depends(find)]) -> Job:
    """The job of an id, if its cartoon is made."""
    if job.state != "done":
        raise HTTPException(409, job.error or f"this job is {job.state}")
    return job


def find_photo(job: Annotated[Job, Depends(find_done)]) -> Job:
    """The job of an id, if it made the cartoon of a photo."""
    if job.kind == "video":
        raise HTTPException(404, "a video has no such preview")
    return job


def find_to_watch(job: Annotated[Job, Depends(find)]) -> Job:
    """The job of an id, unless many watch it already; each watcher occupies a connection."""
    if job.watchers >= MAX_WATCHERS:
        raise HTTPException(429, f"{MAX_WATCHERS} clients read the events of this job already")
    return job


AnyJob, DoneJob, PhotoJob, WatchedJob = (
    Annotated[Job, Depends(dependency)] for dependency in (find, find_done, find_photo, find_to_watch)
)
api = APIRouter(prefix="/v1", tags=["cartoons"], dependencies=[Depends(check_key)], responses={"4XX": ERROR})
operation = APIRouter(tags=["operation"])
page = APIRouter(include_in_schema=False)


@api.post("/cartoon", response_class=Response, responses={200: {"content": {"image/*": {}}}}, openapi_extra=FILE)
async def cartoon(request: Request, jobs: AllJobs, options: Annotated[CartoonOptions, Query()]) -> Response:
    """The cartoon of a photo: the body of the request is an image file, and so is that of the answer."""
    job = await receive(request, options)
    job.previews = False
    try:
        if job.kind == "video":
            raise HTTPException(415, "a video: use /v1/jobs")
        ended = asyncio.wrap_future(jobs.submit(job))
        while not (await asyncio.wait({ended}, timeout=POLL))[0]:
            if await request.is_disconnected():
                raise ClientDisconnect
        if job.state != "done":
            raise HTTPException(500 if job.broken else 415, job.error or f"this job was {job.state}")
        data, suffix = await encoded(request, job, options)
        headers = {"X-Working-Size": str(job.made.working_size)}
        return Response(data, media_type=MEDIA_TYPES[suffix], headers=headers)
    finally:
        jobs.delete(job)


@api.post("/jobs", status_code=202, openapi_extra=FILE)
async def new_job(request: Request, jobs: AllJobs, options: Annotated[JobOptions, Query()]) -> Status:
    """A new job: the body of the request is the file of a photo, a video or an animation."""
    source = find(options.source, jobs) if options.source else None
    job = await receive(request, options, options.name, source)
    job.watched = options.watched
    try:
        jobs.submit(job)
    except TooManyJobsError:
        remove(job.folder)
        raise
    return jobs.status(job)


@api.get("/jobs/{id}")
async def status(job: AnyJob, jobs: AllJobs) -> Status:
    """What is known of a job now."""
    return jobs.status(job)


@api.get("/jobs/{id}/events", response_class=EventSourceResponse)
async def events(job: WatchedJob, jobs: AllJobs) -> AsyncIterator[Status]:
    """The status of a job, each time that it changes, until the job has ended."""
    job.watchers += 1
    try:
        last = None
        while True:
            over, now = job.is_over, jobs.status(job)
            if now != last:
                yield (last := now)
            if over:
                break
            await asyncio.sleep(POLL)
    finally:
        job.watchers -= 1
        job.used = time.monotonic()


@api.delete("/jobs/{id}", status_code=204)
async def delete(job: AnyJob, jobs: AllJobs) -> None:
    """Cancels a job, and deletes its files."""
    await run_in_threadpool(jobs.delete, job)


@api.get("/jobs/{id}/source", response_class=FileResponse)
async def source(job: AnyJob) -> FileResponse:
    """The file that was uploaded."""
    return FileResponse(job.source, headers=PRIVATE)


@api.get("/jobs/{id}/photo", response_class=FileResponse)
async def preview_of_photo(job: PhotoJob) -> FileResponse:
    """The photo, upright, with at most 1600 pixels on its longer side."""
    return FileResponse(job.folder / ("photo.png" if job.made.transparent else "photo.jpg"), headers=PRIVATE)


@api.get("/jobs/{id}/cartoon", response_class=FileResponse)
async def preview_of_cartoon(job: PhotoJob) -> FileResponse:
    """Its cartoon in the same size, without strength, colors and transparency of the photo."""
    return FileResponse(job.folder / "cartoon.jpg", headers=PRIVATE)


@api.get("/jobs/{id}/result", response_class=Response)
async def result(request: Request, job: DoneJob, options: Annotated[ResultOptions, Query()]) -> Response:
    """The cartoon in full size."""
    if job.kind == "video":
        return FileResponse(job.folder / "cartoon.mp4", filename=job.result_name(".mp4"), headers=PRIVATE)
    data, suffix = await encoded(request, job, options)
    headers = {**PRIVATE, "Content-Disposition": f"attachment; filename*=UTF-8''{quote(job.result_name(suffix))}"}
    return Response(data, media_type=MEDIA_TYPES[suffix], headers=headers)


@api.get("/archive", response_class=FileResponse)
async def archive(request: Request, jobs: AllJobs, options: Annotated[ArchiveOptions, Query()]) -> FileResponse:
    """The cartoons of several jobs, in a zip file."""
    done = [find_done(find(id, jobs)) for id in options.job]
    folder = await run_in_threadpool(jobs.new_folder)
    path, names = folder / "cartoons.zip", Counter()
    try:
        with zipfile.ZipFile(path, "w") as file:
            for job in done:
                data, suffix = (None, ".mp4") if job.kind == "video" else await encoded(request, job, options)
                name = job.result_name(suffix)
                names[name.lower()] += 1
                if (count := names[name.lower()]) > 1:
                    name = f"{Path(name).stem}_{count}{suffix}"
                if data is None:
                    await run_in_threadpool(file.write, job.folder / "cartoon.mp4", name)
                else:
                    await run_in_threadpool(file.writestr, name, data)
    except BaseException:
        remove(folder)
        raise
    return FileResponse(path, filename=path.name, background=BackgroundTask(remove, folder))


@api.get("/styles")
async def styles(jobs: AllJobs) -> Styles:
    """The styles that can be chosen; the first is used if none is."""
    found = {name: predictor.weights for name, predictor in jobs.studio.predictors.items()}
    return Styles(styles=[Style(name=n, license=w.licence, attribution=w.attribution) for n, w in found.items()])


@operation.get("/healthz", response_class=PlainTextResponse)
async def health() -> str:
    """Whether the service runs."""
    return "ok"


@operation.get("/readyz", response_class=PlainTextResponse, responses={503: {"model": Error}})
async def ready(jobs: AllJobs) -> str:
    """Whether the service accepts another photo."""
    if jobs.is_full("photo"):
        raise HTTPException(503, "as many photos wait as are allowed")
    return "ready"


@operation.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Counts and times for Prometheus."""
    return Response(request.app.state.metrics.text(), media_type=Metrics.media_type)


@operation.get("/docs", include_in_schema=False)
async def docs() -> FileResponse:
    return FileResponse(PAGE / "docs.html")


@operation.get("/docs.js", include_in_schema=False)
async def script_of_docs() -> FileResponse:
    return FileResponse(PAGE / "docs.js")


@page.get("/", response_class=HTMLResponse)
async def index(request: Request) -> str:
    """The page; the address of its picture is complete, as sites that show links want it."""
    html = (PAGE / "index.html").read_text(encoding="utf-8")
    return html.replace('content="og.png"', f'content="{request.app.state.public_url}og.png"')


@page.get("/page.json")
async def about(request: Request, jobs: AllJobs) -> dict[str, Any]:
    """What the page needs to know."""
    missing = missing_for_videos()
    return {
        "version": __version__,
        "styles": (await styles(jobs)).styles,
        "limits": jobs.limits._asdict(),
        "examples": [
            {"name": name, "url": f"examples/{name}", "kind": "video" if name.endswith(".mp4") else "photo"}
            for name in request.app.state.examples
        ],
        "videos": not missing,
        "videos_missing": missing,
    }


@page.get("/examples/{name}")
async def example(request: Request, name: str) -> FileResponse:
    if path := request.app.state.examples.get(name):
        return FileResponse(path, headers=PRIVATE)
    raise HTTPException(404, "there is no such example")


async def receive(request: Request, options: Options, name: str = "", source: Job | None = None) -> Job:
    """A new job for the body of a request, or for the file of another job."""
    jobs = jobs_of(request)
    options = jobs.studio.check(Options(**options.model_dump(include=set(Options.model_fields))))
    folder = await run_in_threadpool(jobs.new_folder)
    try:
        if source:
            name, file = name or source.name, folder / source.source.name
            await run_in_threadpool(shutil.copyfile, source.source, file)
        else:
            ending = Path(name).suffix.lower()
            file = folder / f"source{ending if ending in ENDINGS else ''}"
            await save_body(request, file, jobs.limits.upload_mb << 20)
        job = Job(name, options, folder, file, request=request.scope["request_id"])
        try:
            await run_in_threadpool(jobs.prepare, job)
        except InputError as error:
            raise HTTPException(415, job.sentence(error)) from error
        return job
    except BaseException:
        remove(folder)
        raise


async def encoded(request: Request, job: Job, options: ResultOptions | CartoonOptions) -> tuple[bytes, str]:
    """The image file of a photo's result, and its ending."""
    suffix = f".{options.format}" if options.format else job.suffix
    async with request.app.state.finishing:
        studio = jobs_of(request).studio
        return await run_in_threadpool(studio.result, job.made, job.options, options, job.folder, suffix), suffix


async def save_body(request: Request, path: Path, limit: int) -> None:
    """Writes the body of a request to a file of at most `limit` bytes.

    Raises:
        HTTPException: it is empty, or larger.
        ClientDisconnect: the client has gone before its end.
    """
    size = 0
    with open(path, "wb") as file:
        async for chunk in request.stream():
            size += len(chunk)
            if size <= limit:
                file.write(chunk)
            elif size > DRAINED * limit:
                break
    if size > limit:
        raise HTTPException(413, f"the file is too large: at most {limit >> 20} MB are allowed")
    if not size:
        raise HTTPException(400, "the body of the request is empty: send the file of a photo or video")


def missing_for_videos() -> str:
    """Which libraries videos lack, and how to install them; empty if none."""
    try:
        from ..video import deflicker, pipeline  # noqa: F401
    except InputError as error:
        return str(error)
    return ""


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async def tidy() -> None:
        while True:
            await asyncio.sleep(1)
            await run_in_threadpool(app.state.jobs.tidy)

    task = asyncio.create_task(tidy())
    yield
    task.cancel()
    await run_in_threadpool(app.state.jobs.close)


async def refused(request: Request, error: HTTPException) -> JSONResponse:
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
    first = error.errors()[0]  # whose place is "query", the name of the option, and more
    return JSONResponse({"error": f"{first['loc'][1]}: {first['msg']}"}, 400)


async def wrong(request: Request, error: InputError) -> JSONResponse:
    return JSONResponse({"error": str(error)}, 400)


async def too_many(request: Request, error: TooManyJobsError) -> JSONResponse:
    return JSONResponse({"error": str(error)}, 429, {"Retry-After": str(RETRY)})


async def failed(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": "something went wrong; the log of the service has the reason"}, 500)


HANDLERS = {
    HTTPException: refused,
    RequestValidationError: invalid,
    InputError: wrong,
    TooManyJobsError: too_many,
    Exception: failed,
}


def create_app(
    jobs: Jobs,
    metrics: Metrics,
    *,
    examples: Sequence[Path] = (),
    with_page: bool = True,
    public_url: str = "",
    keys: Sequence[str] = (),
) -> FastAPI:
    """The service as an ASGI application.

    Args:
        jobs: makes the cartoons; closed at the end.
        metrics: shown at /metrics.
        examples: photos and videos that the page offers.
        with_page: whether there is a page, or only the API.
        public_url: of the page, for previews of links to it, if that is known.
        keys: API keys, one of which each request to /v1 needs; none: it is open to all.
    """
    app = FastAPI(
        title="ppcartoon",
        version=__version__,
        description="Cartoons of photos and videos with CartoonLossGAN.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # to an absolute URL, which is another behind a proxy
        exception_handlers=HANDLERS,
    )
    app.state.jobs, app.state.metrics, app.state.keys = jobs, metrics, keys
    app.state.public_url = f"{public_url.rstrip('/')}/" if public_url else ""
    app.state.examples = {path.name: path for path in examples}
    app.state.finishing = asyncio.Semaphore(PHOTO_WORKERS)  # results in full size need much memory
    app.include_router(api)
    app.include_router(operation)
    app.mount("/swagger", StaticFiles(directory=SWAGGER))
    if with_page:
        app.include_router(page)
        app.mount("/", StaticFiles(directory=PAGE, html=True))
    return app
