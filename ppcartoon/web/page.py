"""The page: a tab for photos, one for films."""

from __future__ import annotations

import html
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr

from ..errors import InputError
from .studio import FILM_SIZES, SIZES, Studio

WAITING = 8  # that may wait while one is at work
DELETION = 60, 3600  # of uploads and cartoons: how often they are looked at, and how old they get, in seconds
THEME = gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
CSS = """
footer, button[aria-label^="Trim"] {display: none !important} /* trimming would load a program from elsewhere */
"""
log = logging.getLogger(__name__)

INTRODUCTION = """# ppcartoon
Photos and films into cartoons, made where this page comes from, and sent nowhere else; all is deleted after an hour.
The strokes have a size in pixels: in a smaller size they look bolder."""


@contextmanager
def in_sentences(file: Path) -> Iterator[None]:
    """Shows errors on the page: those of the input in their words, others in general ones, and in the log."""
    try:
        yield
    except InputError as error:
        text = str(error).replace(f"{file}: ", "")
    except Exception as error:
        log.error("%s: %s: %s", file.name, type(error).__name__, error)
        text = "something went wrong here; the terminal where the page was started says what"
    else:
        return
    raise gr.Error(html.escape(f"{file.name}: {text}"), duration=30, print_exception=False)


def uploaded(file: dict[str, Any] | None) -> Path:
    """The path that a component holds.

    Raises:
        gr.Error: it is empty.
    """
    if not file or not file.get("path"):
        raise gr.Error("Drop a file first.", print_exception=False)
    return Path(file["path"])


def build(studio: Studio, photos: list[Path], film: Path | None) -> gr.Blocks:
    """The page of a studio.

    Args:
        studio: makes the cartoons.
        photos: examples.
        film: an example.
    """
    with gr.Blocks(title="ppcartoon", analytics_enabled=False, delete_cache=DELETION) as page:
        gr.Markdown(INTRODUCTION)
        with gr.Tab("Photo", id="photo"):
            _photo_tab(studio, photos)
        with gr.Tab("Film", id="film"):
            _film_tab(studio, film)
    page.queue(max_size=WAITING, default_concurrency_limit=1, api_open=False)
    return page


def _photo_tab(studio: Studio, examples: list[Path]) -> None:
    def make(file: dict | None, style: str, size: str) -> tuple:
        path = uploaded(file)
        with in_sentences(path):
            before, after = studio.photo(path, style, size)
        return (str(before), str(after)), gr.DownloadButton(value=str(after), interactive=True)

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
            gr.Markdown(f"At most {limits.upload} MB and {limits.pixels} megapixels.")
            style, size = _choices(studio, SIZES, "768")
            button = gr.Button("Make a cartoon", variant="primary", elem_id="make-photo")
        with gr.Column():
            shown = gr.ImageSlider(
                label="Photo | cartoon",
                interactive=False,
                buttons=["fullscreen"],
                max_height=560,
                elem_id="photo-shown",
            )
            download = gr.DownloadButton("Download the cartoon", interactive=False, elem_id="download-photo")
    if examples:
        gr.Examples([[str(path)] for path in examples], [given], label="Examples")
    _on_click(button, make, [given, style, size], [shown, download])


def _film_tab(studio: Studio, example: Path | None) -> None:
    try:
        from ..video import deflicker, pipeline  # noqa: F401  they need OpenCV and PyAV
    except InputError as error:
        gr.Markdown(f"{error}, then start this page again.")
        return

    def make(file: dict | None, style: str, size: str, progress: gr.Progress = gr.Progress()) -> tuple:  # noqa: B008
        path = uploaded(file)
        with in_sentences(path):
            made, remark = studio.film(
                path, style, size, lambda done, of: progress((done, of) if of else None, unit="pictures")
            )
        return str(made), gr.DownloadButton(value=str(made), interactive=True), html.escape(remark)

    limits = studio.limits
    with gr.Row():
        with gr.Column():
            given = gr.Video(label="Film", sources=["upload"], height=340, buttons=[], elem_id="film-given")
            gr.Markdown(f"At most {limits.upload} MB; the first {limits.seconds} seconds are taken.")
            style, size = _choices(studio, FILM_SIZES, "384")
            button = gr.Button("Make a cartoon", variant="primary", elem_id="make-film")
        with gr.Column():
            shown = gr.Video(label="Cartoon", interactive=False, buttons=[], height=340, elem_id="film-shown")
            remark = gr.Markdown()
            download = gr.DownloadButton("Download the cartoon", interactive=False, elem_id="download-film")
    if example:
        gr.Examples([[str(example)]], [given], label="Example")
    _on_click(button, make, [given, style, size], [shown, download, remark])


def _choices(studio: Studio, sizes: tuple[str, ...], usual: str) -> tuple[gr.Dropdown, gr.Dropdown]:
    styles = list(studio.predictors)
    with gr.Row():
        style = gr.Dropdown(styles, value=styles[0], label="Style", min_width=180)
        size = gr.Dropdown(sizes, value=usual, label="Size, longer side in pixels", min_width=180)
    return style, size


def _on_click(button: gr.Button, make: Any, inputs: list, outputs: list) -> None:
    """One at a time over both tabs; `make` gets what was uploaded as it is, as Gradio would decode it by itself."""
    button.click(
        make,
        inputs,
        outputs,
        preprocess=False,
        concurrency_id="studio",
        concurrency_limit=1,
        show_progress_on=outputs[0],
    )


def application(page: gr.Blocks, largest: int) -> Any:
    """The page as an ASGI application.

    Args:
        page: from `build`.
        largest: bytes of an uploaded file.
    """
    import fastapi

    app = fastapi.FastAPI(openapi_url=None)
    return gr.mount_gradio_app(
        app, page, "/", footer_links=[], run_history=False, show_error=False, max_file_size=largest, ssr_mode=False,
        enable_monitoring=False, pwa=False, mcp_server=False, theme=THEME, css=CSS,
    )  # fmt: skip
