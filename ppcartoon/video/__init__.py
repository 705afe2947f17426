"""Cartoonizes videos, animated images and numbered images; `cartoonize` is the entry point."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..inference.predictor import CartoonPredictor
    from .pipeline import VideoOptions, VideoReport


def cartoonize(
    source: str | os.PathLike,
    target: str | os.PathLike,
    predictor: CartoonPredictor,
    options: VideoOptions | None = None,
    deflicker: bool = True,
) -> VideoReport:
    """Cartoonizes a video, with its audio and timestamps.

    Args:
        source: any video that FFmpeg reads, an animated image, a TIFF of several pages, or numbered images such as
            frames/%05d.png.
        target: .mp4, .m4v, .mov, .mkv, .webm, .gif, .webp, .png or .apng, or numbered images; its folder is created.
        predictor: cartoonizes the frames. With the working size "auto", some frames decide for the whole video.
        options: see `ppcartoon.video.pipeline.VideoOptions`.
        deflicker: smooth the frames over time, see `ppcartoon.video.deflicker`; False cartoonizes each independently.

    Raises:
        InputError: PyAV or OpenCV is missing, the source cannot be read, contains no frames, or the options do not fit;
            nothing is written.
        OutputError: the target cannot be written, and is unchanged.
        Interrupted: by Ctrl-C or SIGTERM; the message names the file with the part that is done.

    Examples:
        >>> cartoonize("a.mp4", "cartoon.mp4", CartoonPredictor())
    """
    from . import pipeline

    source, target, options = Path(source), Path(target), options or pipeline.VideoOptions()
    predictor = pipeline.with_fixed_size(predictor, source, options)
    if deflicker:
        from .deflicker import Deflicker

        smooth = Deflicker(predictor)
        return pipeline.process(source, target, smooth.draw, options, finish=smooth.finish)
    return pipeline.process(source, target, lambda rgb, time: predictor(rgb), options)
