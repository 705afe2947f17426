"""Figs. 4 to 10: the weights behind the panels, missing methods, boxes, and errors."""

import signal

import numpy as np
import pytest
from PIL import Image

from ppcartoon import InputError, weights
from ppcartoon.cli import evaluate
from ppcartoon.data.samples import draw_cartoon, draw_photo
from ppcartoon.evaluation import figures
from ppcartoon.inference.predictor import CartoonPredictor
from tests.helpers.folders import drawn, save
from tests.helpers.methods import numbered_weights, save_run
from tests.helpers.samples import photo
from tests.utils.test_grid import find, red


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs the command line in a folder with two photos and outputs a to f; returns exit code, stdout and stderr."""
    handler = signal.getsignal(signal.SIGTERM)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    drawn(tmp_path, 2, 1)
    for number, letter in enumerate("abcdef"):
        for i in range(2):
            save(tmp_path / letter / f"{i}.png", draw_cartoon(10 * number + i, 32))

    def run(command):
        try:
            code = evaluate.main(command.split())
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()

    yield run
    signal.signal(signal.SIGTERM, handler)


def load(path="figure.png"):
    return np.asarray(Image.open(path))


def corners(image, *paths):
    """Rows and columns of the upper left corners of images, each of which must be in the figure exactly once."""
    found = [find(image, load(path)) for path in paths]
    assert [len(places) for places in found] == [1] * len(paths)
    return np.array(found)[:, 0].T


def cartoons(tiny_weights, tmp_path, numbers, path="photos/0.png"):
    """Files with the cartoons that the weights of these numbers make of a photo."""
    files = []
    for number in numbers:
        weights.save(tmp_path / "expected.safetensors", numbered_weights(tiny_weights, number))
        predictor = CartoonPredictor(weights_file=tmp_path / "expected.safetensors", precision="fp32")
        files.append(save(tmp_path / "expected" / f"{number}.png", predictor(path)))
    return files


def test_fig_5_shows_styles_in_the_order_of_the_paper_and_others_last(run):
    methods = "own=d Shinkai=a hayao=b PAPRIKA=c"
    code, out, err = run(f"figure 5 --photos photos/0.png photos/1.png --methods {methods} --size 32 -o figure.png")
    assert (code, out, err) == (0, "figure.png\n", "ppcartoon evaluate: figure 5: not given: hosoda\n")
    y, x = corners(load(), *(f"{folder}/{i}.png" for i in range(2) for folder in ("photos", *"bcad")))
    y, x = y.reshape(2, 5), x.reshape(2, 5)
    assert (np.diff(x) > 32).all() and (x[0] == x[1]).all() and (y == y[:, :1]).all() and y[1, 0] > y[0, 0] + 31
    figure = figures.select(5, ["shinkai", "hayao", "paprika", "own"])
    assert figure.columns == ("Miyazaki Hayao style", "Paprika style", "Makoto Shinkai style", "own")


def test_fig_4_shows_the_weights_at_the_end_of_stage_init(run, tmp_path, tiny_weights):
    save_run(tmp_path / "run", tiny_weights, init_epochs=2, epochs=3)
    assert run("figure 4 --photos photos/0.png --methods CartoonLossGAN=run --size 32 -o figure.png")[0] == 0
    y, x = corners(load(), "photos/0.png", *cartoons(tiny_weights, tmp_path, [2]))
    assert y[0] == y[1] and x[0] < x[1]


def test_fig_7_shows_five_epochs_of_stage_cartoon_with_and_without_initialization(run, tmp_path, tiny_weights):
    save_run(tmp_path / "with", tiny_weights, init_epochs=2, epochs=7)
    save_run(tmp_path / "without", tiny_weights, init_epochs=0, epochs=7)
    command = "figure 7 --photos photos/0.png --size 32 -o figure.png --methods without_init=without CartoonLossGAN="
    assert run(command + "with") == (0, "figure.png\n", "")
    files = cartoons(tiny_weights, tmp_path, [1, 2, 3, 4, 5, 6, 7, 9])
    found = [find(load(), load(file)) for file in files]
    assert [len(places) for places in found] == [1, 1, 2, 2, 2, 1, 1, 2]
    upper, lower = found[7][0][0], found[7][1][0]
    x = [place[1] for place in find(load(), load("photos/0.png"))]
    assert x[0] == x[1], "one photo per row"
    for row, numbers in ((upper, (2, 3, 4, 5, 6, 7)), (lower, (0, 1, 2, 3, 4, 7))):
        places = [x for number in numbers for y, x in found[number] if y == row]
        assert len(places) == 6 and places == sorted(places) and places[0] > x[0]
    (tmp_path / "with/weights/epoch_0005.safetensors").unlink()
    code, _, err = run(command + "with")
    assert code == 2 and err.count("\n") == 1 and "with/weights/epoch_0005.safetensors: no such file" in err
    code, _, err = run(command + "a")
    assert code == 2 and "CartoonLossGAN=a: give a run folder" in err


def test_fig_8_has_two_rows_and_marks_missing_methods(run):
    methods = "adv_animegan=a total_animegan=b adv_ours=c without_gray=d CartoonLossGAN=e"
    code, _, err = run(f"figure 8 --photos photos/0.png --size 32 -o figure.png --methods {methods}")
    assert (
        code == 0
        and err == "ppcartoon evaluate: figure 8: not given: adv_style_animegan, adv_color_animegan, without_color\n"
    )
    (ya, xa), (yb, xb), (yc, xc), (yd, xd), (ye, xe) = corners(load(), *(f"{f}/0.png" for f in "abcde")).T
    assert ya == yb < yc == yd == ye and xa == xc < xd < xb == xe
    gap = load()[ya : ya + 32, xd : xd + 32]
    assert (gap[[0, -1]] == gap[0, 0]).all() and gap.min() < 128, "a gray cell with a text"
    assert figures.select(8, ["adv_ours"]).rows.keys() == {"Our losses"}


def test_fig_8_shows_all_photos_in_both_parts(run):
    photos, methods = "photos/0.png photos/1.png", "adv_animegan=a adv_ours=b"
    assert run(f"figure 8 --photos {photos} --size 32 -o figure.png --methods {methods}")[0] == 0
    y, _ = corners(load(), "a/0.png", "a/1.png", "b/0.png", "b/1.png")
    assert list(y) == sorted(set(y)), "AnimeGAN's losses above ours"


def test_fig_9_shows_references_only_in_the_corner_of_gatys_results(run):
    command = "figure 9 --photos photos/0.png photos/1.png --size 32 -o figure.png --methods gatys=a CartoonLossGAN=b"
    assert run(command)[0] == 0
    plain = load()
    y, x = corners(plain, "a/0.png", "a/1.png")
    assert run(f"{command} --references cartoons/0.png")[0] == 0
    changed = (load() != plain).any(-1)
    for top, left in zip(y, x):
        cell = changed[top : top + 32, left : left + 32]
        assert cell[-12:, -12:].any() and not cell[:18].any() and not cell[:, :18].any()
        changed[top : top + 32, left : left + 32] = False
    assert not changed.any()


def test_fig_10_shows_four_outputs_per_row_and_no_photos(run, tmp_path):
    for i in range(6):
        save(tmp_path / "more" / f"{i}.png", draw_photo(i, 32))
        save(tmp_path / "out" / f"{i}.png", draw_cartoon(i, 32))
    photos = " ".join(f"more/{i}.png" for i in range(6))
    assert run(f"figure 10 --photos {photos} --methods CycleGAN=out --size 32 -o figure.png --boxes 3=0,0,9,9")[0] == 0
    image = load()
    assert not any(find(image, load(f"more/{i}.png")) for i in range(6))
    y, x = corners(image, *(f"out/{i}.png" for i in (0, 1, 2, 4, 5)))
    assert (y[:3] == y[0]).all() and (y[3:] > y[0]).all() and x[0] == x[3] and x[1] == x[4]
    ys, xs = np.nonzero(red(image))
    assert ys.min() == y[0] and xs.min() == 2 * x[2] - x[1] and xs.max() - xs.min() == 8


def test_boxes_in_pixels_or_fractions_are_drawn_in_all_columns_of_their_photo(run):
    command = "figure 9 --photos photos/0.png photos/1.png --size 32 -o figure.png --methods CycleGAN=a AnimeGAN=b"
    assert run(command)[0] == 0
    plain = load()
    y, x = corners(plain, *(f"{folder}/{i}.png" for i in range(2) for folder in ("photos", "a", "b")))
    assert not red(plain).any()
    for box, rows in (("1=8,16,24,32", (1,)), ("1=.25,.5,.75,1", (1,)), ("0.25,0.5,0.75,1", (0, 1))):
        assert run(f"{command} --boxes {box}")[0] == 0
        expected = np.zeros(red(plain).shape, bool)
        for row in rows:
            for column in range(3):
                cell = expected[y[3 * row] :, x[column] :]
                cell[16:32, 8:24] = True
                cell[17:31, 9:23] = False
        assert (red(load()) == expected).all()
        assert (load()[~expected] == plain[~expected]).all()


def test_photos_of_other_sizes_fit_into_panels_of_the_first_photo_s_shape(run, tmp_path):
    save(tmp_path / "photos/wide.png", photo(20, 60))
    save(tmp_path / "a/wide.png", photo(20, 60, 3))
    photos = "photos/wide.png photos/0.png"
    assert run(f"figure 10 --photos {photos} --methods CycleGAN=a --size 60 -o figure.png")[0] == 0
    image = load()
    (y, x), gap = find(image, load("a/wide.png"))[0], 2
    assert image.shape == (20 + 2 * gap, 120 + 3 * gap, 3) and (y, x) == (gap, gap)
    shown = (image[gap:-gap, 60 + 2 * gap :] < 255).any((0, 2))
    assert shown.sum() == 20, "not stretched"


@pytest.mark.parametrize(
    "command, message",
    [
        ("figure 3 --photos photos/0.png --methods a=a -o x.png", "argument number: invalid choice: "),
        ("figure 9 --photos photos/0.png --methods CycleGAN=a -o x.jpg", "x.jpg does not end in .png"),
        ("figure 9 --photos photos/0.png --methods CycleGAN=a -o x.png --size 0", "0 is not at least 1"),
        ("figure 9 --photos nowhere.png --methods CycleGAN=a -o x.png", "nowhere.png: cannot be read"),
        ("figure 9 --photos photos --methods CycleGAN=a -o x.png", "photos: a folder"),
        ("figure 9 --photos photos/0.png a/0.png --methods CycleGAN=a -o x.png", "0.png and 0.png"),
        ("figure 9 --photos photos/0.png --methods CycleGAN=x -o x.png", "CycleGAN=x: no such file or folder"),
        ("figure 9 --photos photos/0.png --methods CycleGAN=cartoons -o photos/0.png/x.png", "photos/0.png"),
        ("figure 9 --photos photos/0.png --methods CycleGAN=photos/0.png -o x.png", "photos/0.png: "),
        ("figure 10 --photos photos/0.png --methods AnimeGAN=a -o x.png", "shows CycleGAN, but not AnimeGAN"),
        ("figure 7 --photos photos/0.png --methods own=a -o x.png", "shows CartoonLossGAN, without_init, but not own"),
        (
            "figure 10 --photos photos/0.png --methods CycleGAN=a -o x.png --references cartoons/0.png",
            "results in figure 9",
        ),
        ("figure 9 --photos photos/0.png --methods Gatys=a -o x.png --references a/0.png b/0.png", "one for each"),
        ("figure 9 --photos photos/0.png --methods AnimeGAN=a -o x.png --references a/0.png", "for Gatys' results"),
        ("figure 9 --photos photos/0.png --methods Gatys=a -o x.png --references x.png", "x.png: cannot be read"),
        *[
            (f"figure 9 --photos photos/0.png --methods CycleGAN=a -o x.png --boxes {box}", f"--boxes {box}: {message}")
            for box, message in {
                "1,2,3": "not of the form [PHOTO=]LEFT,TOP,RIGHT,BOTTOM",
                "a,b,c,d": "not of the form [PHOTO=]LEFT,TOP,RIGHT,BOTTOM",
                "7=0,0,1,1": "no photo of that name; the photos are 0",
                "0=9,9,8,20": "not a rectangle inside 0, which has 32x32 pixels",
                "0,0,33,32": "not a rectangle inside 0",
                "0,0,nan,1": "not a rectangle inside 0",
                "0,-0.1,1,1": "not a rectangle inside 0",
            }.items()
        ],
    ],
)
def test_invalid_figure_command_gives_one_line_and_writes_nothing(run, tmp_path, command, message):
    code, out, err = run(command)
    assert code == 2 and out == "" and message in err.splitlines()[-1]
    assert err.count("\n") == 1 or err.startswith("usage: ")
    assert not (tmp_path / "x.png").exists()


def test_figure_without_methods_gives_an_error():
    with pytest.raises(InputError, match=r"figure 10: shows CycleGAN$"):
        figures.select(10, [])
