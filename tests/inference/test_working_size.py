"""The size at which the network sees a photo."""

import numpy as np
import pytest
from PIL import Image
from skimage import data

import ppcartoon
from ppcartoon import InputError
from ppcartoon.inference import upscale, working_size
from tests.helpers.samples import photo


def grid(spacing, size=(480, 640)):
    """White lines, one pixel wide, on black."""
    image = np.zeros((*size, 3), np.uint8)
    image[::spacing] = image[:, ::spacing] = 255
    return image


def test_more_edges_give_a_larger_size_within_the_limits():
    flat, busy = np.full((600, 800, 3), 90, np.uint8), grid(8)
    sizes = [working_size.choose([image]) for image in (flat, data.chelsea(), data.coffee(), busy)]
    assert sizes[0] == 320 and sizes[-1] == 1024
    assert sizes == sorted(sizes) and sizes[1] < sizes[2]


def test_size_hardly_depends_on_the_resolution_of_the_photo():
    image = Image.fromarray(data.astronaut())
    sizes = [working_size.choose([np.asarray(image.resize((side, side)))]) for side in (512, 1500, 4000)]
    assert max(sizes) - min(sizes) <= working_size.STEP


def test_one_size_for_all_frames_of_a_video():
    flat, busy = np.full((480, 640, 3), 90, np.uint8), grid(16)
    both = working_size.choose([flat, busy])
    assert working_size.choose([flat]) < both < working_size.choose([busy])


def test_target_of_a_weights_file_changes_the_size():
    assert working_size.choose([data.coffee()], 0.3) < working_size.choose([data.coffee()]) == 512
    assert working_size.choose([data.coffee()], 0.02) == 1024


@pytest.mark.parametrize(
    "size, wanted", [(0, (300, 451)), (451, (300, 451)), (600, (300, 451)), (226, (150, 226)), (1, (1, 1))]
)
def test_photo_is_reduced_and_never_enlarged(size, wanted):
    assert working_size.reduce(data.chelsea(), size).shape == (*wanted, 3)


def test_cartoon_is_drawn_at_the_working_size_and_as_large_as_its_photo(tiny_file, monkeypatch):
    predictor = ppcartoon.CartoonPredictor(weights_file=tiny_file, working_size=40)
    image = photo(90, 120)
    small = predictor.replace(working_size=0)(working_size.reduce(image, 40))
    assert (predictor(image) == upscale.enlarge(small, 90, 120)).all()
    assert small.shape == (30, 40, 3) and predictor.sizes_used == {40}


def test_replaced_predictor_shares_the_engine_and_mixes_photo_and_cartoon(predictor):
    image = photo(24, 32)
    other = predictor.replace(strength=0)
    assert other.engine is predictor.engine
    assert (other(image) == image).all() and (predictor(image) != image).any()


@pytest.mark.parametrize(
    "options, message",
    [({"working_size": 8}, "working_size 8: use at least 16"), ({"strength": 2}, r"strength 2: outside \[0, 1\]")],
)
def test_values_out_of_range_are_refused(predictor, options, message):
    with pytest.raises(InputError, match=message):
        predictor.replace(**options)
