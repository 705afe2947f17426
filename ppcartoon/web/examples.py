"""What can be tried without a photo of one's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .. import images
from ..data.samples import sample_photos
from ..errors import InputError

HEIGHT, WIDTH = 180, 320
PICTURES, RATE = 24, 12


def photos() -> list[Path]:
    """scikit-image's photos; none where it is not installed."""
    try:
        return sample_photos()
    except InputError:
        return []


def a_film(folder: Path) -> Path | None:
    """Two seconds of a camera that passes over a photo, into `folder`; None where the photo or PyAV is missing."""
    try:
        import av
    except ModuleNotFoundError:
        return None
    if not photos():
        return None
    rgb = images.read(photos()[1]).rgb
    path = folder / "camera.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for place in np.linspace(0, 1, PICTURES):
            top, left = round(place * (rgb.shape[0] - HEIGHT)), round(place * (rgb.shape[1] - WIDTH))
            picture = np.ascontiguousarray(rgb[top : top + HEIGHT, left : left + WIDTH])
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        out.mux(stream.encode(None))
    return path
