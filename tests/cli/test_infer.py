"""`ppcartoon infer` with photos: outputs, messages and exit codes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ppcartoon import CartoonPredictor
from ppcartoon.cli import infer
from ppcartoon.inference import batch
from tests.helpers.samples import FIXTURES, photo

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder with three photos of two sizes in `photos`."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for i, size in enumerate([(24, 32), (24, 32), (17, 9)]):
        Image.fromarray(photo(*size, i)).save(f"photos/{i}.png")
    return tmp_path


@pytest.fixture
def run(here, tiny_file, capsys):
    """Runs the command with the tiny network; returns exit code, standard output and standard error."""

    def run(*arguments, weights=("--weights", str(tiny_file))):
        try:
            code = infer.main([*arguments, *weights])
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()

    return run


def outputs(folder="output"):
    return sorted(str(p.relative_to(folder)) for p in Path(folder).rglob("*") if p.is_file())


def test_folder_of_photos_is_cartoonized(run, predictor):
    code, out, err = run("-i", "photos")
    assert code == 0 and err == ""
    assert out.startswith("3 cartoons in output; ") and predictor.engine.description in out
    assert out.endswith(", working size 17 to 32 (--working-size: smaller is bolder, larger is finer)\n")
    assert outputs() == ["0.png", "1.png", "2.png"]
    for name in outputs():
        assert (np.asarray(Image.open(f"output/{name}")) == predictor(f"photos/{name}")).all()


@pytest.mark.parametrize("batch_size", ["1", "2", "5"])
def test_batch_size_does_not_change_cartoons(run, predictor, batch_size):
    assert run("-i", "photos", "--batch-size", batch_size)[0] == 0
    for name in outputs():
        np.testing.assert_allclose(np.asarray(Image.open(f"output/{name}")), predictor(f"photos/{name}"), atol=1)


def test_damaged_files_and_other_files_are_reported_and_the_rest_is_cartoonized(run):
    Path("photos/notes.txt").write_text("not an image")
    Path("photos/1.png").write_bytes(Path("photos/1.png").read_bytes()[:60])
    code, out, err = run("-i", "photos", "--batch-size", "2")
    assert code == 1
    assert "2 cartoons in output, 2 failed" in out
    assert sorted(line.split(":")[1] for line in err.splitlines()) == [" photos/1.png", " photos/notes.txt"]
    assert outputs() == ["0.png", "2.png"]


def test_memory_error_fails_the_photo_and_not_the_run(run, monkeypatch):
    from ppcartoon.inference.engines.onnx_engines import OnnxRuntime

    original = OnnxRuntime.__call__

    def fail_on_large(self, images):
        if images.shape[3] == 32:
            raise MemoryError("full\nmore")
        return original(self, images)

    monkeypatch.setattr(OnnxRuntime, "__call__", fail_on_large)
    code, out, err = run("-i", "photos", "--batch-size", "2", "--engine", "onnx", "--tile", "0")
    assert code == 1 and "1 cartoon in output, 2 failed" in out
    assert (
        err.splitlines()[0]
        == "ppcartoon: photos/0.png: MemoryError: full; if memory is short, use a smaller size, tile or batch"
    )
    assert outputs() == ["2.png"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["-i", "nowhere"], "nowhere: no such file or folder"),
        (["-i", "empty"], "empty: no photos or videos in this folder"),
        (["-i", "photos", "-o", "photos"], "would replace an input"),
        (["-i", "photos", "-o", "photos/0.png/x"], "photos/0.png"),
        (["-i", "photos", "-o", "/proc/nowhere"], "/proc/nowhere"),
        (["-i", "photos", "--engine", "onnx", "--device", "gpu"], "device gpu: no GPU that Paddle, ONNX Runtime"),
    ],
)
def test_impossible_requests_give_one_line_and_exit_code_2(run, arguments, message):
    Path("empty").mkdir()
    code, out, err = run(*arguments)
    assert code == 2 and out == ""
    assert message in err and err.count("\n") == 1
    assert outputs("photos") == ["0.png", "1.png", "2.png"]


def test_unknown_style_gives_a_suggestion_and_exit_code_2(run):
    code, _, err = run("-i", "photos", "--style", "peppercarot", weights=())
    assert code == 2 and err.count("\n") == 1 and "did you mean peppercarrot?" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--quality", "101"],
        ["--max-size", "0"],
        ["--strength", "1.1"],
        ["--keep-colors", "-1"],
        ["--batch-size", "x"],
        ["--ext", "bmp"],
        ["--nothing"],
    ],
)
def test_invalid_flags_give_exit_code_2(run, arguments):
    code, _, err = run("-i", "photos", *arguments)
    assert code == 2 and arguments[0] in err


def test_skip_existing_keeps_existing_cartoons(run):
    run("-i", "photos")
    Path("output/1.png").write_bytes(b"mine")
    Path("output/2.png").unlink()
    code, out, _ = run("-i", "photos", "--skip-existing")
    assert code == 0 and out.startswith("1 cartoon in output, 2 skipped")
    assert Path("output/1.png").read_bytes() == b"mine"
    assert outputs() == ["0.png", "1.png", "2.png"]


def test_side_by_side_joins_photo_and_cartoon(run, predictor):
    assert run("-i", "photos/2.png", "--side-by-side", "-o", "pair.png")[0] == 0
    pair = np.asarray(Image.open("pair.png"))
    assert (pair == np.hstack([photo(17, 9, 2), predictor(photo(17, 9, 2))])).all()


def test_max_size_ext_suffix_and_quality_are_applied(run):
    assert run("-i", "photos/0.png", "--max-size", "16", "--ext", "jpg", "--suffix", "_c", "--quality", "10")[0] == 0
    with Image.open("output/0_c.jpg") as image:
        assert image.size == (16, 12) and image.format == "JPEG"
        low = Path("output/0_c.jpg").stat().st_size
    run("-i", "photos/0.png", "--max-size", "16", "--ext", "jpg", "--suffix", "_c")
    assert Path("output/0_c.jpg").stat().st_size > low


def test_working_size_keep_colors_and_strength_are_applied(run, tiny_file):
    code, out, _ = run("-i", "photos/0.png", "--working-size", "20", "--keep-colors", "0.5", "--strength", "0.7")
    assert code == 0 and "working size 20 (" in out
    changed = CartoonPredictor(weights_file=tiny_file, working_size=20, keep_colors=0.5, strength=0.7)
    assert (np.asarray(Image.open("output/0.png")) == changed("photos/0.png")).all()


def test_alpha_is_kept(run):
    alpha = np.uint8(np.linspace(0, 255, 24 * 32).reshape(24, 32))
    Image.fromarray(np.dstack([photo(24, 32), alpha])).save("photos/a.png")
    assert run("-i", "photos/a.png")[0] == 0
    with Image.open("output/a.png") as image:
        assert image.mode == "RGBA" and (np.asarray(image)[..., 3] == alpha).all()


def test_rotated_photo_is_written_upright_without_metadata(run):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photo(24, 32)).save("photos/o.jpg", exif=exif)
    assert run("-i", "photos/o.jpg")[0] == 0
    with Image.open("output/o.jpg") as image:
        assert image.size == (24, 32) and not image.getexif()


def test_inputs_add_up_and_recursive_includes_subfolders(run):
    Path("photos/sub").mkdir()
    Path("photos/0.png").rename("photos/sub/0.png")
    assert run("-i", "photos/1.png", "-i", "photos/2.png")[0] == 0
    assert outputs() == ["1.png", "2.png"]
    assert run("-i", "photos", "-r", "-o", "all")[0] == 0
    assert outputs("all") == ["1.png", "2.png", "sub/0.png"]


def test_engine_is_selected_by_its_flag(run):
    assert "Paddle dygraph on" in run("-i", "photos", "--engine", "paddle-dygraph")[1]


@pytest.mark.parametrize("arguments", ["--list-styles", "-i photos"])
def test_closed_standard_output_gives_no_traceback(here, tiny_file, arguments):
    command = f"{sys.executable} {TOOLS / 'infer.py'} {arguments} -w {tiny_file} | true"
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=environment)
    assert done.stderr == ""


def test_list_styles_prints_each_style_and_its_attribution(run):
    code, out, _ = run("--list-styles", weights=())
    assert code == 0 and out.startswith("peppercarrot: trained on Pepper&Carrot by David Revoy")


def test_without_inputs_sample_photos_are_cartoonized(run):
    code, out, _ = run()
    assert code == 0 and out.startswith("4 cartoons in output; ")
    assert out.endswith("; photos and cartoons together in output/overview.png\n")
    assert outputs() == ["astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "overview.png"]
    with Image.open("output/overview.png") as image:
        assert image.width > 1400 and image.height > 500  # two photos per row, each followed by its cartoon
    with Image.open("output/coffee.png") as image:
        assert image.size == (600, 400)


def test_failure_of_all_sample_photos_gives_no_traceback(run, monkeypatch):
    def fail(self, images):
        raise MemoryError("full")

    monkeypatch.setattr("ppcartoon.inference.engines.onnx_engines.OnnxRuntime.__call__", fail)
    code, out, err = run("--engine", "onnx", "--tile", "0")
    assert code == 1 and out.startswith("0 cartoons in output, 4 failed;") and err.count("\n") == 4


def test_sample_photos_without_scikit_image_give_one_line_on_what_to_install(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage", None)
    code, _, err = run()
    assert code == 2 and "for the sample photos: pip install scikit-image" in err and err.count("\n") == 1


def finished():
    """The finished cartoons; temporary files are hidden."""
    return [path for path in Path("output").iterdir() if not path.name.startswith(".")]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_ended_run_leaves_complete_files_and_can_be_continued(here, tiny_file, number):
    for i in range(40):
        Image.fromarray(photo(300, 300, i)).save(f"photos/{i}.png")
    command = [sys.executable, TOOLS / "infer.py", "-i", "photos", "--weights", tiny_file]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not Path("output").is_dir() or len(finished()) < 3:
        time.sleep(0.01)
        assert process.poll() is None
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}[number]
    assert "Traceback" not in err
    cartoons = finished()
    assert 3 <= len(cartoons) < 40
    for path in cartoons:
        with Image.open(path) as image:
            image.load()
    if number is not signal.SIGKILL:
        assert len(cartoons) == len(os.listdir("output"))
    continued = subprocess.run([*command, "--skip-existing"], capture_output=True, text=True, timeout=120)
    assert continued.returncode == 0 and "skipped, there already" in continued.stdout
    assert len(finished()) == 40


def test_converter_writes_usable_weights_and_refuses_other_files(here):
    metadata = ["--command", "none", "--attribution", "nobody", "--licence", "CC0"]
    source = FIXTURES / "networks.npz"
    command = [sys.executable, TOOLS / "convert_weights.py", source, "tiny.safetensors", *metadata]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.startswith("tiny.safetensors: 0.0")
    assert infer.main(["-i", "photos/0.png", "-w", "tiny.safetensors"]) == 0
    command[2] = __file__
    failed = subprocess.run(command, capture_output=True, text=True)
    assert failed.returncode == 1 and failed.stderr.count("\n") == 1 and "not an .npz" in failed.stderr


def test_replaced_cartoons_are_counted(run):
    assert run("photos/0.png")[0] == 0
    code, out, _ = run("photos")
    assert code == 0 and out.startswith("3 cartoons in output, 1 replaced; ")


def test_cartoon_that_another_program_deletes_during_a_run_is_not_counted_as_replaced(run, monkeypatch):
    run("photos")

    def delete_instead(predictor, jobs, options):
        for job in jobs:
            job.target.unlink()
        return 0

    monkeypatch.setattr(batch, "cartoonize_files", delete_instead)
    code, out, _ = run("photos")
    assert code == 0 and out.startswith("3 cartoons in output; ")


def test_flags_that_change_nothing_are_named(run):
    code, _, err = run("photos/0.png", "--codec", "vp9", "--start", "3", "--quality", "80", "-r", "--ext", "webm")
    assert code == 0
    assert err == "ppcartoon: --start, --codec, --recursive, --quality, --ext: no effect on these inputs\n"
    assert run("photos", "--quality", "80", "--ext", "jpg", "-r")[2] == ""
