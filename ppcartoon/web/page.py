"""The web page: a tab for photos and one for videos."""

from __future__ import annotations

import html
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr

from ..errors import InputError
from .studio import SIZES, VIDEO_SIZES, WORKING_SIZES, Drawing, Studio

MAX_WAITING = 8  # requests in the queue
MAX_SESSIONS = 16  # whose last photo and cartoon are kept for the sliders
DELETION = 60, 3600  # seconds between checks for old files, and the age at which uploads and cartoons are deleted
CSS = """
footer, button[aria-label^="Trim"] {display: none !important} /* trimming would load a program from another site */
"""
log = logging.getLogger(__name__)

INTRODUCTION = """# ppcartoon
Turns photos and videos into cartoons, on the machine that serves this page. Files are sent nowhere else, and deleted
after an hour. The working size is the size at which the network sees the photo: smaller is bolder, larger is finer."""


@contextmanager
def in_sentences(file: Path) -> Iterator[None]:
    """Shows errors on the page: InputErrors with their message, others with a general one and a line in the log."""
    try:
        yield
    except InputError as error:
        text = str(error).replace(f"{file}: ", "")
    except Exception as error:
        log.error("%s: %s: %s", file.name, type(error).__name__, error)
        text = "something went wrong; see the terminal where the page was started"
    else:
        return
    raise gr.Error(html.escape(f"{file.name}: {text}"), duration=30, print_exception=False)


def uploaded(file: dict[str, Any] | None) -> Path:
    """The path of an uploaded file.

    Raises:
        gr.Error: no file was uploaded.
    """
    if not file or not file.get("path"):
        raise gr.Error("Drop a file first.", print_exception=False)
    return Path(file["path"])


def build(studio: Studio, photos: list[Path], video: Path | None) -> gr.Blocks:
    """Builds the page.

    Args:
        studio: makes the cartoons.
        photos: example photos.
        video: an example video.
    """
    with gr.Blocks(title="ppcartoon", analytics_enabled=False, delete_cache=DELETION) as page:
        gr.Markdown(INTRODUCTION)
        with gr.Tab("Photo", id="photo"):
            _photo_tab(studio, photos)
        with gr.Tab("Video", id="video"):
            _video_tab(studio, video)
    page.queue(max_size=MAX_WAITING, default_concurrency_limit=1, api_open=False)
    page.state_session_capacity = MAX_SESSIONS
    return page


def _photo_tab(studio: Studio, examples: list[Path]) -> None:
    def make(file: dict | None, style: str, size: str, working_size: str, keep_colors: float, strength: float) -> tuple:
        path = uploaded(file)
        with in_sentences(path):
            drawing = studio.photo(path, style, size, working_size)
        remark = "; ".join(filter(None, [f"Working size {drawing.working_size}", drawing.remark]))
        return *mix(drawing, keep_colors, strength), remark, gr.Column(visible=True), drawing

    def mix(drawing: Drawing | None, keep_colors: float, strength: float) -> tuple:
        if not drawing:
            raise gr.Error("This cartoon is no longer kept; make it again.", print_exception=False)
        with in_sentences(drawing.before):
            after = str(studio.mix(drawing, keep_colors, strength))
        return (str(drawing.before), after), gr.DownloadButton(value=after, interactive=True)

    limits = studio.limits
    with gr.Row():
        with gr.Column():
            given = gr.Image(
                label="Photo",
                type="filepath",
                sources=["upload", "clipboard"],
                height=340,
                buttons=[],
                elem_id="photo-given",
            )
            gr.Markdown(f"At most {limits.upload_mb} MB and {limits.megapixels} megapixels.")
            choices = _choices(studio, SIZES, "768")
            button = gr.Button("Make a cartoon", variant="primary", elem_id="make-photo")
        with gr.Column():
            shown = gr.ImageSlider(
                label="Photo | cartoon",
                interactive=False,
                buttons=["fullscreen"],
                max_height=560,
                elem_id="photo-shown",
            )
            with gr.Column(visible=False) as sliders:
                shares = _shares("photo")
            remark = gr.Markdown()
            download = gr.DownloadButton("Download the cartoon", interactive=False, elem_id="download-photo")
    if examples:
        gr.Examples([[str(path)] for path in examples], [given], label="Examples")
    drawing = gr.State(time_to_live=DELETION[1])
    _on_click(button, make, [given, *choices, *shares], [shown, download, remark, sliders, drawing])
    gr.on(
        [share.input for share in shares],
        mix,
        [drawing, *shares],
        [shown, download],
        preprocess=False,
        concurrency_id="mix",
        concurrency_limit=1,
        trigger_mode="always_last",
        show_progress="hidden",
    )


