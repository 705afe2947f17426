"""Mapping of input files to output paths."""

import os
from pathlib import Path

import pytest
from PIL import Image

from ppcartoon import InputError
from ppcartoon.inference.jobs import plan
from tests.helpers import videos
from tests.helpers.bombs import NOT_IMAGES


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("in/a.png", "in/a.jpg", "in/b.tif", "in/.hidden.png", "in/sub/a.png", "in/.git/x.png", "other/a.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    return tmp_path


def targets(*inputs, output="out", **options):
    return {str(job.source): str(job.target) for job in plan(list(inputs), Path(output), **options)}


def test_a_folder_keeps_names_and_formats(tree):
    assert targets("in") == {"in/a.jpg": "out/a.jpg", "in/a.png": "out/a.png", "in/b.tif": "out/b.png"}


def test_recursion_keeps_the_structure_and_leaves_out_hidden_files(tree):
    found = targets("in", recursive=True)
    assert found["in/sub/a.png"] == "out/sub/a.png"
    assert len(found) == 4


def test_output_names_are_unique(tree):
    assert targets("in", ext="png") == {
        "in/a.jpg": "out/a_jpg.png",
        "in/a.png": "out/a_png.png",
        "in/b.tif": "out/b.png",
    }
    assert len(set(targets("in", "other").values())) == 4


def test_names_that_differ_in_capitals_alone_do_not_replace_each_other(tree):
    """On Windows and macOS they are one file."""
    Image.new("RGB", (8, 8)).save("other/A.PNG")
    assert targets("in/a.png", "other/A.PNG") == {"in/a.png": "out/a.png", "other/A.PNG": "out/A_2.PNG"}


def test_globs_and_files_list_each_file_once(tree):
    assert targets("in/a.*", "in/a.png") == {"in/a.jpg": "out/a.jpg", "in/a.png": "out/a.png"}


def test_an_existing_name_with_brackets_is_no_glob(tree):
    Path("in/[1].png").touch()
    assert targets("in/[1].png") == {"in/[1].png": "out/[1].png"}


def test_a_glob_in_a_folder_with_brackets_finds_its_files(tree):
    Path("in").rename("in [2024]")
    assert targets("in [2024]/a.*") == {"in [2024]/a.jpg": "out/a.jpg", "in [2024]/a.png": "out/a.png"}
    assert targets("in [2024]/*/a.png", output="in [2024]/out") == {"in [2024]/sub/a.png": "in [2024]/out/a.png"}


def test_suffix_and_ext(tree):
    assert targets("in/b.tif", suffix="_cartoon", ext="webp") == {"in/b.tif": "out/b_cartoon.webp"}


def test_a_single_image_may_name_its_file(tree):
    assert targets("in/a.png", output="x/y.jpg") == {"in/a.png": "x/y.jpg"}
    with pytest.raises(InputError, match="one file for 3 images"):
        targets("in", output="y.jpg")


def test_an_output_file_of_another_format_is_refused(tree):
    with pytest.raises(InputError, match=r"y\.gif: cannot write this format; choose from \.jpg"):
        targets("in/a.png", output="y.gif")
    with pytest.raises(InputError, match=r"y\.xyz: cannot write this format; .*, or create a folder of this name"):
        targets("in/a.png", output="y.xyz")
    Path("y.xyz").mkdir()
    assert targets("in/a.png", output="y.xyz") == {"in/a.png": "y.xyz/a.png"}
    assert targets("in/a.png", output="v1.5") == {"in/a.png": "v1.5/a.png"}


def test_pipes_are_skipped_and_broken_links_are_not(tree):
    os.mkfifo("in/pipe")
    os.symlink("nowhere", "in/link")
    assert "in/pipe" not in targets("in") and "in/link" in targets("in")


def test_an_output_folder_inside_the_input_is_skipped(tree):
    Path("in/out").mkdir()
    Path("in/out/old.png").touch()
    assert "in/out/old.png" not in targets("in", output="in/out", recursive=True)
    assert str(tree / "in/out/old.png") not in targets(str(tree / "in"), output="in/out", recursive=True)


def test_photos_in_an_output_folder_inside_the_input_are_not_replaced(tree):
    """in/sub/a.png is no source, as it is in the output folder, but may be a photo of the user."""
    with pytest.raises(InputError, match=r"in/sub/a\.png: exists inside an input folder; .* --skip-existing"):
        targets("in", output="in/sub", recursive=True)
    jobs = plan(["in"], Path("in/sub"), recursive=True, skip_existing=True)
    assert {str(job.target): job.skip for job in jobs} == {
        "in/sub/a.jpg": False,
        "in/sub/a.png": True,
        "in/sub/b.png": False,
    }


def test_a_glob_skips_the_output_folder(tree):
    for _ in range(2):
        assert len(targets("**/*.png", output="new")) == 3
        Path("new").mkdir(exist_ok=True)
        Path("new/a.png").touch()
    assert targets("in/*.png", output=".") == {"in/a.png": "a.png"}


def test_a_list_by_the_shell_skips_the_output_folder(tree):
    Path("in/output").mkdir()
    Path("in/output/a.png").touch()
    assert list(targets("in/a.png", "in/output", output="in/output")) == ["in/a.png"]
    with pytest.raises(InputError, match="would replace an input"):
        targets("in/output", output="in/output")


def test_links_to_one_file_are_two_images(tree):
    os.symlink("a.png", "in/link.png")
    assert len(targets("in/a.png", "in/link.png")) == 2


def test_one_file_by_several_paths_is_listed_once(tree):
    assert len(targets("in/a.png", "./in/a.png", str(tree / "in/a.png"), "in/../in/a.png")) == 1


def test_link_loops_terminate(tree):
    os.symlink("loop", "in/loop")
    os.symlink(".", "in/sub/self")
    assert "in/loop" in targets("in", recursive=True)
    assert targets("in/a.png", output="in/loop") == {"in/a.png": "in/loop/a.png"}


@pytest.mark.parametrize("output", ["in", "./in", "in/../in"])
def test_an_output_that_would_replace_an_input_is_refused(tree, output):
    with pytest.raises(InputError, match="would replace an input"):
        targets("in", output=output)


def test_an_output_that_would_replace_an_input_through_a_link_is_refused(tree):
    os.symlink("in", "link")
    with pytest.raises(InputError, match="would replace an input"):
        targets("in", output="link")


def test_an_output_that_is_an_input_by_another_name_is_refused(tree):
    """As a.png is A.png on Windows and macOS."""
    os.link("in/a.png", "in/A.png")
    with pytest.raises(InputError, match=r"in/A\.png: would replace an input"):
        targets("in/a.png", output="in/A.png")


def test_missing_and_empty_inputs_are_refused(tree):
    with pytest.raises(InputError, match=r"nowhere\*: no such file or folder"):
        targets("nowhere*")
    Path("empty/sub").mkdir(parents=True)
    with pytest.raises(InputError, match="empty: no photos or videos in this folder; --recursive"):
        targets("empty")


@pytest.mark.parametrize("suffix", ["/../../x", "a:b", "?"])
def test_a_suffix_that_cannot_be_in_a_file_name_is_refused(tree, suffix):
    with pytest.raises(InputError, match="--suffix"):
        targets("in", suffix=suffix)


def write_gif(path, frames):
    pictures = [Image.new("L", (8, 8), 40 * i) for i in range(frames)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:])


