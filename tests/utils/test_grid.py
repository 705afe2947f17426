"""Grids of images: every pixel where it belongs, captions beside and below, red boxes, insets."""

import numpy as np
import pytest

from ppcartoon.utils import grid
from tests.helpers.folders import coded
from tests.helpers.samples import photo

SIZE = (64, 48)  # width and height of the cells


def where(picture, image):
    """The corners [y, x] at which the picture shows the image, pixel for pixel."""
    height, width = image.shape[:2]
    corners = picture[: len(picture) - height + 1, : picture.shape[1] - width + 1]
    found = np.argwhere((corners == image[0, 0]).all(-1))
    return [(y, x) for y, x in found.tolist() if (picture[y : y + height, x : x + width] == image).all()]


def red(picture):
    return (picture == grid.RED).all(-1)


def ink(picture):
    """Where there are letters, on white."""
    return picture.max(-1) < 128


@pytest.fixture
def images():
    return [coded(i, 48, 64) for i in range(6)]


def test_cells_keep_their_pixels_and_stand_in_rows_and_columns(images):
    rows = [[grid.cell(image, SIZE) for image in images[:3]], [grid.cell(image, SIZE) for image in images[3:]]]
    picture = grid.grid(rows, ["one", "two", "three"], ["upper", "lower"])
    corners = [where(picture, image) for image in images]
    assert all(len(found) == 1 for found in corners)
    y, x = np.array(corners)[:, 0].reshape(2, 3, 2).transpose(2, 0, 1)
    assert (y == y[:, :1]).all() and (x == x[:1]).all()
    steps = np.diff(x[0])
    assert steps[0] == steps[1] and 0 < steps[0] - 64 <= 4 and 0 < y[1, 0] - y[0, 0] - 48 <= 4
    assert (picture[:, x[0, 1] - 1] == 255).all() and (picture[y[1, 0] - 1, x[0, 0] :] == 255).all()


def test_captions_are_below_their_columns_and_beside_their_rows(images):
    rows = [[grid.cell(image, SIZE) for image in images[:3]]] * 2
    plain = grid.grid(rows)
    picture = grid.grid(rows, ["a", "", "several words that take lines"], ["first", ""])
    (y, x), left = where(picture, images[0])[1], where(picture, images[0])[0][1]
    below, beside = ink(picture[y + 48 :]), ink(picture[:y, :left])
    steps = [slice(at, at + 64) for at in (x, where(picture, images[1])[0][1], where(picture, images[2])[0][1])]
    inked = [below[:, step].any(1).sum() for step in steps]
    assert 0 < inked[0] < inked[2] / 2 and inked[1] == 0, "one line, none, several"
    assert below.sum() == sum(below[:, step].sum() for step in steps), "no letter outside its column"
    assert not below[[0, -1]].any() and not below[:, steps[2]][:, [0, -1]].any(), "no letter is cut"
    assert beside.any() and not ink(picture[y:, :left]).any()
    assert beside.any(1).sum() > beside.any(0).sum(), "written upwards"
    assert not ink(plain[where(plain, images[0])[1][0] + 48 :]).any()


def test_an_incomplete_row_ends_in_white(images):
    cells = [grid.cell(image, SIZE) for image in images[:5]]
    picture = grid.grid([cells[:3], cells[3:]])
    (y, _), (_, x) = where(picture, images[3])[0], where(picture, images[2])[0]
    assert (picture[y:, x:] == 255).all()


@pytest.mark.parametrize("height, width", [(96, 128), (24, 32), (48, 20), (10, 64), (1, 500)])
def test_images_of_other_sizes_are_scaled_and_centred_on_white(height, width):
    cell = np.asarray(grid.cell(np.zeros((height, width, 3), np.uint8), SIZE))
    assert cell.shape == (48, 64, 3)
    shown = ~(cell == 255).all(-1)
    tall, wide = shown.any(1).sum(), shown.any(0).sum()
    assert shown.sum() == tall * wide and (tall == 48 or wide == 64)
    assert abs(tall - height * wide / width) <= 1
    ys, xs = np.nonzero(shown)
    assert abs(ys.min() - (47 - ys.max())) <= 1 and abs(xs.min() - (63 - xs.max())) <= 1


def test_a_box_is_red_along_its_sides_and_nowhere_else():
    image = coded(0, 48, 64)
    cell = np.asarray(grid.cell(image, SIZE, [(0.25, 0.5, 0.75, 1)]))
    expected = np.zeros((48, 64), bool)
    expected[24:48, 16:48] = True
    expected[25:47, 17:47] = False
    assert (red(cell) == expected).all()
    assert (cell[~expected] == image[~expected]).all() and not red(image).any()


def test_boxes_grow_with_the_cell_and_stay_inside_a_scaled_image():
    image = np.zeros((40, 20, 3), np.uint8)  # in the middle of its cell
    cell = np.asarray(grid.cell(image, (400, 400), [(0, 0, 1, 1)]))
    ys, xs = np.nonzero(red(cell))
    assert (ys.min(), ys.max(), xs.min(), xs.max()) == (0, 399, 100, 299)
    assert red(cell)[200, 100:105].all() and not red(cell)[200, 105:295].any()


def test_an_inset_is_in_the_lower_right_corner_and_leaves_the_rest():
    image, inset = photo(48, 64), np.full((30, 30, 3), (0, 200, 0), np.uint8)
    cell = np.asarray(grid.cell(image, SIZE, inset=inset))
    ys, xs = np.nonzero((cell == (0, 200, 0)).all(-1))
    assert ys.max() == 46 and xs.max() == 62 and len(ys) == 18 * 18, "3/8 of the height, and a white line around it"
    assert (cell[:28] == image[:28]).all() and (cell[:, :44] == image[:, :44]).all()


def test_a_blank_cell_says_why():
    cell = np.asarray(grid.blank(SIZE, "not run"))
    assert ink(cell).any() and not ink(cell)[:8].any()
