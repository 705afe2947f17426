"""Deflicker reduces flicker without ghosts or blur; with the shipped style where a tiny network does not flicker."""

import math

import cv2
import numpy as np
import pytest
from skimage import data

from ppcartoon.inference import tiling, upscale, working_size
from ppcartoon.inference.predictor import CartoonPredictor
from ppcartoon.video import deflicker
from ppcartoon.video.deflicker import Deflicker
from tests.helpers.samples import photo

HEIGHT, WIDTH, RATE = 128, 192, 25
STEP = 0.7  # pixels per frame by which the camera moves
LARGE = cv2.resize(data.astronaut(), (350, 350), interpolation=cv2.INTER_AREA)
CUP = cv2.resize(data.coffee(), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
CAT = cv2.resize(data.chelsea(), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def style():
    return CartoonPredictor()


def pan(count=10):
    """Frames of a camera that moves to the right by STEP pixels per frame."""
    shifts = (np.float32([[1, 0, -50 - STEP * i], [0, 1, -30]]) for i in range(count))
    return [cv2.warpAffine(LARGE, shift, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC) for shift in shifts]


def noisy(frames, deviation=6):
    rng = np.random.default_rng(0)
    return [np.uint8((frame + rng.normal(0, deviation, frame.shape)).clip(0, 255)) for frame in frames]


def deflickered(predictor, frames):
    cartoonize = Deflicker(predictor)
    return [cartoonize(frame, i / RATE) for i, frame in enumerate(frames)]


def independent(predictor, frame):
    """The cartoon of a single frame, without smoothing over time."""
    return predictor.finish(predictor.with_stats(frame, None, 1)[0], frame)


def flicker(frames, step=0.0):
    """Mean difference between consecutive frames of a scene that moves by `step` pixels per frame."""
    shift = np.float32([[1, 0, -step], [0, 1, 0]])
    moved = [cv2.warpAffine(np.float32(x), shift, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC) for x in frames[3:-1]]
    return np.mean([np.abs(a - b)[8:-8, 8:-8].mean() for a, b in zip(moved, frames[4:])])


def unevenness(frames):
    """Mean second difference over time: 0 where brightness changes linearly."""
    return np.abs(np.diff(np.float32(frames[2:]), 2, axis=0)).mean()


def sharpness(frames):
    return np.mean([np.square(np.diff(np.float32(frame), axis=1)).mean() for frame in frames[4:]])


@pytest.mark.parametrize("step", [0, STEP])
def test_flicker_of_noisy_frames_is_reduced_by_a_third(style, step):
    frames = noisy(pan() if step else pan(1) * 10)
    single = [independent(style, frame) for frame in frames]
    assert flicker(deflickered(style, frames), step) < 0.65 * flicker(single, step)


def test_fade_becomes_more_even_and_keeps_its_brightness_range(style):
    frames = noisy([CUP * (1 - 0.06 * i) for i in range(10)])
    single = [independent(style, frame) for frame in frames]
    smooth = deflickered(style, frames)
    assert unevenness(smooth) < 0.8 * unevenness(single)
    assert np.mean(smooth[0]) - np.mean(smooth[-1]) > 0.9 * (np.mean(single[0]) - np.mean(single[-1]))


def test_moving_scene_stays_sharp(style):
    frames = pan()
    assert sharpness(deflickered(style, frames)) > 0.95 * sharpness([independent(style, frame) for frame in frames])


@pytest.mark.parametrize("step", [4, 9, 30])
def test_moving_object_leaves_no_ghost(style, monkeypatch, step):
    disks = [cv2.circle(np.zeros((HEIGHT, WIDTH), np.uint8), (40 + step * i, 64), 24, 1, -1) for i in range(5)]
    frames = [np.where(disk[..., None], np.roll(CAT, 40 + step * i - 60, 1), CUP) for i, disk in enumerate(disks)]
    averaged = deflickered(style, frames)
    monkeypatch.setattr(deflicker, "MAX_KEPT", 0)
    difference = np.abs(np.int_(averaged[-1]) - deflickered(style, frames)[-1])
    uncovered = (disks[-2] | disks[-3]) > disks[-1]
    assert difference[uncovered].mean() < 0.5
    assert np.percentile(difference[uncovered], 99) < 6


@pytest.mark.parametrize("brightness", [1, 0.3])
def test_smoothing_restarts_at_every_cut_also_back_to_an_earlier_scene(predictor, brightness):
    cup, cat = (np.uint8(brightness * image) for image in (CUP, CAT))
    cartoons = deflickered(predictor, [cup] * 3 + [cat] * 2 + [cup])
    for i, frame in ((0, cup), (3, cat), (5, cup)):
        assert (cartoons[i] == independent(predictor, frame)).all()


def test_white_flash_leaves_no_trace(predictor):
    white = np.full_like(CUP, 255)
    cartoons = deflickered(predictor, [CUP, CUP, white, CUP])
    assert (cartoons[2] == independent(predictor, white)).all() and (cartoons[3] == independent(predictor, CUP)).all()


def test_fast_camera_and_brightness_changes_are_not_cuts():
    scene = np.float32(cv2.cvtColor(cv2.resize(data.astronaut(), (900, 900)), cv2.COLOR_RGB2GRAY))
    frame, moved = (scene[200:456, 200 + step : 584 + step] for step in (0, 25))
    changes = [deflicker._change(frame, after) for after in (frame, 0.8 * frame + 20, moved)]
    assert changes[0] == 0 and changes[1] < 0.3 and changes[2] < 0.8


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_long_scenes_neither_drift_nor_keep_old_frames(tiny_file, engine):
    predictor = CartoonPredictor(weights_file=tiny_file, engine=engine)
    cup, cat = (cv2.resize(image, (24, 16), interpolation=cv2.INTER_AREA) for image in (CUP, CAT))
    dissolve = [np.uint8(cup + (np.float32(cat) - cup) * i / 30) for i in range(30)]
    cartoons = deflickered(predictor, [cup] * 100 + dissolve + [cat] * 150)
    for i, frame in ((99, cup), (-1, cat)):
        difference = np.abs(np.int_(cartoons[i]) - independent(predictor, frame))
        assert difference.mean() < 1 and difference.max() <= 4


def test_statistics_depend_on_time_and_not_on_the_number_of_frames(predictor):
    dark = photo(HEIGHT, WIDTH) // 2
    measured = []
    for count in (1, 5):
        cartoonize = Deflicker(predictor)
        cartoonize(dark, 7)
        for i in range(count):
            cartoonize(dark + 60, 7 + 0.1 * (i + 1) / count)
        measured.append(cartoonize._statistics[0, 0])  # of the first LN, whose input does not depend on others
    start, end = (predictor.with_stats(frame, None, 1)[1][0, 0] for frame in (dark, dark + 60))
    for statistics in measured:
        np.testing.assert_allclose((statistics - start) / (end - start), 1 - math.exp(-0.2), atol=0.03)


def test_statistics_are_reused_until_an_update_is_large_enough(predictor, monkeypatch):
    alphas = []

    def with_stats(frame, stats, alpha):
        alphas.append(alpha)
        return CartoonPredictor.with_stats(predictor, frame, stats, alpha)

    monkeypatch.setattr(predictor, "with_stats", with_stats)
    deflickered(predictor, [CUP] * 13 + [CAT])
    assert alphas[0] == alphas[-1] == 1
    updates = [alpha for alpha in alphas[1:-1] if alpha]
    assert 2 < len(updates) < 7
    assert all(deflicker.MIN_UPDATE <= alpha < 2 * deflicker.MIN_UPDATE for alpha in updates)


@pytest.mark.parametrize("height, width", [(1, 1), (1, 40), (15, 3), (16, 16), (17, 200), (31, 500), (32, 33)])
def test_small_and_narrow_frames_keep_their_size(predictor, height, width):
    for cartoon in deflickered(predictor, noisy([photo(height, width)] * 3)):
        assert cartoon.shape == (height, width, 3) and cartoon.dtype == np.uint8


def test_smoothing_restarts_when_the_frame_size_changes(predictor):
    frames = [CUP, CUP, CUP[:64, :100], CUP]
    cartoons = deflickered(predictor, frames)
    assert all((cartoons[i] == independent(predictor, frames[i])).all() for i in (2, 3))


def test_repeated_and_decreasing_times_are_accepted(predictor):
    cartoonize = Deflicker(predictor)
    cartoons = [cartoonize(CUP, time) for time in (3, 3, 1)]
    assert (cartoons[1] == cartoons[0]).all() and (cartoons[2] == cartoons[0]).all()


def test_tiles_flicker_as_little_as_whole_frames(tiny_file, monkeypatch):
    monkeypatch.setattr(tiling, "SAMPLES", 100)
    tiled, whole = (CartoonPredictor(weights_file=tiny_file, engine="onnx", tile=tile) for tile in (64, 0))
    frames = noisy(pan(1) * 6)
    smooth, single = deflickered(tiled, frames), [independent(tiled, frame) for frame in frames]
    assert flicker(smooth) < 0.6 * flicker(single)
    smooth_difference = np.abs(np.float32(smooth[-1]) - deflickered(whole, frames)[-1]).mean()
    single_difference = np.abs(np.float32(single[-1]) - independent(whole, frames[-1])).mean()
    assert smooth_difference < single_difference + 0.5


def test_frames_are_deflickered_at_the_working_size_of_the_first_and_then_enlarged(predictor):
    frames = [photo(90, 120, seed) for seed in (1, 1, 2)]
    small = [working_size.reduce(frame, 60) for frame in frames]
    wanted = deflickered(predictor.replace(working_size=0), small)
    auto = predictor.replace(working_size="auto")
    auto.choose_size = lambda photos: 60
    for frame, cartoon in zip(deflickered(auto, frames), wanted):
        assert (frame == upscale.enlarge(cartoon, 90, 120)).all()
