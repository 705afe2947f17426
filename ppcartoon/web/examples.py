"""Example photos and an example video for the web page."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .. import images
from ..data.samples import sample_photos
from ..errors import InputError

HEIGHT, WIDTH = 180, 320
FRAMES, FPS = 24, 12


def example_photos() -> list[Path]:
    """Photos of scikit-image; none if it is not installed."""
    try:
        return sample_photos()
    except InputError:
        return []


def example_video(folder: Path) -> Path | None:
    """Writes two seconds of a pan over a photo into `folder`; None if the photo or PyAV is missing."""
    try:
        import av
    except ModuleNotFoundError:
        return None
    photos = example_photos()
    if not photos:
        return None
    rgb = images.read(photos[1]).rgb
    path = folder / "camera.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for position in np.linspace(0, 1, FRAMES):
            top, left = round(position * (rgb.shape[0] - HEIGHT)), round(position * (rgb.shape[1] - WIDTH))
            frame = np.ascontiguousarray(rgb[top : top + HEIGHT, left : left + WIDTH])
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        out.mux(stream.encode(None))
    return path
