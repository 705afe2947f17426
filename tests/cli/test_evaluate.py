"""`ppcartoon evaluate`: the `fid` command with random VGG19 weights, its errors, and the help."""

import re
import subprocess
import sys

import numpy as np
import pytest

from ppcartoon.baselines.gatys import GatysOptions
from ppcartoon.cli.evaluate import main, parser
from ppcartoon.evaluation import compare, features, fid
from tests.helpers import training_runs
from tests.helpers.folders import drawn, save

VGG = ["--features", "vgg19:conv1_1", "--weights-file", "random"]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(features.Path, "home", lambda: tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def root(tmp_path):
    return drawn(tmp_path / "data", photos=4, cartoons=5)


@pytest.fixture
def evaluate(capsys):
    def run(*arguments):
        code = main([*map(str, arguments)])
        return code, *capsys.readouterr()

    return run


def test_vgg_distances_of_two_folders_are_not_called_fid(root, evaluate):
    code, out, err = evaluate("fid", root / "photos", root / "cartoons", *VGG)
    extract = features.extractor("vgg19:conv1_1", "random")
    x, y = (features.folder_features(root / name, extract, cache=False) for name in ("photos", "cartoons"))
    distance, (value, error) = fid.frechet_distance(fid.statistics(x), fid.statistics(y)), fid.kid(x, y)
    name = "VGG19 conv1_1 with random weights features"
    assert (code, err) == (0, "")
    first, second, remark = out.splitlines()
    assert first == f"Fréchet distance of {name}, not FID: {distance:.6g}"
    assert second == f"kernel distance of {name}, not KID: {value:.6g}, standard error {error:.2g}"
    assert remark.startswith("4 and 5 images are few")


def test_distance_of_a_folder_to_itself_is_zero(root, evaluate):
    _, out, _ = evaluate("fid", root / "photos", root / "photos", *VGG)
    assert float(re.search(r"not FID: (\S+)", out)[1]) == pytest.approx(0, abs=1e-6)


def test_saved_statistics_give_the_same_distance_as_their_folder(root, tmp_path, evaluate):
    expected = evaluate("fid", root / "photos", root / "cartoons", *VGG)[1].splitlines()[0]
    code, out, _ = evaluate("fid", root / "photos", *VGG, "--save", tmp_path / "p.npz")
    assert (code, out) == (0, f"statistics of {root / 'photos'}: {tmp_path / 'p.npz'}\n")
    code, out, _ = evaluate("fid", tmp_path / "p.npz", root / "cartoons", *VGG, "--batch-size", "2", "--no-cache")
    assert code == 0 and out.splitlines()[0] == expected and "not KID: needs two folders of images" in out


def test_two_files_of_statistics_need_no_network(root, tmp_path, evaluate, home):
    for name, scale in (("a", 1), ("b", 2)):
        samples = np.random.default_rng(0).standard_normal((9, 2048)) * scale
        fid.save_statistics(tmp_path / f"{name}.npz", fid.statistics(samples))
    code, out, _ = evaluate("fid", tmp_path / "a.npz", tmp_path / "b.npz")
    assert code == 0 and re.match(r"FID: \d", out)
    assert not home.exists()


class FakeInception:
    """An extractor that claims to be Inception."""

    name, dimensions, is_fid, key = "fake", 2048, True, "fake"

    def __call__(self, batch):
        return np.float32([np.resize(image, 2048) for image in batch])


def test_inception_distances_are_called_fid_and_kid(root, evaluate, monkeypatch):
    monkeypatch.setattr(compare, "extractor", lambda name, path: FakeInception())
    code, out, _ = evaluate("fid", root / "photos", root / "cartoons")
    x, y = (features.folder_features(root / name, FakeInception()) for name in ("photos", "cartoons"))
    value, error = fid.kid(x, y)
    assert (code, out.splitlines()[:2]) == (
        0,
        [
            f"FID: {fid.frechet_distance(fid.statistics(x), fid.statistics(y)):.6g}",
            f"KID: {value:.6g}, standard error {error:.2g}",
        ],
    )


@pytest.mark.parametrize(
    "arguments, reason",
    [
        (["{root}/photos"], "B is missing"),
        (["{root}/photos", "{root}/none", *VGG], "{root}/none: no such folder; beside it are cartoons, one, photos"),
        (["{root}/photos", "{root}", *VGG], "{root}: no image in it"),
        (["{root}/none.npz", "{root}/photos", *VGG], "{root}/none.npz: No such file"),
        (["{root}/small.npz", "{root}/photos", *VGG], "features of 3 and of 64 dimensions cannot be compared"),
        (["{root}/photos", "{root}/one", *VGG], "a covariance needs at least 2 images, there is 1"),
        (["{root}/photos", "{root}/cartoons", "--features", "alexnet"], "features 'alexnet': unknown"),
        (["{root}/photos", "{root}/cartoons", "--weights-file", "{root}/no.pth"], "{root}/no.pth: No such file"),
        (["{root}/photos", *VGG, "--save", "{root}/photos/0.png/a.npz"], "a file is there, where a folder is needed"),
    ],
)
def test_invalid_fid_command_gives_one_line_and_exit_code_2(root, evaluate, arguments, reason):
    save(root / "one" / "0.png", np.zeros((20, 20, 3), np.uint8))
    fid.save_statistics(root / "small.npz", fid.Statistics(np.zeros(3), np.eye(3)))
    code, out, err = evaluate("fid", *(argument.format(root=root) for argument in arguments))
    assert (code, out) == (2, "")
    assert err.startswith("ppcartoon evaluate: ") and err.count("\n") == 1 and reason.format(root=root) in err


def test_pictures_prints_a_table_and_writes_it_with_unrounded_numbers(root, tmp_path, evaluate, tiny_file):
    methods = ["--methods", f"tiny={tiny_file}", f"same={root / 'photos'}"]
    options = ["--cartoons", root / "cartoons", "--weights-file", "random", "-o", tmp_path / "out"]
    code, out, err = evaluate("pictures", root / "photos", *methods, *options)
    assert (code, err) == (0, "")
    header, _, photos, tiny, same = (line.strip("| ").split(" | ") for line in out.splitlines()[:5])
    assert header[0] == "VGG19 conv3_4 with random weights Fréchet distance to the style" and len(header) == 7
    assert photos[0] == "the photos" and tiny[0] == "tiny" and photos[1:] == same[1:] != tiny[1:]
    assert f"4 photos of {root / 'photos'}, longer side at most 256 pixels. The style: 5 images" in out
    assert (tmp_path / "out/pictures.md").read_text() == out
    rows = (tmp_path / "out/pictures.csv").read_text().splitlines()
    assert len(rows) == 4 and float(rows[2].split(",")[3]) == pytest.approx(float(tiny[3]), abs=0.05)


@pytest.mark.parametrize(
    "arguments, reason",
    [
        (["{root}/none", "--methods", "a={root}/photos"], "{root}/none: no such folder"),
        (["{root}/photos", "--methods", "{root}/photos"], "give a method as NAME=PATH"),
        (["{root}/photos", "--methods", "a={root}/cartoons/0.png"], "{root}/cartoons/0.png: "),
        (["{root}/photos", "--methods", "a={root}/one"], "{root}/one: a lacks 3 of 4 outputs, the first for 1.png"),
        (["{root}/photos", "--methods", "a={root}/photos", "--weights-file", "random"], "give --cartoons as well"),
        (
            ["{root}/photos", "--methods", "a={root}/photos", "--cartoons", "{root}/no", "--weights-file", "random"],
            "{root}/no: no such folder",
        ),
    ],
)
def test_invalid_pictures_command_gives_one_line_and_exit_code_2(root, tmp_path, evaluate, arguments, reason):
    save(root / "one" / "0.png", np.zeros((20, 20, 3), np.uint8))
    code, out, err = evaluate("pictures", *(a.format(root=root) for a in arguments), "-o", tmp_path / "out")
    assert (code, out) == (2, "")
    assert err.startswith("ppcartoon evaluate: ") and err.count("\n") == 1 and reason.format(root=root) in err


def test_tool_runs_from_another_folder():
    tool = [sys.executable, str(training_runs.ROOT / "tools/evaluate.py"), "fid", "--help"]
    done = subprocess.run(tool, capture_output=True, text=True, cwd="/")
    assert done.returncode == 0 and "--features" in done.stdout


def test_parser_imports_no_heavy_module():
    code = "import sys; from ppcartoon.cli import evaluate; evaluate.parser(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=training_runs.ROOT)
    assert done.returncode == 0, done.stderr
    imported = set(done.stdout.split())
    assert "argparse" in imported
    assert imported.isdisjoint({"cv2", "numpy", "onnx", "paddle", "PIL", "pydantic", "scipy", "yaml"})


def test_defaults_of_the_parser_are_those_of_the_library():
    args = parser().parse_args(["fid", "a", "b"])
    assert compare.FeatureOptions(args.features, args.weights_file, args.batch_size) == compare.FeatureOptions()
    args = parser().parse_args(["gatys", "photo.jpg", "style.jpg", "-o", "out"])
    assert not set(vars(args)) & set(GatysOptions._fields)


@pytest.mark.parametrize("name, value", GatysOptions._field_defaults.items())
def test_gatys_help_shows_the_defaults_of_the_library(capsys, name, value):
    with pytest.raises(SystemExit):
        parser().parse_args(["gatys", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    shown = " ".join(value) if isinstance(value, tuple) else f"{value:.0f}" if isinstance(value, float) else value
    options = text.partition(" optimization: ")[2]
    description = options.partition(f"--{name.replace('_', '-')} ")[2]
    assert re.match(rf".*?\(default: {re.escape(str(shown))}[,;)]", description)
