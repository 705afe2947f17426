"""Features of folders: order, cache, unreadable files; VGG19 features; ppgan metrics."""

import os
import shutil

import numpy as np
import paddle
import pytest

from ppcartoon import images
from ppcartoon.errors import InputError
from ppcartoon.evaluation import features, fid
from ppcartoon.evaluation.features import extractor, folder_features
from ppcartoon.models.vgg import VGG19
from tests.helpers import tiny
from tests.helpers.folders import save
from tests.helpers.vgg_file import table, write

# isort: split
from ppgan.metrics import build_metric

SIZES = [(20, 30), (16, 16), (20, 30), (41, 17), (16, 16)]


class Colors:
    """An extractor of mean colors that records its batches."""

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
def photos():
    return [np.random.default_rng(i).integers(0, 256, (*size, 3), np.uint8) for i, size in enumerate(SIZES)]


@pytest.fixture
def folder(tmp_path, photos):
    for i, photo in enumerate(photos):
        save(tmp_path / "photos" / f"{i}.png", photo)
    return tmp_path / "photos"


def test_features_are_in_the_order_of_the_file_names(folder, photos):
    colors = Colors()
    found = folder_features(folder, colors, batch_size=2)
    assert found.dtype == np.float32 and colors.batches == [2, 2, 1]
    np.testing.assert_allclose(found, [photo.mean((0, 1)) for photo in photos], rtol=1e-6)


def test_second_call_reads_features_from_the_cache(folder, home):
    first, again = folder_features(folder, Colors()), Colors()
    assert np.array_equal(folder_features(folder, again), first) and not again.batches
    assert len(list((home / ".cache/ppcartoon/features").iterdir())) == 1


def change_content(folder, home):
    save(folder / "1.png", np.full((16, 16, 3), 7, np.uint8))


def change_time(folder, home):
    os.utime(folder / "1.png", ns=(1, 1))


def add(folder, home):
    shutil.copy(folder / "1.png", folder / "9.png")


def damage(folder, home):
    (kept,) = (home / ".cache/ppcartoon/features").iterdir()
    kept.write_bytes(kept.read_bytes()[:-4])


@pytest.mark.parametrize("change", [change_content, change_time, add, damage])
def test_changed_folder_or_damaged_cache_recomputes_features(folder, home, change):
    folder_features(folder, Colors())
    change(folder, home)
    again = Colors()
    found = folder_features(folder, again)
    assert sum(again.batches) == len(found) == len(list(folder.iterdir()))
    assert np.array_equal(found, folder_features(folder, Colors(), cache=False))


def test_other_weights_do_not_use_the_same_cache_entry(folder):
    folder_features(folder, Colors("a"))
    other = Colors("b")
    folder_features(folder, other)
    assert other.batches == [5]


def test_disabled_cache_is_neither_read_nor_written(folder, home):
    for _ in range(2):
        colors = Colors()
        folder_features(folder, colors, cache=False)
        assert colors.batches == [5] and not home.exists()


def test_unwritable_cache_is_ignored(folder, home):
    home.write_text("a file")
    assert folder_features(folder, Colors()).shape == (5, 3)


def test_unreadable_file_gives_an_error_that_names_it(folder, tmp_path):
    (folder / "3.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=rf"^{folder / '3.png'}: not an image.*repair or remove it$"):
        folder_features(folder, Colors())
    (folder / "3.png").unlink()
    (folder / "2.jpg").symlink_to("nowhere")
    with pytest.raises(InputError, match=rf"^{folder / '2.jpg'}: .*No such file"):
        folder_features(folder, Colors())
    with pytest.raises(InputError, match="no such folder"):
        folder_features(tmp_path / "none", Colors())


def test_vgg_features_are_spatial_means_for_images_of_any_size(photos, tmp_path, monkeypatch):
    path = write(tmp_path / "vgg.npy", table())
    extract = extractor("vgg19:conv3_1", path)
    assert (extract.name, extract.dimensions, extract.is_fid) == ("VGG19 conv3_1", 8, False)
    network = VGG19("conv3_1", str(path))
    with paddle.no_grad():
        found = [network(paddle.to_tensor(images.to_network(photo[None]))) for photo in photos]
    wanted = [one.mean([2, 3]).numpy()[0] / 127.5 for one in found]
    assert tiny.relative(extract(photos), wanted) < 1e-4
    monkeypatch.setattr(features, "MAX_PIXELS", 300)  # larger images are batches of their own
    assert tiny.relative(extract(photos), wanted) < 1e-4


def test_vgg_key_depends_on_weights_and_layer(tmp_path):
    path = write(tmp_path / "vgg.npy", table())
    extract = [extractor("vgg19:conv1_2", path), extractor("vgg19:conv1_1", path), extractor("vgg19:conv1_1", "random")]
    assert len({one.key for one in extract}) == 3
    assert extractor("vgg19:conv1_2", path).key == extract[0].key
    assert extract[2].name == "VGG19 conv1_1 with random weights"


def test_image_too_small_for_vgg_gives_an_error():
    with pytest.raises(InputError, match="an image of 15x40: VGG19 needs 16 pixels per side"):
        extractor("vgg19:conv1_1", "random")([np.zeros((40, 15, 3), np.uint8)])


@pytest.mark.parametrize("name", ["resnet", "vgg19", "vgg19:", "inception:pool3", "vgg19:conv9_1"])
def test_unknown_features_give_an_error(name):
    with pytest.raises(InputError, match="unknown; "):
        extractor(name, "random" if "conv" in name else None)


def test_ppgan_builds_metrics_that_compute_distances_over_all_batches(photos):
    same = [p for p in photos if p.shape == (20, 30, 3)]
    preds, gts = np.stack(same), np.stack([same[0], same[0] // 2, 255 - same[1], same[1] // 3])
    extract = extractor("vgg19:conv1_1", "random")
    for name in ("CartoonFID", "CartoonKID"):
        metric = build_metric({"name": name, "features": "vgg19:conv1_1", "weights_file": "random"})
        assert metric.name() == name
        metric.update(*(paddle.to_tensor(images.to_network(x)) for x in (gts, preds)))
        metric.reset()
        for i in range(2):  # the same predictions twice, the references in halves
            metric.update(images.to_network(preds), paddle.to_tensor(images.to_network(gts[2 * i : 2 * i + 2])))
        one, other = extract([*same, *same]), extract(list(gts))
        wanted = (
            fid.frechet_distance(fid.statistics(one), fid.statistics(other))
            if name == "CartoonFID"
            else fid.kid(one, other).value
        )
        assert metric.accumulate() == pytest.approx(wanted, rel=1e-4)
