"""Warnings of the check of training data, and its command."""

import contextlib
import io
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from ppcartoon.cli.prepare import main
from ppcartoon.data.check import check, layout
from ppcartoon.data.datasets import UnpairedCartoonDataset
from ppcartoon.data.edge_smoothing import smooth_folder
from ppcartoon.data.samples import draw_cartoon, draw_photo
from ppcartoon.errors import InputError
from tests.helpers.photo_files import dng, heic


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
    assert "Training would start, with few images." in out.getvalue()


def test_a_pipe_is_no_image(root):
    pipe = root / "cartoons/pipe.png"
    os.mkfifo(pipe)
    assert smooth_folder(root / "cartoons").failed == {pipe: f"{pipe}: a folder or special file, not an image"}


def test_a_folder_without_a_data_set_is_one_line(root, capsys):
    assert main(["check", str(root / "no")]) == 2
    assert capsys.readouterr().err == f"ppcartoon prepare: {root / 'no'}: no such folder\n"
    with pytest.raises(InputError, match="neither photos and cartoons"):
        layout(root / "photos")


def test_check_says_what_is_left_out_what_is_enlarged_and_what_is_few(root, capsys):
    for name in (
        "photos/2023/a.png",
        "photos/a.json",
        "photos/@eaDir/a.png",
        "photos/2024/b.png",
        "photos/.hidden/c.png",
        "cartoons/more/d.png",
    ):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes((root / "photos/0.png").read_bytes())
    for name in ("a.txt", "b.JXL", "c.jxl", ".d.txt"):
        (root / "photos" / name).touch()
    Image.fromarray(draw_photo(9, 300)).save(root / "photos/large.png")
    found = check(layout(root))
    photos, cartoons = root / "photos", root / "cartoons"
    assert found.notes == [
        f"{photos}: 2 images in subfolders are left out; -r checks them, dataset.train.recursive takes them",
        f"{photos}: 3 files of other kinds are left out: .jxl (2), .txt (1)",
        f"{photos}: 4 images have a side under 256 pixels; training enlarges them",
        f"{cartoons}: 1 images in subfolders are left out",
        f"{cartoons}: 4 images have a side under 256 pixels; training enlarges them",
    ]
    few = [line.split(";")[0] for line in found.few]
    assert few == [f"{photos}: 5 photos are few", f"{cartoons}: 4 cartoons are few"]
    assert found.failures == found.warnings == []
    assert main(["check", str(root), "-o", str(root / "check.png")]) == 0
    out = capsys.readouterr().out
    assert all(f"ppcartoon prepare: {line}\n" in out for line in found.notes + found.few)


def test_a_hundred_photos_and_cartoons_of_the_crop_s_size_are_not_few(root):
    for folder in (root / "photos", root / "cartoons"):
        for i in range(4, 100):
            os.link(folder / "0.png", folder / f"{i}.png")
    found = check(layout(root), load_size=64)
    assert found.few == found.notes == found.failures == []


def test_photos_in_subfolders_are_checked_and_trained_on_if_wanted(root, capsys):
    options = {"photos": "photos", "cartoons": "cartoons", "size": 64, "cache_dir": str(root / "cache")}
    (root / "photos/below/deep").mkdir(parents=True)
    os.replace(root / "photos/3.png", root / "photos/below/deep/0.png")
    assert len(UnpairedCartoonDataset(str(root), **options)) == 3
    assert len(UnpairedCartoonDataset(str(root), **options, recursive=True)) == 4
    assert main(["check", str(root), "-o", str(root / "check.png")]) == 1  # 3 are fewer than a step's
    assert main(["check", "-r", str(root), "-o", str(root / "check.png")]) == 0
    assert f"| {root / 'photos'} | 4 |" in capsys.readouterr().out
    (junk := root / "photos/below/junk.png").touch()
    assert check(layout(root), recursive=True).failures == [f"{junk}: not an image that can be read here"]


def test_heic_and_raw_photos_are_trained_on(root):
    (root / "photos/4.HEIC").write_bytes(heic(draw_photo(4, 64)))
    (root / "photos/5.DNG").write_bytes(dng())
    found = check(layout(root))
    assert len(found.stats[root / "photos"].files) == 6 and found.failures == []
    options = {"photos": "photos", "cartoons": "cartoons", "size": 48, "cache_dir": str(root / "cache")}
    assert len(UnpairedCartoonDataset(str(root), **options)) == 6


@pytest.fixture
def animegan(root, monkeypatch):
    """The layout of AnimeGAN's data set, with two styles and test photos of two sizes."""
    (root / "photos").rename(root / "train_photo")
    for name in ("Hayao/style", "test/test_photo", "test/test_photo256"):
        shutil.copytree(root / "cartoons", root / name)
    (root / "Shinkai").mkdir()
    (root / "cartoons").rename(root / "Shinkai/style")
    monkeypatch.chdir(root)


@pytest.mark.parametrize(
    "folder, styles", [(".", ["Hayao", "Shinkai"]), ("Shinkai", ["Shinkai"]), ("./Hayao/", ["Hayao"])]
)
def test_all_styles_or_one_of_animegan_s_data_set_are_checked(animegan, capsys, folder, styles):
    assert main(["check", folder]) == 0
    rows = [line.split(" | ")[0][2:] for line in capsys.readouterr().out.splitlines() if line.startswith("| ")][1:]
    assert rows == ["train_photo", "test/test_photo", "test/test_photo256", *(f"{style}/style" for style in styles)]


def test_the_style_s_own_folder_can_be_checked_from_within(animegan, monkeypatch):
    monkeypatch.chdir("Shinkai")
    found = check(layout(Path()))
    assert [path.resolve() for path in found.stats][-1] == Path("style").resolve() and found.failures == []


def test_check_tells_which_test_photos_are_the_paper_s(animegan):
    said = "test/test_photo256: the paper's test images, from which its FIDs come; not test_photo"
    assert said in check(layout(Path())).notes
