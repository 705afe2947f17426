"""`ppcartoon prepare`: exit codes, one line per error, interruption, imports."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ppcartoon.cli import common, prepare
from ppcartoon.data import check
from ppcartoon.data.image_folder import image_files
from ppcartoon.data.samples import draw_cartoon, draw_photo
from ppcartoon.utils.libraries import PACKAGES
from tests.helpers import videos
from tests.helpers.folders import drawn, save
from tests.helpers.training_runs import ROOT, wait_for

TOOL = [sys.executable, str(ROOT / "tools/prepare_data.py")]
COMMANDS = ("download", "frames", "select", "smooth", "check")


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs the command in a folder with 5 photos and 3 cartoons; returns exit code, standard output and error."""
    handler = signal.getsignal(signal.SIGTERM)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    drawn(tmp_path, 5, 3)
    (tmp_path / "empty").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")

    def run(*arguments):
        try:
            code = prepare.main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()

    yield run
    signal.signal(signal.SIGTERM, handler)


def junk(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"no image")


def state(folder):
    return {(str(p), p.lstat().st_ino, p.lstat().st_mtime_ns) for p in (folder, *folder.rglob("*"))}


@pytest.mark.parametrize(
    "command, said",
    [
        *[
            ("download", "dataset (default)"),
            ("download", "(default: data for"),
            ("check", "(default: output/check.png)"),
        ],
        *[("frames", "(default: 256)"), ("frames", "(default: crop)"), ("smooth", "(default: smooth, beside")],
        *[("select", f"(default: {value})") for value in (108, 0.03, 0.16, 1.55, 30)],
        *[(command, "threads (default") for command in COMMANDS[1:]],
        *[("", f"    {command} ") for command in COMMANDS],
        ("", common.EXIT_CODES),
    ],
)
def test_help_names_commands_and_defaults(run, command, said):
    code, out, err = run(*command.split(), "--help")
    assert code == 0 and err == "" and said in out


def test_incomplete_or_unknown_arguments_are_refused_with_the_usage(run):
    for command in (
        "",
        "paint",
        "smooth",
        "select cartoons",
        "check",
        "frames a.mp4",
        "frames a.mp4 -o x --scenes --every 2",
    ):
        code, out, err = run(*command.split())
        assert code == 2 and out == "" and err.startswith("usage: ") and ": error: " in err.splitlines()[-1]


@pytest.mark.parametrize(
    "command, values",
    [
        ("smooth cartoons --jobs", ["0", "-1", "1.5", "two", "", "nan", "9" * 5000]),
        ("select cartoons -o x --max-grain", ["-1", "nan", "inf", "low"]),
        ("frames a.mp4 -o x --size", ["15", "-256", "256.5", "0x100"]),
        ("frames a.mp4 -o x --every", ["0", "-1", "nan", "inf", "often"]),
        ("frames a.mp4 -o x --start", ["-1", "1:2:3:4", "1:", "1e3", "nan"]),
        ("frames a.mp4 -o x --fit", ["", "stretch"]),
        ("check . --output", ["empty", "check", "check.svg", ""]),
        ("frames a.mp4 -o x --count", ["0", "all"]),
    ],
)
def test_invalid_values_are_refused_with_their_option(run, command, values):
    for value in values:
        code, out, err = run(*command.split(), value)
        assert code == 2 and out == "" and command.split()[-1] in err.splitlines()[-1]


@pytest.mark.parametrize(
    "command, message",
    [
        ("smooth nowhere", "nowhere: no such folder; beside it are cartoons, empty, photos"),
        ("smooth empty", "empty: no image in it"),
        ("smooth loop", "loop"),
        ("smooth {long}", "{long}"),
        ("smooth cartoons -o cartoons", "--output"),
        ("smooth cartoons -o photos/0.png", "photos/0.png: a file is there"),
        ("smooth cartoons -o loop", "loop"),
        ("smooth cartoons -o {long}", "{long}"),
        ("select nowhere -o x", "nowhere: no such folder"),
        ("select empty -o x", "empty: no image in it"),
        ("select cartoons -o cartoons/x", "--output"),
        ("select cartoons -o photos --min-luma 255", "photos: has 3 images that are left out now, 0.png first"),
        ("check photos/0.png", "photos/0.png: "),
        ("check empty", "has neither photos and cartoons nor train_photo and STYLE/style"),
        ("check {long}", "{long}"),
        ("check . -c nowhere.yaml", "nowhere.yaml: No such file"),
        ("check . -c {configs}/demo.yaml", "demo.yaml: "),  # of drawn images
        ("check . -o photos/0.png/check.png", "photos/0.png"),
        ("download vgg16", "vgg16: unknown; choose from dataset, vgg19, inception"),
    ],
)
def test_each_mistake_is_one_line(run, tmp_path, command, message):
    before, names = state(tmp_path), {"long": "a" * 300, "configs": ROOT / "configs"}
    code, _, err = run(*command.format(**names).split())
    assert code == 2 and err.startswith("ppcartoon prepare: ") and err.count("\n") == 1
    assert message.format(**names) in err
    assert state(tmp_path) == before


