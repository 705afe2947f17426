"""Films that flicker less, without ghosts and blur; by the shipped style where a tiny network would not show it."""

import math

import cv2
import numpy as np
import pytest
from skimage import data

from ppcartoon.inference import tiling
from ppcartoon.inference.predictor import CartoonPredictor
from ppcartoon.video import deflicker
from ppcartoon.video.deflicker import Deflicker
from tests.helpers.samples import photo

HEIGHT, WIDTH, STEP, RATE = 128, 192, 0.7, 25
LARGE = cv2.resize(data.astronaut(), (350, 350), interpolation=cv2.INTER_AREA)
CUP = cv2.resize(data.coffee(), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
CAT = cv2.resize(data.chelsea(), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def style():
    return CartoonPredictor()


def pan(count=10):
    """A view that moves to the right by a part of a pixel."""
    views = (np.float32([[1, 0, -50 - STEP * i], [0, 1, -30]]) for i in range(count))
    return [cv2.warpAffine(LARGE, view, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC) for view in views]


def noisy(frames, deviation=6):
    rng = np.random.default_rng(0)
    return [np.uint8((frame + rng.normal(0, deviation, frame.shape)).clip(0, 255)) for frame in frames]


def through(predictor, frames, rate=RATE):
    cartoonize = Deflicker(predictor)
    return [cartoonize(frame, i / rate) for i, frame in enumerate(frames)]


def alone(predictor, frame):
    return predictor.with_stats(frame, None, 1)[0]


def flicker(frames, step=0.0):
    """Mean difference between frames that show the same, moved by so many pixels."""
    back = np.float32([[1, 0, -step], [0, 1, 0]])
    moved = [cv2.warpAffine(np.float32(x), back, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC) for x in frames[3:-1]]
    return np.mean([np.abs(a - b)[8:-8, 8:-8].mean() for a, b in zip(moved, frames[4:])])


def unevenness(frames):
    """Mean second difference: of frames that change steadily, what is not steady."""
    return np.abs(np.diff(np.float32(frames[2:]), 2, axis=0)).mean()


def sharpness(frames):
    return np.mean([np.square(np.diff(np.float32(frame), axis=1)).mean() for frame in frames[4:]])


@pytest.mark.parametrize("step", [0, STEP])
def test_noise_flickers_half_as_much(style, step):
    frames = noisy(pan() if step else pan(1) * 10)
    apart = [alone(style, frame) for frame in frames]
    assert flicker(through(style, frames), step) < 0.6 * flicker(apart, step)


def test_a_fade_is_even(style):
    frames = noisy([CUP * (1 - 0.06 * i) for i in range(10)])
    apart = [alone(style, frame) for frame in frames]
    together = through(style, frames)
    assert unevenness(together) < 0.6 * unevenness(apart)
    assert np.mean(together[0]) - np.mean(together[-1]) > 0.9 * (np.mean(apart[0]) - np.mean(apart[-1]))


def test_what_moves_stays_sharp(style):
    frames = pan()
    assert sharpness(through(style, frames)) > 0.95 * sharpness([alone(style, frame) for frame in frames])


@pytest.mark.parametrize("step", [4, 9, 30])
def test_an_object_leaves_no_ghost(style, monkeypatch, step):
    disks = [cv2.circle(np.zeros((HEIGHT, WIDTH), np.uint8), (40 + step * i, 64), 24, 1, -1) for i in range(5)]
    frames = [np.where(disk[..., None], np.roll(CAT, 40 + step * i - 60, 1), CUP) for i, disk in enumerate(disks)]
    averaged = through(style, frames)
    monkeypatch.setattr(deflicker, "KEPT", 0)
    difference = np.abs(np.int_(averaged[-1]) - through(style, frames)[-1])
    uncovered = (disks[-2] | disks[-3]) > disks[-1]
    assert difference[uncovered].mean() < 0.5
    assert np.percentile(difference[uncovered], 99) < 6


@pytest.mark.parametrize("light", [1, 0.3])
def test_a_scene_begins_with_the_cartoon_of_its_first_frame_and_so_when_it_returns(predictor, light):
    cup, cat = (np.uint8(light * each) for each in (CUP, CAT))
    made = through(predictor, [cup] * 3 + [cat] * 2 + [cup])
    for i, frame in ((0, cup), (3, cat), (5, cup)):
        assert (made[i] == alone(predictor, frame)).all()


def test_nothing_of_a_flash_stays(predictor):
    white = np.full_like(CUP, 255)
    made = through(predictor, [CUP, CUP, white, CUP])
    assert (made[2] == alone(predictor, white)).all() and (made[3] == alone(predictor, CUP)).all()


def test_faster_than_the_eye_is_no_cut():
    view = np.float32(cv2.cvtColor(cv2.resize(data.astronaut(), (900, 900)), cv2.COLOR_RGB2GRAY))
    frames = [view[200:456, 200 + step : 584 + step] for step in (0, 25)]
    changes = [deflicker._change(frames[0], each) for each in (frames[0], 0.8 * frames[0] + 20, frames[1])]
    assert changes[0] == 0 and changes[1] < 0.3 and changes[2] < 0.8


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_long_scenes_neither_drift_nor_get_stuck(tiny_file, engine):
    predictor = CartoonPredictor(weights_file=tiny_file, engine=engine)
    cup, cat = (cv2.resize(each, (24, 16), interpolation=cv2.INTER_AREA) for each in (CUP, CAT))
    dissolve = [np.uint8(cup + (np.float32(cat) - cup) * i / 30) for i in range(30)]
    made = through(predictor, [cup] * 100 + dissolve + [cat] * 150)
    for i, frame in ((99, cup), (-1, cat)):
        difference = np.abs(np.int_(made[i]) - alone(predictor, frame))
        assert difference.mean() < 1 and difference.max() <= 4


def test_statistics_follow_time_and_not_the_number_of_frames(predictor):
    dark = photo(HEIGHT, WIDTH) // 2
    found = []
    for count in (1, 5):
        cartoonize = Deflicker(predictor)
        cartoonize(dark, 7)
        for i in range(count):
            cartoonize(dark + 60, 7 + 0.1 * (i + 1) / count)
        found.append(cartoonize._statistics[0, 0])  # of the first LN, whose input does not depend on others
    start, end = (predictor.with_stats(each, None, 1)[1][0, 0] for each in (dark, dark + 60))
    for each in found:
        np.testing.assert_allclose((each - start) / (end - start), 1 - math.exp(-0.2), atol=0.03)


def test_statistics_are_left_until_a_change_of_them_is_due(predictor, monkeypatch):
    alphas = []

    def with_stats(frame, stats, alpha):
        alphas.append(alpha)
        return CartoonPredictor.with_stats(predictor, frame, stats, alpha)

    monkeypatch.setattr(predictor, "with_stats", with_stats)
    through(predictor, [CUP] * 13 + [CAT])
    assert alphas[0] == alphas[-1] == 1
    blended = [alpha for alpha in alphas[1:-1] if alpha]
    assert 2 < len(blended) < 7 and all(deflicker.DUE <= alpha < 2 * deflicker.DUE for alpha in blended)


@pytest.mark.parametrize("height, width", [(1, 1), (1, 40), (15, 3), (16, 16), (17, 200), (31, 500), (32, 33)])
def test_frames_of_every_size(predictor, height, width):
    for made in through(predictor, noisy([photo(height, width)] * 3)):
        assert made.shape == (height, width, 3) and made.dtype == np.uint8


def test_a_new_size_begins_anew(predictor):
    frames = [CUP, CUP, CUP[:64, :100], CUP]
    made = through(predictor, frames)
    assert all((made[i] == alone(predictor, frames[i])).all() for i in (2, 3))


def test_times_that_stand_still_or_go_back_are_taken_as_they_come(predictor):
    cartoonize = Deflicker(predictor)
    made = [cartoonize(CUP, time) for time in (3, 3, 1)]
    assert (made[1] == made[0]).all() and (made[2] == made[0]).all()


def test_tiles_are_as_steady(tiny_file, monkeypatch):
    monkeypatch.setattr(tiling, "SAMPLES", 100)
    tiled, whole = (CartoonPredictor(weights_file=tiny_file, engine="onnx", tile=tile) for tile in (64, 0))
    frames = noisy(pan(1) * 6)
    made, apart = through(tiled, frames), [alone(tiled, frame) for frame in frames]
    assert flicker(made) < 0.6 * flicker(apart)
    differences = [
        np.abs(np.float32(a) - b).mean()
        for a, b in zip((made[-1], apart[-1]), (through(whole, frames)[-1], alone(whole, frames[-1])))
    ]
    assert differences[0] < differences[1] + 0.5
