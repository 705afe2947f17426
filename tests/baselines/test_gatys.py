"""Style transfer of Gatys et al.: loss, optimization and command line."""

import signal
from itertools import pairwise

import numpy as np
import paddle
import pytest

from ppcartoon import images
from ppcartoon.baselines import gatys
from ppcartoon.cli import evaluate
from ppcartoon.data.samples import draw_cartoon
from ppcartoon.errors import InputError
from ppcartoon.models import vgg
from ppcartoon.utils import machine
from tests.helpers.samples import photo
from tests.helpers.vgg_file import table, write

SHALLOW = gatys.GatysOptions("conv2_1", ("conv1_1", "conv2_1"), init="noise", iterations=30)
PHOTO, STYLE = photo(24, 32), draw_cartoon(1, 32)


@pytest.fixture(scope="module")
def network():
    return gatys.open_vgg(SHALLOW, vgg.RANDOM)


def tensor(image):
    return paddle.to_tensor(images.to_network(image[None]))


def features(network, image, layer):
    return network.after_relu(tensor(image), {layer})[layer].numpy()[0]


def gram(f):
    f = f.reshape(len(f), -1).astype(np.float64)
    return f @ f.T / f.size


def test_loss_equals_the_equations(network):
    options = SHALLOW._replace(content_weight=2.0, style_weight=3.0, tv_weight=0.5)
    image = draw_cartoon(2, 32)[:24]
    content = np.mean((features(network, image, "conv2_1") - features(network, PHOTO, "conv2_1")) ** 2)
    style = [
        np.sum((gram(features(network, image, layer)) - gram(features(network, STYLE, layer))) ** 2)
        for layer in ("conv1_1", "conv2_1")
    ]
    levels = np.float64(image)
    variation = sum(np.abs(np.diff(levels, axis=axis)).sum() for axis in (0, 1))
    objective = gatys.Objective(tensor(PHOTO), tensor(STYLE), network, options)
    wanted = 2 * content + 3 * np.mean(style) + 0.5 * variation
    assert float(objective(tensor(image))) == pytest.approx(wanted, rel=1e-4)


def test_gradient_matches_finite_differences_of_the_loss(network):
    objective = gatys.Objective(tensor(PHOTO), tensor(STYLE), network, SHALLOW)
    levels = np.random.default_rng(0).uniform(0, 255, PHOTO.size)
    _, gradient = objective.with_gradient(levels, 1, 3, *PHOTO.shape[:2])
    length = np.linalg.norm(gradient)
    above, below = (objective.with_gradient(levels + h * gradient / length, 1, 3, 24, 32)[0] for h in (1, -1))
    assert (above - below) / 2 == pytest.approx(length, rel=0.02)


@pytest.mark.parametrize("init, factor", [("noise", 10), ("content", 1.5), ("style", 1.5)])
def test_optimization_decreases_the_loss_monotonically(network, init, factor):
    losses = []
    options = SHALLOW._replace(init=init)
    gatys.stylize(PHOTO, STYLE, network, options, lambda loss: bool(losses.append(loss)))
    assert 1 < len(losses) <= options.iterations
    assert all(after <= before * (1 + 1e-6) for before, after in pairwise(losses))
    assert losses[-1] < losses[0] / factor


def test_result_depends_on_the_seed(network):
    one, same, other = (
        gatys.stylize(PHOTO, STYLE, network, SHALLOW._replace(seed=seed, iterations=5)) for seed in (1, 1, 2)
    )
    assert np.array_equal(one, same) and not np.array_equal(one, other)
    assert one.shape == PHOTO.shape and one.dtype == np.uint8


def test_content_loss_alone_reproduces_the_photo_s_features(network):
    options = SHALLOW._replace(style_weight=0.0, tv_weight=0.0, iterations=60)
    made = features(network, gatys.stylize(PHOTO, STYLE, network, options), "conv2_1")
    wanted = features(network, PHOTO, "conv2_1")
    assert np.linalg.norm(made - wanted) < 0.1 * np.linalg.norm(wanted)


def test_style_loss_alone_reproduces_the_style_s_gram_matrices(network):
    options = SHALLOW._replace(content_weight=0.0, tv_weight=0.0, iterations=60)
    made = gram(features(network, gatys.stylize(PHOTO, STYLE, network, options), "conv1_1"))
    wanted, photos = (gram(features(network, image, "conv1_1")) for image in (STYLE, PHOTO))
    assert np.linalg.norm(made - wanted) < 0.1 * np.linalg.norm(photos - wanted)


