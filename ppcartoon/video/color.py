"""A film's decoded frames as they are seen: upright, with square pixels, in sRGB."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
from av.filter import Graph

from .colors import beyond_srgb, to_srgb

UNSPECIFIED = 2  # colour matrix (ITU-T H.273) of films that do not tell; players take BT.709's from HD on
HD = 720


class Renderer:
    """Makes RGB uint8 [H, W, 3] of the frames of one film; what is transparent becomes white.

    Args:
        aspect: of the pixels, width to height.
        shorter: pixels of the shorter side; larger pictures are reduced.
    """

    def __init__(self, aspect: Fraction | int, shorter: int) -> None:
        self.aspect, self.shorter = aspect, shorter
        self._kind: tuple = ()
        self._graph: Graph | None = None

    def __call__(self, frame: av.VideoFrame) -> np.ndarray:
        if self._kind != _kind(frame):
            self._kind, self._graph = _kind(frame), self._filters(frame)
        self._graph.push(frame)
        rgb = self._graph.pull().to_ndarray()
        if rgb.dtype == np.uint16:
            rgb = to_srgb(rgb, frame.color_trc, frame.color_primaries)
        if rgb.shape[2] == 4:
            alpha = rgb[..., 3:] / np.float32(255)
            rgb = np.uint8(rgb[..., :3] * alpha + 255 * (1 - alpha) + 0.5)
        return _upright(rgb, frame)

    def _filters(self, frame: av.VideoFrame) -> Graph:
        """FFmpeg's filters for frames like this one: [one field of two,] size, colours."""
        width, height = frame.width * max(self.aspect, 1), frame.height / min(self.aspect, 1)
        scale = min(1, self.shorter / min(width, height))
        size = f"{max(1, round(width * scale))}:{max(1, round(height * scale))}"
        colors = "out_range=pc:flags=bicubic+accurate_rnd+full_chroma_int"
        if frame.colorspace == UNSPECIFIED and frame.height >= HD:
            colors += ":in_color_matrix=bt709"
        kind = "rgba" if any(component.is_alpha for component in frame.format.components) else "rgb24"
        if beyond_srgb(frame.color_trc, frame.color_primaries):
            kind = "rgb48le"
        field = [("field", "top")] if frame.interlaced_frame else []
        return linked(frame, *field, ("scale", f"{size}:{colors}"), ("format", kind))


def linked(frame: av.VideoFrame, *filters: tuple[str, str]) -> Graph:
    """FFmpeg's filters by name and options, one after the other, for frames like this one."""
    graph = Graph()
    source = graph.add_buffer(None, frame.width, frame.height, frame.format, None, frame.time_base)
    graph.link_nodes(source, *(graph.add(*each) for each in filters), graph.add("buffersink")).configure()
    return graph


def _kind(frame: av.VideoFrame) -> tuple:
    """What the filters depend on."""
    colors = frame.colorspace, frame.color_range, frame.color_trc, frame.color_primaries
    return frame.width, frame.height, frame.format.name, frame.interlaced_frame, *colors


def _upright(rgb: np.ndarray, frame: av.VideoFrame) -> np.ndarray:
    """The picture [H, W, 3] turned and mirrored as the film's display matrix says."""
    side = frame.side_data.get("DISPLAYMATRIX")
    if side is None:
        return rgb
    a, b, _, c, d, *_ = np.frombuffer(bytes(side), np.int32)  # right is a x + c y, and down is b x + d y
    if abs(b) > abs(a):
        a, d, rgb = c, b, rgb.transpose(1, 0, 2)
    return rgb[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