def _video_tab(studio: Studio, example: Path | None) -> None:
    try:
        from ..video import deflicker, pipeline  # noqa: F401  these need OpenCV and PyAV
    except InputError as error:
        gr.Markdown(f"{error}, then restart this page.")
        return

    def make(
        file: dict | None,
        style: str,
        size: str,
        working_size: str,
        keep_colors: float,
        strength: float,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> tuple:
        def report(done: int, total: int | None) -> None:
            progress((done, total) if total else None, unit="frames")

        path = uploaded(file)
        with in_sentences(path):
            cartoon, remark = studio.video(path, style, size, working_size, keep_colors, strength, report)
        return str(cartoon), gr.DownloadButton(value=str(cartoon), interactive=True), html.escape(remark)

    limits = studio.limits
    with gr.Row():
        with gr.Column():
            given = gr.Video(label="Video", sources=["upload"], height=340, buttons=[], elem_id="video-given")
            gr.Markdown(f"At most {limits.upload_mb} MB; only the first {limits.seconds} seconds are used.")
            choices = _choices(studio, VIDEO_SIZES, "384")
            shares = _shares("video")
            button = gr.Button("Make a cartoon", variant="primary", elem_id="make-video")
        with gr.Column():
            shown = gr.Video(label="Cartoon", interactive=False, buttons=[], height=340, elem_id="video-shown")
            remark = gr.Markdown()
            download = gr.DownloadButton("Download the cartoon", interactive=False, elem_id="download-video")
    if example:
        gr.Examples([[str(example)]], [given], label="Example")
    _on_click(button, make, [given, *choices, *shares], [shown, download, remark])


def _choices(studio: Studio, sizes: tuple[str, ...], default: str) -> list[gr.Dropdown]:
    """Style, size and working size."""
    styles = list(studio.predictors)
    with gr.Row():
        return [
            gr.Dropdown(styles, value=styles[0], label="Style", min_width=180),
            gr.Dropdown(sizes, value=default, label="Size in pixels", min_width=180),
            gr.Dropdown(list(WORKING_SIZES), value="auto", label="Working size", min_width=180),
        ]


def _shares(tab: str) -> list[gr.Slider]:
    """The shares of the photo's colors and of the cartoon."""
    return [
        gr.Slider(0, 1, value, step=0.05, label=label, min_width=180, elem_id=f"{tab}-{name}")
        for name, label, value in (("colors", "Keep the photo's colors", 0), ("strength", "Strength", 1))
    ]


def _on_click(button: gr.Button, make: Any, inputs: list, outputs: list) -> None:
    """Runs `make` on a click, one call at a time in both tabs; no preprocessing, since Gradio would decode files."""
    button.click(
        make,
        inputs,
        outputs,
        preprocess=False,
        concurrency_id="studio",
        concurrency_limit=1,
        show_progress_on=outputs[0],
    )


def application(page: gr.Blocks, max_upload: int) -> Any:
    """The page as an ASGI application.

    Args:
        page: from `build`.
        max_upload: bytes of an uploaded file.
    """
    import fastapi

    app = fastapi.FastAPI(openapi_url=None)
    theme = gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    return gr.mount_gradio_app(
        app, page, "/", footer_links=[], run_history=False, show_error=False, max_file_size=max_upload, ssr_mode=False,
        enable_monitoring=False, pwa=False, mcp_server=False, theme=theme, css=CSS,
    )  # fmt: skip