def test_stop_callback_returns_the_current_image(network):
    losses = []
    stopped = gatys.stylize(PHOTO, STYLE, network, SHALLOW, lambda loss: losses.append(loss) or len(losses) == 4)
    assert len(losses) == 4
    assert np.array_equal(stopped, gatys.stylize(PHOTO, STYLE, network, SHALLOW._replace(iterations=4)))


def test_layers_missing_from_the_vgg_file_are_named(tmp_path):
    file = str(write(tmp_path / "small.npy", table()))
    assert gatys.open_vgg(SHALLOW, file).names == ["conv1_1", "conv1_2", "conv2_1"]
    with pytest.raises(InputError, match=r"small\.npy: has no conv3_2.*--content-layer and --style-layers"):
        gatys.open_vgg(gatys.GatysOptions(), file)
    with pytest.raises(InputError, match="--content-layer, --style-layers: conv1_7 is no layer of VGG19"):
        gatys.open_vgg(SHALLOW._replace(content_layer="conv1_7"), file)


def test_images_that_are_too_small_or_too_large_are_refused(network, monkeypatch):
    with pytest.raises(InputError, match="the photo has 32x1 pixels; conv2_1 needs at least 2 a side"):
        gatys.stylize(PHOTO[:1], STYLE, network, SHALLOW)
    with pytest.raises(InputError, match="the style image has 32x1 pixels"):
        gatys.stylize(PHOTO, STYLE[:1], network, SHALLOW)
    monkeypatch.setattr(machine, "memory", lambda: 1_000_000)
    with pytest.raises(InputError, match="of memory: use a smaller --max-size"):
        gatys.stylize(PHOTO, STYLE, network, SHALLOW)


@pytest.fixture
def files(tmp_path):
    """A folder with two photos, one of them transparent, and an invalid file; a style image beside it."""
    images.write(tmp_path / "photos/a.png", images.Picture(PHOTO, np.full(PHOTO.shape[:2], 200, np.uint8)))
    images.write(tmp_path / "photos/b.png", images.Picture(photo(40, 60)))
    (tmp_path / "photos/c.png").write_bytes(b"nothing")
    images.write(tmp_path / "style.png", images.Picture(STYLE))
    return tmp_path


def command(files, *options):
    where = ["gatys", str(files / "photos"), str(files / "style.png"), "-o", str(files / "out"), "--vgg", "random"]
    layers = ["--content-layer", "conv2_1", "--style-layers", "conv1_1", "conv2_1"]
    return evaluate.main([*where, *layers, "--iterations", "2", "--max-size", "30", *options])


def test_command_stylizes_a_folder_and_skips_existing_outputs(files, capsys):
    assert command(files) == 1
    said = capsys.readouterr()
    assert "c.png: not an image" in said.err and "2 cartoons in" in said.out and "1 failed" in said.out
    assert sorted(path.name for path in (files / "out").iterdir()) == ["a.png", "b.png"]
    first, second = (images.read(files / "out" / name) for name in ("a.png", "b.png"))
    assert first.rgb.shape == (22, 30, 3) and second.rgb.shape == (20, 30, 3)
    assert set(np.unique(first.alpha)) == {200} and not np.array_equal(first.rgb, PHOTO[:22, :30])
    before = (files / "out/a.png").stat().st_mtime_ns
    (files / "out/b.png").unlink()
    assert command(files, "--skip-existing") == 1
    assert (files / "out/a.png").stat().st_mtime_ns == before and (files / "out/b.png").exists()


def test_ctrl_c_writes_the_unfinished_image(files, capsys, monkeypatch):
    calls, value = [], gatys.Objective.__call__

    def interrupted(self, image):
        calls.append(1)
        if len(calls) == 5:
            signal.raise_signal(signal.SIGINT)
        return value(self, image)

    monkeypatch.setattr(gatys.Objective, "__call__", interrupted)
    assert command(files, "--iterations", "1000") == 130
    said = capsys.readouterr().err
    assert "stopping after this iteration" in said and "a.png is unfinished" in said and "Traceback" not in said
    assert [path.name for path in (files / "out").iterdir()] == ["a.png"] and len(calls) < 20


@pytest.mark.parametrize(
    "options, message",
    [
        (["--style-layers", "conv6_1"], "conv6_1"),
        (["--vgg", "nowhere.npy"], "nowhere.npy: No such file or directory"),
    ],
)
def test_invalid_options_give_one_line(files, capsys, options, message):
    assert command(files, *options) == 2
    error = capsys.readouterr().err
    assert error.startswith("ppcartoon evaluate: ") and error.count("\n") == 1 and message in error
    assert not (files / "out").exists()


def test_invalid_style_image_is_named(files, capsys):
    (files / "style.png").write_bytes(b"nothing")
    assert command(files) == 2
    assert "style.png: not an image" in capsys.readouterr().err
