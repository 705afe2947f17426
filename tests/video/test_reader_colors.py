"""Colors of decoded frames: flat patches, encoded by the formulas of the standards, come back as their sRGB values."""

import av
import numpy as np
import pytest

from ppcartoon.video.reader import VideoReader
from tests.helpers import videos

PATCHES = np.uint8(
    [(255, 255, 255), (0, 0, 0), (118, 118, 118), (255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 120, 60), (60, 160, 90)]
)
MUTED = np.uint8(
    [
        (255, 255, 255),
        (0, 0, 0),
        (118, 118, 118),
        (64, 64, 64),
        (170, 140, 120),
        (120, 140, 170),
        (130, 150, 110),
        (90,) * 3,
    ]
)
VIVID = np.uint8([*MUTED[:4], (200, 120, 60), (60, 160, 90), (150, 100, 170), (246, 200, 80)])
LUMA = {
    1: (0.2126, 0.0722),
    5: (0.299, 0.114),
    9: (0.2627, 0.0593),
}  # by color matrix of H.273: weights of red and blue
BT2020 = np.array(
    [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]
)  # from BT.709, by BT.2087
WHITE = 203  # nits, by BT.2408
MASTERED = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):max-cll=1000,400"


def write(path, signal, pix_fmt, coded, tags, codec="libx264", height=videos.HEIGHT, width=videos.WIDTH, options=None):
    """Writes a video of one frame with eight patches.

    Args:
        path: of the video.
        signal: R'G'B' of the patches, [8, 3] in [0, 1].
        pix_fmt: FFmpeg's name of the pixel format.
        coded: the color matrix of H.273 that encodes them, and whether the range is full.
        tags: matrix, range, transfer and primaries that the file states.
        codec: FFmpeg's name of the encoder.
        height: of the frame.
        width: of the frame.
        options: of the encoder.
    """
    red, blue = LUMA[coded[0]]
    r, g, b = np.kron(np.transpose(signal).reshape(3, 2, 4), np.ones((height // 2, width // 4)))
    y = red * r + (1 - red - blue) * g + blue * b
    frame = av.VideoFrame(width, height, pix_fmt)
    bits = frame.format.components[0].bits
    unit, top = 2 ** (bits - 8), 2**bits - 1
    scale, black = ((top, top), 0) if coded[1] else ((219 * unit, 224 * unit), 16 * unit)
    values = [black + scale[0] * y]
    values += [128 * unit + scale[1] * c for c in ((b - y) / (2 - 2 * blue), (r - y) / (2 - 2 * red))]
    kind = np.uint8 if bits == 8 else np.uint16
    for plane, value in zip(frame.planes, values):
        rows = np.zeros((plane.height, plane.line_size // kind().itemsize), kind)
        rows[:, : plane.width] = np.round(value[:: height // plane.height, :: width // plane.width]).clip(0, top)
        plane.update(rows.tobytes())
    return videos.write_frames(path, [frame], codec, options or {"crf": "1"}, tags)


def decoded(path):
    """The mean colors of the eight patches, [8, 3] in sRGB."""
    with VideoReader(path) as video:
        (frame,) = video.frames("keyframes")
    height, width = frame.rgb.shape[:2]
    blocks = frame.rgb.reshape(2, height // 2, 4, width // 4, 3)[
        :, height // 8 : -height // 8, :, width // 16 : -width // 16
    ]
    return blocks.mean((1, 3)).reshape(8, 3)


SDR = {
    "BT.709 HD": ("yuv420p", (1, False), (1, 1, 1, 1), "libx264", 720),
    "BT.601 SD": ("yuv420p", (5, False), (5, 1, 6, 5), "libx264", 180),
    "BT.601 HD": ("yuv420p", (5, False), (5, 1, 6, 5), "libx264", 720),
    "BT.709 SD": ("yuv420p", (1, False), (1, 1, 1, 1), "libx264", 180),
    "untagged HD": ("yuv420p", (1, False), (2, 0, 2, 2), "libx264", 720),
    "untagged SD": ("yuv420p", (5, False), (2, 0, 2, 2), "libx264", 180),
    "untagged SD in MPEG-2": ("yuv420p", (5, False), (2, 0, 2, 2), "mpeg2video", 180),
    "full range": ("yuv420p", (1, True), (1, 2, 1, 1), "libx264", 180),
    "10 bits": ("yuv420p10le", (1, False), (1, 1, 1, 1), "libx265", 180),
    "10 bits, full range": ("yuv420p10le", (1, True), (1, 2, 1, 1), "libx264", 180),
    "4:4:4": ("yuv444p", (1, False), (1, 1, 1, 1), "libx264", 180),
    "4:2:2 in FFV1": ("yuv422p10le", (5, False), (2, 0, 2, 2), "ffv1", 180),
}


@pytest.mark.parametrize("pix_fmt, coded, tags, codec, height", SDR.values(), ids=SDR)
def test_colors_are_decoded_as_encoded(tmp_path, pix_fmt, coded, tags, codec, height):
    options = {"x265-params": "log-level=none:bframes=0:crf=1"} if codec == "libx265" else None
    path = write(tmp_path / "a.mkv", PATCHES / 255, pix_fmt, coded, tags, codec, height, height * 16 // 9, options)
    assert np.abs(decoded(path) - PATCHES).max() <= 3


def test_gray_video_is_decoded_as_gray(tmp_path):
    grays = np.tile(np.uint8([0, 16, 40, 64, 118, 200, 235, 255])[:, None], 3)
    path = write(tmp_path / "a.mkv", grays / 255, "gray", (1, False), (1, 1, 1, 1))
    assert np.abs(decoded(path) - grays).max() <= 1


def linear(srgb):
    """sRGB in [0, 255] -> linear light in [0, 1]."""
    value = srgb / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def pq(nits):
    """The inverse EOTF of SMPTE ST 2084."""
    y = (nits / 10000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * y) / (1 + 2392 / 128 * y)) ** (2523 / 32)


def hlg(nits):
    """The inverse EOTF of HLG for a display of 1000 nits, by BT.2100."""
    display = nits / 1000
    y = np.maximum(display @ [0.2627, 0.6780, 0.0593], 1e-9)[..., None]
    scene = display * y ** ((1 - 1.2) / 1.2)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), a * np.log(np.maximum(12 * scene - b, 1e-9)) + c)


def write_hdr(path, light, encode, options=""):
    """Writes eight patches of linear light, [8, 3] in BT.709's primaries with reference white at 1, in HDR."""
    tags = 9, 1, {pq: 16, hlg: 18}[encode], 9
    options = {"x265-params": f"log-level=none:bframes=0:crf=1:{options}"}
    return write(path, encode(WHITE * light @ BT2020.T), "yuv420p10le", (9, False), tags, "libx265", options=options)


@pytest.mark.parametrize("encode, options", [(pq, ""), (pq, MASTERED), (hlg, "")], ids=["PQ", "PQ, mastered", "HLG"])
@pytest.mark.parametrize("colors", [MUTED, VIVID], ids=["muted", "vivid"])
def test_hdr_colors_up_to_reference_white_are_decoded_to_srgb(tmp_path, encode, options, colors):
    result = decoded(write_hdr(tmp_path / "a.mkv", linear(colors), encode, options))
    assert result[0].min() >= 250
    assert result[1].max() <= 2
    assert np.abs(result[2] - 118).max() <= 3
    assert np.abs(result - colors).max() <= 5


@pytest.mark.parametrize("encode", [pq, hlg])
def test_hdr_highlights_are_clipped_to_white(tmp_path, encode):
    light = np.tile(np.array([1, 1.2, 1.5, 2, 3, 4, 4.5, 4.9])[:, None], 3)
    result = decoded(write_hdr(tmp_path / "a.mkv", light, encode))
    assert result[0].min() >= 250
    assert (result[1:] == 255).all()


def test_reference_white_of_hlg_is_three_quarters_of_its_signal():
    assert np.abs(hlg(np.full(3, WHITE)) - 0.75).max() < 0.001


@pytest.mark.parametrize("colors", [MUTED, VIVID], ids=["muted", "vivid"])
def test_wide_primaries_are_converted_to_srgb(tmp_path, colors):
    signal = ((colors / 255) ** 2.4 @ BT2020.T) ** (1 / 2.4)
    path = write(tmp_path / "a.mkv", signal, "yuv420p10le", (9, False), (9, 1, 14, 9))
    assert np.abs(decoded(path) - colors).max() <= 5
