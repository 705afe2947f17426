"""Features of folders: order, cache, bad files; VGG19's; ppgan's metrics of them."""

import os
import shutil

import numpy as np
import paddle
import pytest

from ppcartoon import images
from ppcartoon.errors import InputError
from ppcartoon.evaluation import features, fid
from ppcartoon.evaluation.features import extractor, of_folder
from ppcartoon.models.vgg import VGG19
from tests.helpers import tiny
from tests.helpers.folders import save
from tests.helpers.vgg_file import table, write

# isort: split
from ppgan.metrics import build_metric

SIZES = [(20, 30), (16, 16), (20, 30), (41, 17), (16, 16)]


class Colors:
    """Mean colors as features, which counts its calls."""

    name, dimensions, is_fid = "mean colors", 3, False

    def __init__(self, key="a"):
        self.key, self.batches = key, []

    def __call__(self, batch):
        self.batches.append(len(batch))
        return np.float32([image.mean((0, 1)) for image in batch])


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(features.Path, "home", lambda: tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def pictures():
    return [np.random.default_rng(i).integers(0, 256, (*size, 3), np.uint8) for i, size in enumerate(SIZES)]


@pytest.fixture
def folder(tmp_path, pictures):
    for i, picture in enumerate(pictures):
        save(tmp_path / "pictures" / f"{i}.png", picture)
    return tmp_path / "pictures"


def test_all_images_are_taken_in_the_order_of_their_names(folder, pictures):
    colors = Colors()
    found = of_folder(folder, colors, batch_size=2)
    assert found.dtype == np.float32 and colors.batches == [2, 2, 1]
    np.testing.assert_allclose(found, [picture.mean((0, 1)) for picture in pictures], rtol=1e-6)


def test_features_are_made_once(folder, home):
    first, again = of_folder(folder, Colors()), Colors()
    assert np.array_equal(of_folder(folder, again), first) and not again.batches
    assert len(list((home / ".cache/ppcartoon/features").iterdir())) == 1


def change_bytes(folder, home):
    save(folder / "1.png", np.full((16, 16, 3), 7, np.uint8))


def change_time(folder, home):
    os.utime(folder / "1.png", ns=(1, 1))


def add(folder, home):
    shutil.copy(folder / "1.png", folder / "9.png")


def damage(folder, home):
    (kept,) = (home / ".cache/ppcartoon/features").iterdir()
    kept.write_bytes(kept.read_bytes()[:-4])


@pytest.mark.parametrize("change", [change_bytes, change_time, add, damage])
def test_features_are_made_again_when_something_changed(folder, home, change):
    of_folder(folder, Colors())
    change(folder, home)
    again = Colors()
    found = of_folder(folder, again)
    assert sum(again.batches) == len(found) == len(list(folder.iterdir()))
    assert np.array_equal(found, of_folder(folder, Colors(), cache=False))


def test_other_weights_have_features_of_their_own(folder):
    of_folder(folder, Colors("a"))
    other = Colors("b")
    of_folder(folder, other)
    assert other.batches == [5]


def test_without_a_cache_nothing_is_read_or_written(folder, home):
    for _ in range(2):
        colors = Colors()
        of_folder(folder, colors, cache=False)
        assert colors.batches == [5] and not home.exists()


def test_a_cache_that_cannot_be_written_does_not_stop_anybody(folder, home):
    home.write_text("a file")
    assert of_folder(folder, Colors()).shape == (5, 3)


def test_files_that_are_no_images_are_named(folder, tmp_path):
    (folder / "3.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=rf"^{folder / '3.png'}: not an image.*mend or remove it$"):
        of_folder(folder, Colors())
    (folder / "3.png").unlink()
    (folder / "2.jpg").symlink_to("nowhere")
    with pytest.raises(InputError, match=rf"^{folder / '2.jpg'}: .*No such file"):
        of_folder(folder, Colors())
    with pytest.raises(InputError, match="no such folder"):
        of_folder(tmp_path / "none", Colors())


def test_vgg_s_are_its_means_whatever_the_sizes(pictures, tmp_path, monkeypatch):
    path = write(tmp_path / "vgg.npy", table())
    made = extractor("vgg19:conv3_1", path)
    assert (made.name, made.dimensions, made.is_fid) == ("VGG19 conv3_1", 8, False)
    network = VGG19("conv3_1", str(path))
    with paddle.no_grad():
        found = [network(paddle.to_tensor(images.to_network(picture[None]))) for picture in pictures]
    wanted = [one.mean([2, 3]).numpy()[0] / 127.5 for one in found]
    assert tiny.relative(made(pictures), wanted) < 1e-4
    monkeypatch.setattr(features, "PIXELS", 300)  # so that larger images go one by one
    assert tiny.relative(made(pictures), wanted) < 1e-4


def test_vgg_s_keys_tell_weights_and_layers_apart(tmp_path):
    path = write(tmp_path / "vgg.npy", table())
    made = [extractor("vgg19:conv1_2", path), extractor("vgg19:conv1_1", path), extractor("vgg19:conv1_1", "random")]
    assert len({one.key for one in made}) == 3
    assert extractor("vgg19:conv1_2", path).key == made[0].key
    assert made[2].name == "VGG19 conv1_1 with random weights"


def test_an_image_too_small_for_vgg_is_refused():
    with pytest.raises(InputError, match="an image of 15x40: VGG19 needs 16 pixels a side"):
        extractor("vgg19:conv1_1", "random")([np.zeros((40, 15, 3), np.uint8)])


@pytest.mark.parametrize("name", ["resnet", "vgg19", "vgg19:", "inception:pool3", "vgg19:conv9_1"])
def test_unknown_features_are_refused(name):
    with pytest.raises(InputError, match="unknown; "):
        extractor(name, "random" if "conv" in name else None)


def test_ppgan_builds_the_metrics_and_they_are_the_distances_of_all_batches(pictures):
    same = [p for p in pictures if p.shape == (20, 30, 3)]
    preds, gts = np.stack(same), np.stack([same[0], same[0] // 2, 255 - same[1], same[1] // 3])
    made = extractor("vgg19:conv1_1", "random")
    for name in ("CartoonFID", "CartoonKID"):
        metric = build_metric({"name": name, "features": "vgg19:conv1_1", "weights_file": "random"})
        assert metric.name() == name
        metric.update(*(paddle.to_tensor(images.to_network(x)) for x in (gts, preds)))
        metric.reset()
        for i in range(2):  # predictions twice over, in halves
            metric.update(images.to_network(preds), paddle.to_tensor(images.to_network(gts[2 * i : 2 * i + 2])))
        one, other = made([*same, *same]), made(list(gts))
        wanted = (
            fid.frechet_distance(fid.statistics(one), fid.statistics(other))
            if name == "CartoonFID"
            else fid.kid(one, other).value
        )
        assert metric.accumulate() == pytest.approx(wanted, rel=1e-4)
