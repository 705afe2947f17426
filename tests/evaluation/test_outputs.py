"""Outputs of methods from folders, weights files and run folders."""

import os
import shutil

import pytest

from ppcartoon import InputError, weights
from ppcartoon.baselines.predictor import open_weights
from ppcartoon.data.image_folder import image_files
from ppcartoon.evaluation import outputs
from ppcartoon.images import read
from ppcartoon.inference.predictor import CartoonPredictor
from tests.helpers import baseline_runs
from tests.helpers.folders import drawn, save
from tests.helpers.methods import numbered_weights, save_run
from tests.helpers.samples import photo


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return image_files(drawn(tmp_path, 3, 3) / "photos")


def test_method_is_split_at_the_first_equals_sign_and_known_names_ignore_case(photos, tmp_path):
    (tmp_path / "a=b").mkdir()
    given = outputs.parse_methods(["cyclegan=photos", "mine=a=b"], ["CycleGAN", "AnimeGAN"])
    assert {name: str(path) for name, path in given.items()} == {"CycleGAN": "photos", "mine": "a=b"}


@pytest.mark.parametrize(
    "texts, message",
    [
        (["photos"], "photos: give a method as NAME=PATH"),
        (["=photos"], "NAME=PATH"),
        (["a="], "NAME=PATH"),
        (["a\n=photos"], "NAME=PATH"),
        (["a=nowhere"], "a=nowhere: no such file or folder"),
        (["AnimeGAN=photos", "animegan=cartoons"], "animegan=cartoons: a method of that name is already given"),
    ],
)
def test_invalid_method_gives_an_error(photos, texts, message):
    with pytest.raises(InputError, match=message):
        outputs.parse_methods(texts, ["AnimeGAN"])


def test_folder_outputs_are_matched_by_name_without_extension(photos, tmp_path):
    for name in ("2.webp", "0.bmp", "1.png", "more.png"):
        save(tmp_path / "made" / name, photo(32, 32))
    found = outputs.outputs("X", tmp_path / "made", photos, tmp_path / "work")
    assert [path.name for path in found] == ["0.bmp", "1.png", "2.webp"] and not (tmp_path / "work").exists()


def test_missing_output_or_wrong_size_gives_an_error_that_names_it(photos, tmp_path):
    for i in range(2):
        save(tmp_path / "made" / f"{i}.png", photo(32, 32 + 4 * i))
    with pytest.raises(InputError, match=r"made: X lacks 1 of 3 outputs, the first for 2\.png"):
        outputs.outputs("X", tmp_path / "made", photos, tmp_path)
    save(tmp_path / "made/2.png", photo(32, 32))
    with pytest.raises(InputError, match=r"made/1\.png: 36x32, but .*photos/1\.png has 32x32"):
        outputs.outputs("X", tmp_path / "made", photos, tmp_path)
    (tmp_path / "made/1.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"made/1\.png: not an image"):
        outputs.outputs("X", tmp_path / "made", photos, tmp_path)


def test_photos_of_the_same_name_give_an_error(photos, tmp_path):
    save(tmp_path / "photos/0.bmp", photo(32, 32))
    with pytest.raises(InputError, match=r"0\.bmp and 0\.png"):
        outputs.outputs("X", tmp_path / "photos", image_files(tmp_path / "photos"), tmp_path)


def test_outputs_of_weights_are_recomputed_only_after_a_change(photos, tmp_path, tiny_weights, tiny_file):
    file, work = shutil.copy(tiny_file, tmp_path / "w.safetensors"), tmp_path / "work"

    def made():
        found = outputs.outputs("Mine, all/mine", file, photos, work)
        assert [path.stem for path in found] == ["0", "1", "2"] and found[0].parent.parent == work
        return found[0].parent, [path.stat().st_mtime_ns for path in found]

    folder, times = made()
    cartoon = CartoonPredictor(weights_file=file, precision="fp32")(photos[1])
    assert (read(folder / "1.png").rgb == cartoon).all()
    assert made() == (folder, times)
    (folder / "1.png").unlink()  # as if interrupted
    again, times_again = made()
    assert again == folder and (times_again[0], times_again[2]) == (times[0], times[2])
    weights.save(file, numbered_weights(tiny_weights, 1))
    other, _ = made()
    assert other != folder and (read(other / "1.png").rgb != cartoon).any()
    os.utime(photos[0], (1, 1))
    assert made()[0] not in (folder, other)


def test_weights_of_a_baseline_give_outputs(photos, tmp_path):
    file = tmp_path / "cyclegan.safetensors"
    baseline_runs.experiment(tmp_path, "cyclegan").export(file)
    made = outputs.outputs("CycleGAN", file, photos[:1], tmp_path / "work")
    assert (read(made[0]).rgb == open_weights(file)(photos[0])).all()


def test_run_folder_gives_its_newest_weights_or_those_of_an_epoch(photos, tmp_path, tiny_weights):
    run = save_run(tmp_path / "run", tiny_weights, init_epochs=1, epochs=3)
    assert outputs.weights_of_epoch("X", run, 0) == run / "weights/epoch_0001.safetensors"
    assert outputs.weights_of_epoch("X", run, 2) == run / "weights/epoch_0003.safetensors"
    with pytest.raises(InputError, match=r"epoch_0004\.safetensors: no such file; X has no weights of epoch 4"):
        outputs.weights_of_epoch("X", run, 3)
    made = outputs.outputs("X", run, photos[:1], tmp_path / "work")
    cartoon = CartoonPredictor(weights_file=run / "weights.safetensors", precision="fp32")(photos[0])
    assert (read(made[0]).rgb == cartoon).all()


def test_epoch_of_a_path_that_is_not_a_run_folder_gives_an_error(photos, tmp_path, tiny_file):
    for path in (tiny_file, tmp_path / "photos"):
        with pytest.raises(InputError, match="give a run folder"):
            outputs.weights_of_epoch("X", path, 0)


def test_unreadable_weights_or_photo_give_an_error_that_names_the_file(photos, tmp_path, tiny_file, capfd):
    (tmp_path / "w.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"w\.safetensors: "):
        outputs.outputs("X", tmp_path / "w.safetensors", photos, tmp_path / "work")
    photos[1].write_bytes(b"nothing")
    with pytest.raises(InputError, match="1 of 3 photos, named above, have no output"):
        outputs.outputs("X", tiny_file, photos, tmp_path / "work")
    assert "photos/1.png: not an image" in capfd.readouterr().err