def test_videos_keep_their_format_if_it_can_be_written(tree):
    for name in ("a.mkv", "b.MOV", "c.avi", "d.ts", "e.webm"):
        (tree / "in" / name).touch()
    write_gif("in/f.gif", 3)
    write_gif("in/g.gif", 1)
    (tree / "in/h.gif").write_text("no GIF")
    jobs = plan(["in"], Path("out"))
    found = {
        job.source.name: (job.target.name, job.is_video) for job in jobs if job.source.suffix not in (".png", ".jpg")
    }
    assert found == {
        "a.mkv": ("a.mkv", True),
        "b.MOV": ("b.MOV", True),
        "b.tif": ("b.png", False),
        "c.avi": ("c.mp4", True),
        "d.ts": ("d.mp4", True),
        "e.webm": ("e.webm", True),
        "f.gif": ("f.gif", True),
        "g.gif": ("g.png", False),
        "h.gif": ("h.png", False),
    }


COMPANIONS = ("Thumbs.db", "desktop.ini", ".DS_Store", "._a.png", "a.JSON", "a.png.json", "b.xmp", "a.AAE", "a.THM")


def test_searches_leave_out_known_companions_of_photos(tree):
    for name in (*COMPANIONS, "@eaDir/a.png", "__MACOSX/a.png"):
        Path("in", name).parent.mkdir(exist_ok=True)
        Path("in", name).touch()
    assert set(targets("in", recursive=True)) == {"in/a.jpg", "in/a.png", "in/b.tif", "in/sub/a.png"}
    assert set(targets("in/*.*")) == {"in/a.jpg", "in/a.png", "in/b.tif"}
    assert set(targets("in/b.xmp")) == {"in/b.xmp"}
    Path("beside").mkdir()
    Path("beside/Thumbs.db").touch()
    with pytest.raises(InputError, match="beside: no photos or videos in this folder"):
        targets("beside")


def test_content_decides_what_is_a_video_and_its_ending_only_if_the_content_is_unknown(tree):
    write_gif("moving.gif", 3)
    Path("moving.gif").rename("in/gif.png")
    Image.new("RGB", (8, 8)).save("in/photo.mp4", "JPEG")
    heads = {
        "mp4.jpg": b"\0\0\0\x20ftypisom",
        "mov": b"\0\0\0\x14ftypqt  ",
        "mkv.dat": b"\x1aE\xdf\xa3",
        "avi.png": b"RIFF\0\0\0\0AVI ",
        "flv.jpg": b"FLV\1",
        "mpeg": b"\0\0\1\xba",
        "mxf.png": b"\6\x0e\x2b\x34\2\5\1\1",
        "ts": (b"G" + bytes(187)) * 5,
        "m2ts.bin": (bytes(4) + b"G" + bytes(187)) * 5,
        "heic": b"\0\0\0\x20ftypheic",
        "avif.mp4": b"\0\0\0\x20ftypavif",
        "unknown": b"hello",
        "unknown.mov": b"hello",
    }
    for name, head in heads.items():
        Path("in", name).write_bytes(head + bytes(400))
    found = {job.source.name for job in plan(["in"], Path("out")) if job.is_video}
    photos = {"a.jpg", "a.png", "b.tif", "photo.mp4", "heic", "unknown"}
    assert found == {"gif.png", "avif.mp4", *heads, "unknown.mov"} - photos
    assert targets("in/mp4.jpg", "in/photo.mp4") == {"in/mp4.jpg": "out/mp4.mp4", "in/photo.mp4": "out/photo.png"}


