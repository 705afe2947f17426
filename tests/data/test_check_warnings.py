"""Warnings of the check of training data, and its command."""

import contextlib
import io
import os

import pytest
from PIL import Image

from ppcartoon.cli.prepare import main
from ppcartoon.data.check import check, layout
from ppcartoon.data.edge_smoothing import smooth_folder
from ppcartoon.data.samples import draw_cartoon, draw_photo
from ppcartoon.errors import InputError


@pytest.fixture
def root(tmp_path):
    for name, draw in (("photos", draw_photo), ("cartoons", draw_cartoon)):
        (tmp_path / name).mkdir()
        for seed in range(4):
            Image.fromarray(draw(seed, 64)).save(tmp_path / name / f"{seed}.png")
    return tmp_path


def test_paired_files_of_other_cartoons_are_named(root):
    smooth_folder(root / "cartoons")
    assert check(layout(root)).warnings == []
    os.replace(root / "smooth/1.png", root / "smooth/2.png")
    Image.fromarray(draw_cartoon(1, 64)).save(root / "smooth/1.png")
    found = check(layout(root))
    assert found.failures == []
    assert found.warnings == [
        f"{root / 'smooth/2.png'}: does not show the same as its cartoon; remove it and make it again"
    ]


def test_training_photos_from_a_test_folder_are_not_compared_with_themselves(root):
    folders = layout(root)
    assert check(folders._replace(test=[folders.photos])).warnings == []
    (root / "photos/4.png").write_bytes(b"no image")
    found = check(folders._replace(test=[folders.photos]))
    assert found.warnings == [] and len(found.failures) == 1


def test_images_with_transparent_parts_are_counted_and_measured_on_white(root):
    Image.new("RGBA", (64, 64)).save(root / "cartoons/4.png")
    Image.new("RGBA", (64, 64), (0, 0, 0, 255)).save(root / "cartoons/5.png")
    found = check(layout(root))
    assert found.warnings == [f"{root / 'cartoons'}: 1 images have transparent parts; training sees white"]
    assert (found.stats[root / "cartoons"].means[-2:] == [[255] * 3, [0] * 3]).all()


def test_check_runs_where_stdout_is_replaced_as_in_notebooks(root, monkeypatch):
    monkeypatch.chdir(root)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main(["check", "."]) == 0
    assert "Training would find all it needs." in out.getvalue()


def test_a_pipe_is_no_image(root):
    pipe = root / "cartoons/pipe.png"
    os.mkfifo(pipe)
    assert smooth_folder(root / "cartoons").failed == {pipe: f"{pipe}: a folder or special file, not an image"}


def test_a_folder_without_a_data_set_is_one_line(root, capsys):
    assert main(["check", str(root / "no")]) == 2
    assert capsys.readouterr().err == f"ppcartoon prepare: {root / 'no'}: no such folder\n"
    with pytest.raises(InputError, match="neither photos and cartoons"):
        layout(root / "photos")
