"""Converts decoded video frames to RGB arrays: upright, with square pixels, in sRGB."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

import av
import numpy as np
from av.filter import Graph

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


PQ, HLG = 16, 18  # transfer characteristics of ITU-T H.273
WIDE_PRIMARIES = {  # color primaries of H.273, BT.2020 and Display P3, and their matrices to BT.709's
    9: ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187)),
    12: ((1.2249, -0.2249, 0.0), (-0.0421, 1.0421, 0.0), (-0.0196, -0.0786, 1.0983)),
}
LUMA = (0.2627, 0.6780, 0.0593)  # BT.2020
WHITE, PEAK = 203, 1000  # nits: HDR reference white (ITU-R BT.2408), peak of an HLG display
GAMMA = 2.4  # of displays for SDR


def beyond_srgb(transfer: int, primaries: int) -> bool:
    """Whether a signal is HDR or has wide primaries, and needs `to_srgb`."""
    return transfer in (PQ, HLG) or primaries in WIDE_PRIMARIES


def to_srgb(signal: np.ndarray, transfer: int, primaries: int) -> np.ndarray:
    """Converts HDR or wide-gamut R'G'B' to sRGB: reference white becomes 255, values outside sRGB are clipped.

    Args:
        signal: R'G'B' uint16 [H, W, 3], full range.
        transfer: transfer characteristics, numbered by ITU-T H.273.
        primaries: color primaries, likewise.

    Returns:
        uint8 [H, W, 3].
    """
    light = _light(transfer)[signal]
    if transfer == HLG:
        light *= (light @ np.float32(LUMA))[..., None] ** 0.2 * np.float32(PEAK / WHITE)
    if primaries in WIDE_PRIMARIES:
        light = light @ np.float32(WIDE_PRIMARIES[primaries]).T
    light = light.clip(0, 1)
    if transfer in (PQ, HLG):  # sRGB's curve; SDR keeps its own
        light = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** np.float32(1 / 2.4) - 0.055)
    else:
        light **= np.float32(1 / GAMMA)
    return np.uint8(255 * light + 0.5)


@lru_cache(maxsize=4)
def _light(transfer: int) -> np.ndarray:
    """Linear light of the 65,536 signal values: display light with reference white at 1, or scene light of HLG."""
    signal = np.linspace(0, 1, 1 << 16)
    if transfer == PQ:  # SMPTE ST 2084
        root = signal ** (32 / 2523)
        y = np.maximum(root - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * root)
        return np.float32(y ** (16384 / 2610) * 10000 / WHITE)
    if transfer == HLG:  # ITU-R BT.2100
        high = (np.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12
        return np.float32(np.where(signal <= 0.5, signal**2 / 3, high))
    return np.float32(signal**GAMMA)
