"""Files by path and by URI; a local folder, served by pyarrow.fs as s3://bucket, replaces the bucket."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pyarrow import fs

from ppcartoon import InputError, images
from ppcartoon.errors import OutputError
from ppcartoon.inference.ray_cluster import jobs, storage
from tests.helpers.samples import photo


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    """The folder behind s3://bucket."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "behind"
    for name in ("in/a.png", "in/.hidden.png", "in/sub/b c.png", "in/out/old.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo(4, 6)).save(folder / name)

    def serve(root):
        assert root in ("s3://bucket/", "s3://bucket/?region=x")
        return fs.SubTreeFileSystem(str(folder), fs.LocalFileSystem()), ""

    monkeypatch.setattr(storage, "_filesystem", serve)
    return folder


def found(text, output="s3://bucket/out", recursive=True):
    return dict(jobs.find(text, output, recursive))


def test_a_bucket_is_searched_like_a_folder(bucket):
    assert found("s3://bucket/in", "s3://bucket/in/out") == {
        "s3://bucket/in/a.png": "a.png",
        "s3://bucket/in/sub/b c.png": "sub/b c.png",
    }
    assert found("s3://bucket/in/", recursive=False) == {"s3://bucket/in/a.png": "a.png"}
    assert found("s3://bucket/in/a.png") == {"s3://bucket/in/a.png": "a.png"}


def test_file_system_options_after_a_question_mark_are_kept(bucket):
    (source,) = found("s3://bucket/in?region=x", recursive=False)
    assert source == "s3://bucket/in/a.png?region=x"
    assert (storage.read(source)[0].rgb == photo(4, 6)).all()


def test_objects_are_read_and_written(bucket):
    assert (storage.read("s3://bucket/in/sub/b c.png")[0].rgb == photo(4, 6)).all()
    for size in (5, 7):  # the second replaces the first
        storage.write("s3://bucket/new/x.png", images.encode(images.Picture(photo(size, 5)), ".png"))
        assert np.asarray(Image.open(bucket / "new/x.png")).shape == (size, 5, 3)
    assert os.listdir(bucket / "new") == ["x.png"]


def test_a_failed_write_leaves_no_temporary_file(bucket):
    (bucket / "out/x.png").mkdir(parents=True)
    (bucket / "out/x.png/full").touch()
    with pytest.raises(OutputError, match=r"s3://bucket/out/x\.png: cannot be written"):
        storage.write("s3://bucket/out/x.png", b"cartoon")
    assert os.listdir(bucket / "out") == ["x.png"]


@pytest.mark.parametrize("name, reason", [("none.png", "cannot be read"), ("words.png", "not an image")])
def test_objects_that_are_no_images_are_refused(bucket, name, reason):
    (bucket / "words.png").write_text("words")
    with pytest.raises(InputError, match=reason):
        storage.read(f"s3://bucket/{name}")


@pytest.mark.parametrize(
    "text, message",
    [
        ("s3://bucket/nowhere", "s3://bucket/nowhere: no files there"),
        ("gopher://bucket/in", "gopher://bucket/in: Unrecognized filesystem type"),
        ("nowhere", "nowhere: no such file or folder"),
        ("@nowhere.txt", r"nowhere\.txt: cannot be read as a list of images \(.*No such file"),
        ("@behind/in/a.png", r"a\.png: cannot be read as a list"),
        ("@empty.txt", r"empty\.txt: an empty list"),
    ],
)
def test_invalid_inputs_are_errors_of_one_line(bucket, monkeypatch, text, message):
    Path("empty.txt").write_text("\n")
    if text.startswith("gopher"):
        monkeypatch.undo()
    with pytest.raises(InputError, match=message) as caught:
        found(text)
    assert "\n" not in str(caught.value)


def test_paths_of_a_list_are_relative_to_the_folder_that_its_lines_share(bucket):
    Path("list.txt").write_text(f"behind/in/a.png\n\nfile://{bucket}/in/sub/b c.png\n{bucket}/other/c.png\n")
    assert found("@list.txt") == {
        str(bucket / "in/a.png"): "in/a.png",
        str(bucket / "in/sub/b c.png"): "in/sub/b c.png",
        str(bucket / "other/c.png"): "other/c.png",
    }
    Path("list.txt").write_text("s3://bucket/../x.png\ngs://bucket/x.png")
    assert set(found("@list.txt").values()) == {"s3/x.png", "gs/bucket/x.png"}


def test_absolute_paths_have_no_links(bucket):
    os.symlink("behind", "link")
    assert storage.absolute("link/in") == str(bucket / "in") == storage.absolute(f"file://{bucket}/sub/../in")
