"""Grids of images: pixels and positions of cells, captions, red boxes and insets."""

import numpy as np
import pytest

from ppcartoon.utils import grid
from tests.helpers.folders import coded
from tests.helpers.samples import photo

SIZE = (64, 48)  # width and height of the cells


def find(canvas, image):
    """The positions (y, x) at which a canvas shows the image, pixel for pixel."""
    height, width = image.shape[:2]
    corners = canvas[: len(canvas) - height + 1, : canvas.shape[1] - width + 1]
    candidates = np.argwhere((corners == image[0, 0]).all(-1))
    return [(y, x) for y, x in candidates.tolist() if (canvas[y : y + height, x : x + width] == image).all()]


def red(canvas):
    return (canvas == grid.RED).all(-1)


def ink(canvas):
    """A mask of the letters, which are dark on white."""
    return canvas.max(-1) < 128


@pytest.fixture
def images():
    return [coded(i, 48, 64) for i in range(6)]


def test_cells_keep_their_pixels_and_are_aligned_in_rows_and_columns(images):
    rows = [[grid.cell(image, SIZE) for image in images[:3]], [grid.cell(image, SIZE) for image in images[3:]]]
    canvas = grid.grid(rows, ["one", "two", "three"], ["upper", "lower"])
    positions = [find(canvas, image) for image in images]
    assert all(len(found) == 1 for found in positions)
    y, x = np.array(positions)[:, 0].reshape(2, 3, 2).transpose(2, 0, 1)
    assert (y == y[:, :1]).all() and (x == x[:1]).all()
    steps = np.diff(x[0])
    assert steps[0] == steps[1] and 0 < steps[0] - 64 <= 4 and 0 < y[1, 0] - y[0, 0] - 48 <= 4
    assert (canvas[:, x[0, 1] - 1] == 255).all() and (canvas[y[1, 0] - 1, x[0, 0] :] == 255).all()


def test_captions_are_below_their_columns_and_to_the_left_of_their_rows(images):
    rows = [[grid.cell(image, SIZE) for image in images[:3]]] * 2
    plain = grid.grid(rows)
    canvas = grid.grid(rows, ["a", "", "several words that take lines"], ["first", ""])
    (y, x), left = find(canvas, images[0])[1], find(canvas, images[0])[0][1]
    below, beside = ink(canvas[y + 48 :]), ink(canvas[:y, :left])
    columns = [slice(start, start + 64) for start in (x, find(canvas, images[1])[0][1], find(canvas, images[2])[0][1])]
    heights = [below[:, column].any(1).sum() for column in columns]
    assert 0 < heights[0] < heights[2] / 2 and heights[1] == 0, "one line, none, several"
    assert below.sum() == sum(below[:, column].sum() for column in columns), "no letter outside its column"
    assert not below[[0, -1]].any() and not below[:, columns[2]][:, [0, -1]].any(), "no letter is cut off"
    assert beside.any() and not ink(canvas[y:, :left]).any()
    assert beside.any(1).sum() > beside.any(0).sum(), "rotated"
    assert not ink(plain[find(plain, images[0])[1][0] + 48 :]).any()


def test_incomplete_row_ends_in_white(images):
    cells = [grid.cell(image, SIZE) for image in images[:5]]
    canvas = grid.grid([cells[:3], cells[3:]])
    (y, _), (_, x) = find(canvas, images[3])[0], find(canvas, images[2])[0]
    assert (canvas[y:, x:] == 255).all()


@pytest.mark.parametrize("height, width", [(96, 128), (24, 32), (48, 20), (10, 64), (1, 500)])
def test_images_of_other_sizes_are_scaled_and_centered_on_white(height, width):
    cell = np.asarray(grid.cell(np.zeros((height, width, 3), np.uint8), SIZE))
    assert cell.shape == (48, 64, 3)
    shown = ~(cell == 255).all(-1)
    shown_height, shown_width = shown.any(1).sum(), shown.any(0).sum()
    assert shown.sum() == shown_height * shown_width and (shown_height == 48 or shown_width == 64)
    assert abs(shown_height - height * shown_width / width) <= 1
    ys, xs = np.nonzero(shown)
    assert abs(ys.min() - (47 - ys.max())) <= 1 and abs(xs.min() - (63 - xs.max())) <= 1


def test_box_is_red_along_its_sides_and_nowhere_else():
    image = coded(0, 48, 64)
    cell = np.asarray(grid.cell(image, SIZE, [(0.25, 0.5, 0.75, 1)]))
    expected = np.zeros((48, 64), bool)
    expected[24:48, 16:48] = True
    expected[25:47, 17:47] = False
    assert (red(cell) == expected).all()
    assert (cell[~expected] == image[~expected]).all() and not red(image).any()


def test_box_lines_grow_with_the_cell_and_stay_inside_the_scaled_image():
    image = np.zeros((40, 20, 3), np.uint8)  # in the center of its cell
    cell = np.asarray(grid.cell(image, (400, 400), [(0, 0, 1, 1)]))
    ys, xs = np.nonzero(red(cell))
    assert (ys.min(), ys.max(), xs.min(), xs.max()) == (0, 399, 100, 299)
    assert red(cell)[200, 100:105].all() and not red(cell)[200, 105:295].any()


def test_inset_is_in_the_lower_right_corner_and_changes_nothing_else():
    image, inset = photo(48, 64), np.full((30, 30, 3), (0, 200, 0), np.uint8)
    cell = np.asarray(grid.cell(image, SIZE, inset=inset))
    ys, xs = np.nonzero((cell == (0, 200, 0)).all(-1))
    assert ys.max() == 46 and xs.max() == 62 and len(ys) == 18 * 18, "3/8 of the height, and a white line around it"
    assert (cell[:28] == image[:28]).all() and (cell[:, :44] == image[:, :44]).all()


def test_blank_cell_shows_its_text():
    cell = np.asarray(grid.blank(SIZE, "not run"))
    assert ink(cell).any() and not ink(cell)[:8].any()
