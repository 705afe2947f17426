"""The predictor in the manner of ppgan.apps."""

import av
import numpy as np
import pytest
from PIL import Image

from ppcartoon import CartoonPredictor, InputError, weights
from ppcartoon.apps import CartoonLossGANPredictor
from ppcartoon.data.samples import draw_photo
from tests.helpers.videos import scenes, write


@pytest.fixture
def app_predictor(tmp_path, tiny_weights):
    weights.save_pdparams(tmp_path / "tiny.pdparams", tiny_weights)
    return CartoonLossGANPredictor(output_path=tmp_path / "out", weight_path=str(tmp_path / "tiny.pdparams"))


@pytest.mark.parametrize("kind", ["path", "array", "image"])
def test_image_gives_its_cartoon_and_the_path_of_a_png(tmp_path, tiny_file, app_predictor, kind):
    photo = draw_photo(0, 64)
    Image.fromarray(photo).save(tmp_path / "a.photo.png")
    source = {"path": str(tmp_path / "a.photo.png"), "array": photo, "image": Image.fromarray(photo)}[kind]
    cartoon, path = app_predictor.run(source)
    assert path == str(tmp_path / "out" / ("a.photo.png" if kind == "path" else "result.png"))
    assert isinstance(cartoon, Image.Image)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), np.asarray(cartoon))
    wanted = CartoonPredictor(weights_file=tmp_path / "tiny.pdparams")(photo)
    np.testing.assert_array_equal(np.asarray(cartoon), wanted)


def test_video_gives_the_path_of_an_mp4(tmp_path, app_predictor):
    write(tmp_path / "clip.mkv", scenes(0, seconds=0.2))
    frames, path = app_predictor.run(str(tmp_path / "clip.mkv"))
    assert frames is None and path == str(tmp_path / "out/clip.mp4")
    with av.open(path) as container:
        assert len(list(container.decode(video=0))) == len(scenes(0, seconds=0.2))


def test_missing_photo_is_named(tmp_path, app_predictor):
    with pytest.raises(InputError, match=r"nothing\.jpg"):
        app_predictor.run(tmp_path / "nothing.jpg")


def test_list_of_photos_is_refused(app_predictor):
    with pytest.raises(InputError, match="one image or video is expected"):
        app_predictor.run([draw_photo(0, 32)])


def test_photo_is_never_replaced_by_its_cartoon(tmp_path, app_predictor):
    photo = tmp_path / "out" / "a.png"
    photo.parent.mkdir()
    Image.fromarray(draw_photo(0, 32)).save(photo)
    before = photo.read_bytes()
    with pytest.raises(InputError, match="would replace the input"):
        app_predictor.run(photo)
    assert photo.read_bytes() == before