@pytest.mark.parametrize("codec, container", [("libx264", "h264"), ("libvpx", "ivf"), ("rawvideo", "yuv4mpegpipe")])
def test_video_that_only_ffmpeg_knows_needs_no_ending(tree, codec, container):
    videos.write("in/video", videos.still(videos.BLACK, 0.5), codec, container=container)
    Path("in/half.jpg").write_bytes(NOT_IMAGES["the first bytes of a JPEG"])
    assert [job.source.name for job in plan(["in"], Path("out")) if job.is_video] == ["video"]


def test_ext_applies_to_photos_or_to_videos(tree):
    (tree / "in/c.avi").touch()
    assert targets("in/a.jpg", "in/c.avi", ext="webm") == {"in/a.jpg": "out/a.jpg", "in/c.avi": "out/c.webm"}
    assert targets("in/a.jpg", "in/c.avi", ext="webp") == {"in/a.jpg": "out/a.webp", "in/c.avi": "out/c.mp4"}


def test_animated_images_stay_animations_where_the_output_can_hold_one(tree):
    pictures = [Image.new("RGB", (32, 32), color) for color in ("red", "blue")]
    for name in ("f.webp", "g.png", "h.avif", "i.tif"):
        pictures[0].save(Path("in", name), save_all=True, append_images=pictures[1:])
    write_gif("in/e.gif", 2)

    def planned(name, output="out", **options):
        (job,) = plan([f"in/{name}"], Path(output), **options)
        return str(job.target), job.is_video

    assert [planned(name) for name in ("e.gif", "f.webp", "g.png", "h.avif", "i.tif")] == [
        ("out/e.gif", True), ("out/f.webp", True), ("out/g.png", True), ("out/h.webp", True), ("out/i.png", False),
    ]  # fmt: skip
    for ending in ("png", "webp", "gif", "mp4"):
        assert planned("f.webp", ext=ending) == (f"out/f.{ending}", True)
    assert planned("f.webp", ext="jpg") == ("out/f.jpg", False) == planned("f.webp", "out/f.jpg")
    assert planned("i.tif", ext="webp") == ("out/i.webp", False)
    for output in ("a.gif", "a.mp4", "%d.png"):
        assert planned("f.webp", output) == planned("i.tif", output) == (output, True)
    for output in ("a.webp", "a.apng"):
        assert planned("f.webp", output) == (output, True)
    assert planned("i.tif", "a.png") == ("a.png", False)


def test_numbered_images_are_one_video(tree):
    for number in (1, 2):
        Path(f"in/{number:03d}.tif").touch()
    assert targets("in/%03d.tif") == {"in/%03d.tif": "out/%03d.png"}
    assert targets("in/%03d.tif", output="x.mp4") == {"in/%03d.tif": "x.mp4"}
    assert targets("in/%03d.tif", output="x/%d.jpg") == {"in/%03d.tif": "x/%d.jpg"}
    with pytest.raises(InputError, match=r"in/%02d\.tif: no such file"):
        targets("in/%02d.tif")


def test_a_video_can_be_written_as_numbered_images_and_a_photo_cannot(tree):
    Path("c.avi").touch()
    assert targets("c.avi", output="x/%05d.png") == {"c.avi": "x/%05d.png"}
    for source, output, message in [
        ("in/a.png", "x/%d.png", "numbered images need a video as the input"),
        ("in/a.png", "x.mp4", r"x\.mp4: cannot write this format; choose from \.jpg"),
        ("c.avi", "x.png", r"x\.png: cannot write this format; choose from \.mp4"),
        ("c.avi", "x.avi", r"x\.avi: cannot write this format; choose from \.mp4"),
    ]:
        with pytest.raises(InputError, match=message):
            targets(source, output=output)


def test_numbered_images_that_would_replace_an_input_are_refused(tree):
    for number in (1, 2):
        Path(f"in/{number}.png").touch()
    Path("c.avi").touch()
    for inputs, output in [(["in/%d.png"], "in"), (["in/%d.png"], "in/%01d.png")]:
        with pytest.raises(InputError, match="would replace an input"):
            targets(*inputs, output=output)


def test_an_existing_name_with_a_percent_sign_is_no_pattern(tree):
    for name in ("100%d.png", "100%d.mp4"):
        Path("in", name).touch()
    assert targets("in/100%d.png", "in/100%d.mp4") == {
        "in/100%d.png": "out/100%d.png",
        "in/100%d.mp4": "out/100%d.mp4",
    }
