"""Film scenes with noise whose motion is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ppcartoon.errors import InputError

from .photos import noisy, photos

try:
    import av
    import cv2
except ImportError as error:
    raise InputError('films need PyAV and OpenCV: pip install "ppcartoon[video]"') from error

STILL, PAN, FADE = "still", "slow pan", "fade"
FPS = 25
SHIFT = 0.4  # pixels to the left from frame to frame of the pan
DARKEST = 0.4  # brightness at the end of the fade
EDGE = 8  # pixels at the borders that comparisons leave out


def frames(kind: str, count: int, height: int, width: int) -> list[np.ndarray]:
    """RGB uint8 [height, width, 3]."""
    (photo,) = photos(1, height, width + 2 * EDGE + int(SHIFT * count))
    made = []
    for i in range(count):
        frame = moved(photo, EDGE + (i * SHIFT if kind == PAN else 0))[:, :width]
        if kind == FADE:
            frame = frame * (1 - (1 - DARKEST) * i / (count - 1))
        made.append(noisy(np.uint8(frame.clip(0, 255) + 0.5), i))
    return made


def moved(image: np.ndarray, shift: float) -> np.ndarray:
    """float32, so many pixels further to the left."""
    matrix, size = np.float32([[1, 0, -shift], [0, 1, 0]]), image.shape[1::-1]
    return cv2.warpAffine(np.float32(image), matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def write(file: Path, pictures: list[np.ndarray]) -> None:
    """A film in H.264, of frames as above."""
    with av.open(str(file), "w") as out:
        stream = out.add_stream("libx264", FPS)
        stream.height, stream.width, stream.pix_fmt = *pictures[0].shape[:2], "yuv420p"
        for rgb in pictures:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(rgb)))
        out.mux(stream.encode(None))