def test_smooth_prints_counts_and_names_failed_files(run, tmp_path):
    assert run("smooth", "cartoons") == (0, f"3 smoothed cartoons in {tmp_path / 'smooth'}\n", "")
    for i in range(25):
        junk(tmp_path / f"cartoons/junk{i:02}.png")
    save(tmp_path / "cartoons/new.png", draw_cartoon(7, 32))
    code, out, err = run("smooth", "cartoons/")
    assert (code, out) == (1, f"1 smoothed cartoons in {tmp_path / 'smooth'}, 3 were there, 25 failed\n")
    named = [f"ppcartoon prepare: cartoons/junk{i:02}.png: not an image that can be read here\n" for i in range(20)]
    assert err == "".join([*named, "ppcartoon prepare: and 5 more like these\n"])


def test_select_prints_counts_contact_sheets_and_a_few_names_by_reason(run, tmp_path):
    for i in range(6):
        save(tmp_path / f"cartoons/dark{i}.png", np.zeros((32, 32, 3), np.uint8))
    save(tmp_path / "cartoons/clear.png", draw_cartoon(0, 128))
    junk(tmp_path / "cartoons/junk.png")
    options = ["--min-luma", "20", "--min-edges", "0", "--max-edges", "1", "--max-grain", "99", "--min-contrast", "9"]
    code, out, err = run("select", "cartoons", "-o", "out", *options)
    assert (code, err) == (1, "ppcartoon prepare: cartoons/junk.png: not an image that can be read here\n")
    first, second, *table = out.splitlines()
    kept = len(image_files(Path("out")))
    assert first == f"{kept} images kept, in out, shown on out_kept_contact_sheet.jpg" and kept
    assert second.startswith(f"{10 - kept} images left out, shown on out_left_out_contact_sheet.jpg; ")
    assert "| contrast under 9 | 6 | dark0.png, dark1.png, dark2.png, dark3.png, ... |" in table
    code, out, err = run("select", "cartoons", "-o", "none", "--min-luma", "255")
    assert out.startswith("0 images kept\n10 images left out, ") and not Path("none").exists()


def test_check_names_unreadable_files_and_changes_no_file(run, tmp_path):
    before = state(tmp_path / "photos") | state(tmp_path / "cartoons")
    code, out, err = run("check", ".")
    assert code == 0 and err == ""
    assert out.endswith("\nTraining would start, with few images.\nBrightness: output/check.png\n")
    assert "| photos | 5 | 0 | 32x32 |" in out
    assert state(tmp_path / "photos") | state(tmp_path / "cartoons") == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cartoons", "empty", "loop", "output", "photos"]
    save(tmp_path / "test/a.bmp", draw_photo(3, 32))
    for i in range(25):
        junk(tmp_path / f"cartoons/junk{i:02}.png")
    code, out, err = run("check", ".")
    assert code == 1 and "\nTraining would fail.\n" in out
    assert "ppcartoon prepare: photos/3.png: shows the same as test/a.bmp, " in out
    assert [line.split(":")[1] for line in err.splitlines()[:20]] == [f" cartoons/junk{i:02}.png" for i in range(20)]
    assert err.splitlines()[20:] == ["ppcartoon prepare: and 5 more like these"]


@pytest.mark.parametrize(
    "config, change, said",
    [
        ("cartoonloss_custom.yaml", "", "tenth.png: has another shape"),  # which is rounded away at a size of 32
        ("demo_custom.yaml", "batch_size: 6", "5 photos are fewer than the 6 of a step"),
        ("demo_custom.yaml", "photos: odd", "odd: 1 photos are fewer than the 2 of a step"),
        ("demo_custom.yaml", "cartoons: nowhere", "nowhere: no such folder"),
        ("demo_custom.yaml", "load_size: 256", "tenth.png: has another shape"),
        ("demo_custom.yaml", "smooth: odd", "odd lacks 4 of 4 cartoons"),
        ("demo_custom.yaml", "batch_size: 5, smooth: null", ""),
        ("cartoonloss_shinkai.yaml", "", ""),
        ("cartoonloss_hayao.yaml", "", "Hayao/style/0.png: not an image"),
    ],
)
def test_check_reads_folders_size_and_batch_from_a_config(run, monkeypatch, config, change, said):
    monkeypatch.setattr(check, "histogram", lambda *_: None)  # which takes most of the time
    shutil.copytree("cartoons", "smooth")
    shutil.copytree("cartoons", "Shinkai/style")
    save(Path("cartoons/tenth.png"), np.zeros((100, 100, 3), np.uint8))
    save(Path("smooth/tenth.png"), np.zeros((100, 101, 3), np.uint8))
    save(Path("odd/9.png"), draw_cartoon(9, 32))
    Path("train_photo").symlink_to("photos")
    junk(Path("Hayao/style/0.png"))
    Path("config.yaml").write_text(f"_base_: {ROOT}/configs/{config}\ndataset: {{train: {{{change}}}}}\n")
    code, out, err = run("check", ".", "-c", "config.yaml")
    assert code == err.count("\n") == bool(said) and said in err
    assert ("| Hayao/style |" in out) == ("hayao" in config)


