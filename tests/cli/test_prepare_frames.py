"""`prepare frames`: its output, options and errors."""

import subprocess
import sys
from pathlib import Path

import pytest

from ppcartoon.cli.prepare import main
from tests.helpers import videos

TOOL = Path(__file__).parents[2] / "tools" / "prepare_data.py"


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Four seconds of eight scenes."""
    pictures = videos.scenes(*range(8), seconds=0.5, height=90, width=160)
    return videos.write(tmp_path_factory.mktemp("video") / "a video.mkv", pictures, options=videos.HALVES)


def call(*arguments, **options):
    command = [sys.executable, str(TOOL), "frames", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, **options)
    assert "Traceback" not in done.stderr
    return done


def pictures(folder):
    return sorted(path.name for path in folder.glob("*.png"))


def test_one_line_summarizes_the_video(video, tmp_path):
    done = call(video, "-o", "out", "--size", 64, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{video}: 8 of 8 pictures kept; in out, all on out_a video_contact_sheet.jpg\n"
    assert pictures(tmp_path / "out") == [f"a video_00-00-0{i // 2}.{i % 2 * 5}00.png" for i in range(8)]
    assert (tmp_path / "out_a video_contact_sheet.jpg").exists()
    assert call(video, "-o", "out", "--size", 64, cwd=tmp_path).stdout == done.stdout


@pytest.mark.parametrize(
    "options, times",
    [
        (["--start", "0:01", "--end", "0:02.5"], ["1.000", "1.500", "2.000", "2.500"]),
        (["--start", "0:00:03"], ["3.000", "3.500"]),
        (["--every", "2"], ["0.000", "2.000"]),
        (["--scenes", "--end", "1.4"], ["0.000", "0.500", "1.000"]),
        (["--count", "2"], ["0.000", "3.500"]),
    ],
    ids=lambda value: " ".join(value) if value[0][0] == "-" else "",
)
def test_options_select_the_frames(video, tmp_path, options, times):
    assert main(["frames", str(video), "-o", str(tmp_path / "out"), "--size", "64", *options]) == 0
    assert pictures(tmp_path / "out") == [f"a video_00-00-0{time}.png" for time in times]


def test_unreadable_videos_are_named_and_the_others_extracted(video, tmp_path):
    bad, second = tmp_path / "bad.mp4", tmp_path / "second.mkv"
    bad.write_text("no video")
    videos.write(second, videos.scenes(20, 21, height=90, width=160))
    done = call(video, bad, tmp_path / "gone.mp4", second, "-o", tmp_path / "out")
    assert done.returncode == 1
    assert [line.split(": ")[:2] for line in done.stderr.splitlines()] == [
        ["ppcartoon prepare", str(bad)],
        ["ppcartoon prepare", str(tmp_path / "gone.mp4")],
    ]
    assert [line.split("; ")[0] for line in done.stdout.splitlines()] == [
        f"{video}: 8 of 8 pictures kept",
        f"{second}: 2 of 2 pictures kept",
    ]
    assert len(pictures(tmp_path / "out")) == 10


def test_a_video_that_cannot_be_read_is_one_line_and_leaves_no_folder(tmp_path):
    done = call(tmp_path / "gone.mp4", "-o", tmp_path / "out")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"ppcartoon prepare: {tmp_path / 'gone.mp4'}: no such file\n"
    assert not (tmp_path / "out").exists()


def test_other_options_for_a_finished_video_are_one_line(video, tmp_path):
    call(video, "-o", tmp_path / "out", "--end", "1")
    done = call(video, "-o", tmp_path / "out", "--end", "2", "--fit", "resize")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert "end 1.0 instead of 2.0" in done.stderr and "fit crop instead of resize" in done.stderr
    replaced = call(video, "-o", tmp_path / "out", "--end", "2", "--fit", "resize", "--overwrite")
    assert replaced.returncode == 0 and len(pictures(tmp_path / "out")) == 5


def test_several_videos_and_a_folder_that_cannot_be_written_are_one_line(video, tmp_path):
    (tmp_path / "out").touch()
    other = tmp_path / "other.mkv"
    other.write_bytes(video.read_bytes())
    done = call(video, other, "-o", tmp_path / "out")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("where", ["a file is there", "a damaged database is there"])
def test_a_folder_that_cannot_be_used_is_one_line(video, tmp_path, where):
    folder = tmp_path / "out"
    if where == "a file is there":
        folder.write_text("in the way")
    else:
        folder.mkdir()
        (folder / ".frames.sqlite").write_text("no database" * 100)
    done = call(video, "-o", folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1 and str(folder) in done.stderr


WRONG = [
    *(("--start", text) for text in ("-1", "1:2:3:4", "1:", ":30", "soon", "1e3", "", "0:-5", "nan")),
    *(("--every", text) for text in ("0", "-1", "nan", "inf", "often")),
    *(("--count", text) for text in ("0", "1.5")),
    ("--size", "8"),
    ("--fit", "stretch"),
    ("--scenes", "--every=1"),
]


@pytest.mark.parametrize("options", WRONG, ids=" ".join)
def test_invalid_options_are_refused_before_a_folder_is_made(video, tmp_path, options, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["frames", str(video), "-o", str(tmp_path / "out"), *options])
    assert caught.value.code == 2
    assert options[0] in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_without_kept_frames_no_contact_sheet_is_named(video, tmp_path):
    done = call(video, "-o", tmp_path / "out", "--start", "3:00")
    assert done.stdout.startswith(f"{video}: 0 of 0 pictures kept") and "None" not in done.stdout


def test_an_end_before_the_start_is_refused(video, tmp_path):
    done = call(video, "-o", tmp_path / "out", "--start", "2", "--end", "1")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1


def test_the_output_may_be_the_current_folder(video, tmp_path):
    (tmp_path / "out").mkdir()
    done = call(video, "-o", ".", cwd=tmp_path / "out")
    assert done.returncode == 0
    assert len(pictures(tmp_path / "out")) == 8
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["out_a video_contact_sheet.jpg"]


def test_two_videos_with_the_same_name_are_refused_before_frames_are_replaced(video, tmp_path):
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / video.name
    other.write_bytes(video.read_bytes())
    done = call(video, other, "-o", tmp_path / "out", "--overwrite")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()
