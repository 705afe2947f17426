"""Converts decoded video frames to RGB arrays: upright, with square pixels, in sRGB."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
from av.filter import Graph

from ..images.color import beyond_srgb, to_srgb

UNSPECIFIED = 2  # color matrix (ITU-T H.273); players then assume BT.709 from HD on
HD = 720


class Renderer:
    """Converts the frames of a video to RGB uint8 [H, W, 3], on white where they are transparent.

    Args:
        aspect: width of a pixel divided by its height.
        shorter: pixels of the shorter side; larger frames are reduced.
    """

    def __init__(self, aspect: Fraction | int, shorter: int) -> None:
        self.aspect, self.shorter = aspect, shorter
        self._key: tuple = ()
        self._graph: Graph | None = None

    def __call__(self, frame: av.VideoFrame) -> np.ndarray:
        key = _format_key(frame)
        if self._key != key:
            self._key, self._graph = key, self._filters(frame)
        self._graph.push(frame)
        rgb = self._graph.pull().to_ndarray()
        if rgb.dtype == np.uint16:
            rgb = to_srgb(rgb, frame.color_trc, frame.color_primaries)
        if rgb.shape[2] == 4:
            alpha = rgb[..., 3:] / np.float32(255)
            rgb = np.uint8(rgb[..., :3] * alpha + 255 * (1 - alpha) + 0.5)
        return _upright(rgb, frame)

    def _filters(self, frame: av.VideoFrame) -> Graph:
        """FFmpeg's filters for frames of this format: field selection if interlaced, scaling, color conversion."""
        width, height = square_size(frame.width, frame.height, self.aspect)
        scale = min(1, self.shorter / min(width, height))
        size = f"{max(1, round(width * scale))}:{max(1, round(height * scale))}"
        colors = "out_range=pc:flags=bicubic+accurate_rnd+full_chroma_int"
        if frame.colorspace == UNSPECIFIED and frame.height >= HD:
            colors += ":in_color_matrix=bt709"
        pixels = "rgba" if any(component.is_alpha for component in frame.format.components) else "rgb24"
        if beyond_srgb(frame.color_trc, frame.color_primaries):
            pixels = "rgb48le"
        field = [("field", "top")] if frame.interlaced_frame else []
        return filter_chain(frame, *field, ("scale", f"{size}:{colors}"), ("format", pixels))


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
    """The frame [H, W, 3], rotated and mirrored as the display matrix of the video says."""
    side = frame.side_data.get("DISPLAYMATRIX")
    if side is None:
        return rgb
    a, b, _, c, d, *_ = np.frombuffer(bytes(side), np.int32)  # x' = a x + c y, y' = b x + d y
    if abs(b) > abs(a):
        a, d, rgb = c, b, rgb.transpose(1, 0, 2)
    return rgb[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