@pytest.mark.parametrize("name", ["a b", "it's: #1", '"q" {x}', "😀", "تمرين"])
def test_check_with_a_config_accepts_folders_of_any_name(run, monkeypatch, name):
    monkeypatch.setattr(check, "histogram", lambda *_: None)
    drawn(Path(name), 2, 1)
    assert run("check", name, "-c", ROOT / "configs/demo_custom.yaml")[::2] == (0, "")


@pytest.mark.parametrize("name", ["_data", "$d_$", "数据 😀", os.fsdecode(b"\xff")])
def test_the_histogram_is_drawn_without_warnings_for_folders_of_any_name(run, recwarn, name):
    drawn(Path(name), 4, 1)
    assert run("check", name, "-o", "below/x.png")[::2] == (0, "")
    assert Path("below/x.png").is_file() and not [str(warning.message) for warning in recwarn]


def test_the_tool_exits_with_the_same_codes_and_without_a_traceback(run, tmp_path):
    drawn(tmp_path / "data", 4, 2)
    junk(tmp_path / "data/cartoons/junk.png")
    for arguments, code in ((["smooth", "data/cartoons"], 1), (["check", "data"], 1), (["check", "nowhere"], 2)):
        done = subprocess.run([*TOOL, *arguments], capture_output=True, text=True)
        assert done.returncode == code and bool(done.stdout) == (code == 1)
        assert done.stderr and all(line.startswith("ppcartoon prepare: ") for line in done.stderr.splitlines())


DRIVER = f"""import contextlib, json, sys
sys.path.insert(0, {str(ROOT)!r})
from ppcartoon.cli.prepare import main
"""


@pytest.mark.parametrize(
    "module, command", [("av", "frames film.mp4 -o x"), ("cv2", "smooth cartoons"), ("matplotlib", "check .")]
)
def test_a_missing_module_is_one_line_with_what_to_install(run, module, command):
    code = f"{DRIVER}sys.modules[{module!r}] = None; sys.exit(main({command.split()}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    package = PACKAGES.get(module, module)
    assert done.returncode == 2
    assert done.stderr == f"ppcartoon prepare: {module} is not installed; for training data: pip install {package}\n"


def test_subcommands_import_only_what_they_need(run, tmp_path):
    videos.write(tmp_path / "film.mp4", videos.still(videos.scene(0), 0.5))
    commands = [[], ["--help"], *([c, "--help"] for c in COMMANDS), ["smooth", "cartoons"], ["check", "."]]
    commands += [["select", "cartoons", "-o", "selected"]]
    commands += [["check", ".", "-c", str(ROOT / "configs/demo_custom.yaml")], ["frames", "film.mp4", "-o", "frames"]]
    code = f"""{DRIVER}found = []
for command in {commands}:
    with contextlib.suppress(SystemExit):
        command and main(command)
    found.append(sorted({{"av", "paddle", "ppgan", "torch"}} & set(sys.modules)))
print(json.dumps(found))"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert json.loads(done.stdout.splitlines()[-1]) == [[]] * (len(commands) - 1) + [["av"]], done.stderr
    assert len(image_files(tmp_path / "frames")) == 1


RESUME = "ppcartoon prepare: interrupted; run the same command again to resume\n"


@pytest.mark.parametrize("number, code, said", [(signal.SIGINT, 130, RESUME), (signal.SIGTERM, 143, RESUME)])
def test_an_interrupted_command_cleans_up_and_resumes_when_run_again(run, tmp_path, number, code, said):
    source, many, smoothed = save(tmp_path / "0.png", draw_cartoon(0, 256)), tmp_path / "a/many", tmp_path / "a/smooth"
    many.mkdir(parents=True)
    for i in range(200):
        os.link(source, many / f"{i}.png")
    process = subprocess.Popen([*TOOL, "smooth", str(many), "--jobs", "8"], stderr=subprocess.PIPE, text=True)
    wait_for(lambda: smoothed.is_dir() and len(list(smoothed.iterdir())) > 5, process)
    process.send_signal(number)
    assert (process.communicate()[1], process.returncode) == (said, code)
    assert not list(smoothed.glob(".*"))
    assert int(run("smooth", many)[1].split()[0]) in range(1, 195)
    assert len(image_files(smoothed)) == 200
