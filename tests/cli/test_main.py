"""The command `ppcartoon`: its subcommands, inputs by position, pipes, and how it ends."""

import io
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from ppcartoon.cli import common, main
from ppcartoon.errors import DiskFullError, InputError, Interrupted
from tests.helpers import videos
from tests.helpers.samples import photo
from tests.helpers.training_runs import ROOT


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(photo(24, 32)).save("photo.png")
    return tmp_path


def command(*arguments, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "ppcartoon", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, env=environment, **options)


@pytest.mark.parametrize("name", main.COMMANDS)
def test_each_command_has_help_that_ends_with_examples_and_exit_codes(name, capsys):
    with pytest.raises(SystemExit) as end:
        main.main([name, "--help"])
    text = capsys.readouterr().out
    program = "ppcartoon" if name == "infer" else f"ppcartoon {name}"
    examples = text[text.index("\nexamples:\n") :]
    assert end.value.code == 0 and text.startswith(f"usage: {program} ")
    assert examples.count(f"\n  {program}") >= 2 and examples.endswith(f"{common.EXIT_CODES}\n")


def test_help_lists_all_commands_and_keeps_advanced_flags_apart(capsys):
    with pytest.raises(SystemExit):
        main.main(["--help"])
    text = capsys.readouterr().out
    assert all(f"  ppcartoon {name} " in text for name in main.COMMANDS if name != "infer")
    usual, advanced = text.split("\nadvanced:\n")
    assert "  --tile" in advanced and "  --engine" in advanced and "\n  -o" in usual and "\n  --engine" not in usual


@pytest.mark.parametrize(
    "word, said",
    [
        ("trian", "did you mean ppcartoon train?"),
        ("evalute", "did you mean ppcartoon evaluate?"),
        ("xyz", "the commands are infer, train,"),
    ],
)
def test_a_mistyped_command_names_the_near_one(here, capsys, word, said):
    assert main.main([word]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"ppcartoon: {word}: no such file or command; {said}") and error.count("\n") == 1


@pytest.mark.parametrize("before", [[], ["infer"]], ids=["", "infer"])
def test_inputs_by_position_and_by_flag_are_the_same(here, tiny_file, capsys, before):
    assert main.main([*before, "photo.png", "-w", str(tiny_file), "-o", "a"]) == 0
    assert main.main([*before, "-i", "photo.png", "-w", str(tiny_file), "-o", "b"]) == 0
    made = [(here / folder / "photo.png").read_bytes() for folder in "ab"]
    assert made[0] == made[1]


def test_a_file_named_like_a_word_is_a_file(here, tiny_file, capsys):
    (here / "demos").mkdir()
    (here / "photo.png").rename(here / "demos" / "photo.png")
    assert main.main(["demos", "-w", str(tiny_file)]) == 0
    assert (here / "output" / "photo.png").exists()


def test_a_folder_and_a_video_together(here, tiny_file, capsys):
    (here / "photos").mkdir()
    (here / "photo.png").rename(here / "photos" / "photo.png")
    videos.write(here / "clip.mp4", [photo(32, 48, i) for i in range(3)])
    assert main.main(["photos", "clip.mp4", "-w", str(tiny_file), "-o", "out"]) == 0
    assert {path.name for path in (here / "out").iterdir()} == {"photo.png", "clip.mp4"}


def test_one_image_goes_through_pipes(here, tiny_file, predictor):
    data = (here / "photo.png").read_bytes()
    done = command("-", "-w", tiny_file, input=data)
    assert done.returncode == 0 and done.stderr == b""
    cartoon = np.asarray(Image.open(io.BytesIO(done.stdout)))
    assert np.array_equal(cartoon, predictor(photo(24, 32)))
    assert command("-", "-w", tiny_file, "-o", "c.png", input=data).stdout == b""
    assert np.array_equal(np.asarray(Image.open(here / "c.png")), cartoon)
    assert command("photo.png", "-w", tiny_file, "-o", "-").stdout == done.stdout


@pytest.mark.parametrize(
    "arguments, data, said",
    [
        (["-"], b"no image", "not an image that can be read here"),
        (["-", "photo.png"], b"", "-: give one image as input, not 2"),
        (["-", "-o", "clip.mp4"], b"", "clip.mp4: one image is written as .jpg"),
    ],
)
def test_what_does_not_go_through_pipes_is_named(here, tiny_file, arguments, data, said):
    done = command(*arguments, "-w", tiny_file, input=data)
    assert done.returncode == 2 and done.stdout == b"" and said in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1


@pytest.fixture
def handlers():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def raising(error):
    def command():
        raise error

    return command


@pytest.mark.parametrize(
    "end, code, said",
    [
        (lambda: 0, 0, ""),
        (lambda: 1, 1, ""),
        (raising(InputError("a.png: damaged")), 2, "p: a.png: damaged\n"),
        (raising(OSError(5, "Input/output error", "a.png")), 2, "Input/output error"),
        (raising(OSError(28, "No space left on device", "a.png")), 1, "No space left on device"),
        (raising(DiskFullError("a.png: no space")), 1, "p: a.png: no space\n"),
        (
            raising(ModuleNotFoundError(name="absent.part")),
            2,
            "p: absent is not installed; for videos: pip",
        ),
        (raising(ImportError("libx: cannot allocate")), 2, "p: a library cannot be loaded: libx: cannot allocate\n"),
        (raising(MemoryError()), 2, "p: not enough memory\n"),
        (raising(RuntimeError("can't start new thread")), 2, "p: not enough memory, or too many threads\n"),
        (raising(KeyboardInterrupt()), 130, "p: interrupted; continue\n"),
        (raising(Interrupted("stopped at 3", signal.SIGTERM)), 143, "p: stopped at 3\n"),
        (lambda: os.kill(os.getpid(), signal.SIGTERM), 143, "p: interrupted; continue\n"),
    ],
)
def test_each_end_has_its_code_and_at_most_one_line(capsys, handlers, end, code, said):
    assert common.run("p", end, "videos", "; continue") == code
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == bool(said)
