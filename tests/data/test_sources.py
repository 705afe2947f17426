"""AnimeGAN's data set, from the server to what training reads."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ppcartoon.data import download
from ppcartoon.errors import InputError
from tests.helpers.animegan_dataset import ARCHIVE, COUNTS, checksum, contents, images, jpeg, zipped
from tests.helpers.download_server import names


@pytest.mark.parametrize("root", ["dataset/", ""])
@pytest.mark.parametrize("mirror", [False, True])
def test_the_data_set_is_fetched_and_unpacked(web, origin, tmp_path, root, mirror):
    url = web.put("/mirror/d.zip" if mirror else "/dataset/dataset.zip", zipped(images(), root))
    dataset = download.download_dataset(tmp_path / "data", url if mirror else None)
    assert dataset == tmp_path / "data/dataset"
    assert contents(dataset) == images()
    assert download.count(dataset) == COUNTS
    assert names(tmp_path / "data") == ["dataset", "dataset.zip"] and len(web.log) == 1


def test_what_is_missing_counts_as_none(tmp_path):
    counts = {folder: number for folder, number in COUNTS.items() if "HR" not in folder and "Paprika" not in folder}
    for name, data in (images(counts) | {"Paprika/style/notes.txt": b"", "train_photo/._0.jpg": b""}).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    assert download.count(tmp_path) == COUNTS | {"test/HR_photo": 0, "Paprika/style": 0}


def test_a_second_call_does_nothing(web, origin, tmp_path):
    dataset = download.download_dataset(tmp_path)
    (dataset / "train_photo/0.jpg").write_bytes(b"mine")
    (tmp_path / "dataset.zip").unlink()
    assert download.download_dataset(tmp_path) == dataset
    assert (dataset / "train_photo/0.jpg").read_bytes() == b"mine"
    assert len(web.log) == 1 and names(tmp_path) == ["dataset"]


def test_a_second_call_goes_on_with_what_is_not_unpacked(web, origin, tmp_path):
    (tmp_path / "dataset.zip").write_bytes(ARCHIVE)
    assert contents(download.download_dataset(tmp_path)) == images()
    assert web.log == []


def test_two_at_once_give_one_data_set(web, origin, tmp_path):
    many = images() | {f"train_photo/{i}.jpg": jpeg(0) for i in range(200)}
    (tmp_path / "dataset.zip").write_bytes(zipped(many))
    both = threading.Barrier(2)

    def download_once():
        both.wait()
        return download.download_dataset(tmp_path)

    with ThreadPoolExecutor() as pool:
        first, second = pool.submit(download_once), pool.submit(download_once)
        assert first.result() == second.result()
    assert contents(tmp_path / "dataset").keys() == many.keys()
    assert names(tmp_path) == ["dataset", "dataset.zip"]


def test_the_checksum_of_the_data_set_is_checked_if_one_is_given(web, origin, tmp_path):
    assert contents(download.download_dataset(tmp_path, checksum=checksum(ARCHIVE))) == images()
    with pytest.raises(InputError, match=f"cannot be had: .*{checksum(ARCHIVE)}"):
        download.download_dataset(tmp_path / "b", checksum=checksum(b""))
    assert not (tmp_path / "b/dataset").exists()
