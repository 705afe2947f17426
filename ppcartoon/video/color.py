"""Converts decoded video frames to images: upright, with square pixels, in sRGB."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
from av.filter import Graph

from ..images import Picture, resize
from ..images.color import beyond_srgb, to_srgb
from ..images.transparency import fill_hidden

UNSPECIFIED = 2  # color matrix (ITU-T H.273); players then assume BT.709 from HD on
HD = 720
FAINT = 8  # alpha, of 255, below which a pixel is transparent: lossy codecs leave a little where there was none


class Renderer:
    """Converts the frames of a video to images, with visible colors under transparent pixels.

    Args:
        aspect: width of a pixel divided by its height.
        shorter: pixels of the shorter side; larger frames are reduced.
    """

    def __init__(self, aspect: Fraction | int, shorter: int) -> None:
        self.aspect, self.shorter = aspect, shorter
        self._key: tuple = ()
        self._graph: Graph | None = None
        self._size = 0, 0

    def __call__(self, frame: av.VideoFrame) -> Picture:
        key = _format_key(frame)
        if self._key != key:
            self._key, self._graph = key, self._filters(frame)
        self._graph.push(frame)
        pixels = self._graph.pull().to_ndarray()
        rgb, alpha = pixels[..., :3], pixels[..., 3] if pixels.shape[2] == 4 else None
        if rgb.dtype == np.uint16:
            rgb = to_srgb(rgb, frame.color_trc, frame.color_primaries)
            alpha = None if alpha is None else np.uint8(alpha >> 8)
        if alpha is None:
            return Picture(_upright(rgb, frame))
        picture = _with_hidden_filled(rgb, alpha)
        if picture.rgb.shape[1::-1] != self._size:
            picture = resize(picture, self._size)
        return Picture(*(None if channels is None else _upright(channels, frame) for channels in picture))

    def _filters(self, frame: av.VideoFrame) -> Graph:
        """FFmpeg's filters for frames of this format: field selection if interlaced, scaling, color conversion."""
        width, height = square_size(frame.width, frame.height, self.aspect)
        scale = min(1, self.shorter / min(width, height))
        self._size = max(1, round(width * scale)), max(1, round(height * scale))
        colors = "out_range=pc:flags=bicubic+accurate_rnd+full_chroma_int"
        if frame.colorspace == UNSPECIFIED and frame.height >= HD:
            colors += ":in_color_matrix=bt709"
        deep = beyond_srgb(frame.color_trc, frame.color_primaries)
        field = [("field", "top")] if frame.interlaced_frame else []
        if has_alpha(frame.format):  # hidden colors are filled before the frame is resized
            return filter_chain(frame, *field, ("scale", colors), ("format", "rgba64le" if deep else "rgba"))
        size = "{}:{}".format(*self._size)
        return filter_chain(frame, *field, ("scale", f"{size}:{colors}"), ("format", "rgb48le" if deep else "rgb24"))


def has_alpha(pixels: av.VideoFormat) -> bool:
    """Whether a pixel format has transparency."""
    return any(component.is_alpha for component in pixels.components)


def _with_hidden_filled(rgb: np.ndarray, alpha: np.ndarray) -> Picture:
    rgb, alpha = np.ascontiguousarray(rgb), np.where(alpha < FAINT, np.uint8(0), alpha)
    if alpha.min() == 255:
        return Picture(rgb)
    fill_hidden(rgb, alpha)
    return Picture(rgb, alpha)


def square_size(width: int, height: int, aspect: Fraction | int) -> tuple[int, int]:
    """The size in square pixels of a frame whose pixels have the given width divided by height."""
    return round(width * max(aspect, 1)), round(height / min(aspect, 1))


def filter_chain(frame: av.VideoFrame, *filters: tuple[str, str]) -> Graph:
    """A chain of FFmpeg's filters, each by name and options, for frames of this format."""
    graph = Graph()
    source = graph.add_buffer(None, frame.width, frame.height, frame.format, None, frame.time_base)
    graph.link_nodes(source, *(graph.add(*options) for options in filters), graph.add("buffersink")).configure()
    return graph


def _format_key(frame: av.VideoFrame) -> tuple:
    """The properties of a frame that the filters depend on."""
    colors = frame.colorspace, frame.color_range, frame.color_trc, frame.color_primaries
    return frame.width, frame.height, frame.format.name, frame.interlaced_frame, *colors


def _upright(rgb: np.ndarray, frame: av.VideoFrame) -> np.ndarray:
    """A frame [H, W, ...], rotated and mirrored as the display matrix of the video says."""
    side = frame.side_data.get("DISPLAYMATRIX")
    if side is None:
        return rgb
    a, b, _, c, d, *_ = np.frombuffer(bytes(side), np.int32)  # x' = a x + c y, y' = b x + d y
    if abs(b) > abs(a):
        a, d, rgb = c, b, rgb.swapaxes(0, 1)
    return rgb[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
