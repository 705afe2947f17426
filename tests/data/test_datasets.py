"""The order of photos and cartoons, crops and flips."""

from itertools import chain

import numpy as np
import paddle
import pytest

from ppcartoon.data.cache import resize
from ppcartoon.data.datasets import DrawnCartoonDataset, EpochSampler, UnpairedCartoonDataset
from ppcartoon.data.edge_smoothing import smooth_edges
from ppcartoon.data.samples import draw_cartoon
from ppcartoon.errors import InputError
from ppcartoon.images import to_network
from tests.helpers.folders import coded, drawn, pixels, save


def dataset(root, **options):
    options = {"size": 32, "cache_dir": str(root.parent / "cache"), **options}
    return UnpairedCartoonDataset(str(root), "photos", "cartoons", **options)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return drawn(tmp_path_factory.mktemp("drawn") / "data")


@pytest.fixture(scope="module")
def coded_root(tmp_path_factory):
    """7 photos, 5 cartoons and their smoothed files (from 100 on), all of 40 x 56 pixels."""
    root = tmp_path_factory.mktemp("coded") / "data"
    for key, count, first in (("photos", 7, 0), ("cartoons", 5, 0), ("smooth", 5, 100)):
        for i in range(count):
            save(root / key / f"{i}.{'bmp' if key == 'smooth' else 'png'}", coded(first + i, 40, 56))
    return root


def batches(root, workers, seed=3, start=0):
    data = dataset(root, size=24, load_size=32, random_crop=True, flip=True, seed=seed)
    sampler = EpochSampler(len(data), 3, 2, seed, start=start)
    loader = paddle.io.DataLoader(data, batch_sampler=sampler, num_workers=workers)
    return [{name: value.numpy() for name, value in batch.items()} for batch in loader]


def same(a, b):
    return len(a) == len(b) and all((x[k] == y[k]).all() for x, y in zip(a, b) for k in ("photo", "cartoon", "smooth"))


def test_batches_are_the_same_with_and_without_workers(root):
    alone = batches(root, 0)
    assert len(alone) == 2 * (11 // 3)
    assert {name: value.shape for name, value in alone[0].items()} == dict.fromkeys(
        ["photo", "cartoon", "smooth"], (3, 3, 24, 24)
    )
    np.random.seed(1)
    paddle.seed(1)
    assert same(batches(root, 2), alone)
    assert same(batches(root, 2, start=4), alone[4:])
    assert not same(batches(root, 0, seed=4), alone)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_order_depends_only_on_the_seed(seed):
    order = list(EpochSampler(20, 4, 3, seed))
    sampler = EpochSampler(20, 4, 3, seed)
    assert list(sampler) == list(sampler) == order
    assert order[:5] == list(EpochSampler(20, 4, 1, seed))  # a longer run begins like a shorter one
    photos = np.array(order)[..., 1].reshape(3, 20)
    assert len({tuple(epoch) for epoch in photos}) == 3
    assert all(
        (photos != np.array(list(EpochSampler(20, 4, 3, s)))[..., 1].reshape(3, 20)).any() for s in (3, 4, 10**6)
    )
    assert [number for batch in order for number, _ in batch] == list(range(60))


def test_seed_0_is_not_special():
    orders = [str(list(EpochSampler(20, 4, 1, seed))) for seed in range(5)]
    assert len(set(orders)) == 5


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_share_the_joined_batch_of_one_process(ranks):
    joined = list(EpochSampler(29, 2 * ranks, 4, 7))
    parts = [list(EpochSampler(29, 2, 4, 7, rank, ranks)) for rank in range(ranks)]
    assert [list(chain(*step)) for step in zip(*parts)] == joined


@pytest.mark.parametrize("photos, batch, ranks", [(11, 2, 2), (7, 4, 1), (12, 4, 1), (5, 3, 1), (4, 4, 1), (9, 2, 3)])
def test_photos_occur_once_per_epoch_and_are_left_out_in_turn(photos, batch, ranks):
    epochs = 2 * photos + 3
    steps = photos // (batch * ranks)
    seen = [list(EpochSampler(photos, batch, epochs, 1, rank, ranks)) for rank in range(ranks)]
    seen = np.array(seen)[..., 1].reshape(ranks, epochs, steps * batch).swapaxes(0, 1).reshape(epochs, -1)
    assert all(len(set(epoch)) == steps * batch * ranks > photos - batch * ranks for epoch in seen)
    for so_far in range(1, epochs + 1):
        counts = np.bincount(seen[:so_far].ravel(), minlength=photos)
        assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("start", [0, 1, 4, 5, 13, 20])
def test_a_resumed_sampler_yields_the_remaining_batches(start):
    sampler = EpochSampler(11, 2, 4, 5, start=start)
    assert len(sampler) == 20 - start
    assert list(sampler) == list(EpochSampler(11, 2, 4, 5))[start:]


@pytest.mark.parametrize("batch, ranks, said", [(4, 1, "the 4 of one step"), (2, 2, "batch_size 2 on 2 processes")])
def test_fewer_photos_than_a_step_takes_are_refused(batch, ranks, said):
    with pytest.raises(InputError, match=f"dataset.train: 3 photos .*{said}"):
        EpochSampler(3, batch, 1, ranks=ranks)


def test_cartoons_occur_equally_often_with_changing_photos(coded_root):
    data = dataset(coded_root)
    indices = [index for batch in EpochSampler(7, 3, 8) for index in batch]
    drawn = np.array([[pixels(data[i][name])[0, 0, 2] for name in ("photo", "cartoon")] for i in indices])
    assert list(drawn[:, 0]) == [photo for _, photo in indices]
    for so_far in range(1, len(drawn) + 1):
        counts = np.bincount(drawn[:so_far, 1], minlength=5)
        assert counts.max() - counts.min() <= 1
    assert len({tuple(turn) for turn in drawn[:45, 1].reshape(9, 5)}) > 4
    assert len({tuple(pair) for pair in drawn}) > 24  # of 35


def test_smoothed_files_are_cropped_and_mirrored_with_their_cartoon(coded_root):
    data = dataset(coded_root, smooth="smooth", load_size=40, random_crop=True, flip=True)
    windows = []
    for i in range(300):
        item = {name: pixels(value) for name, value in data[i, i % 7].items()}
        cartoon = item["cartoon"]
        assert (item["smooth"] - cartoon == [0, 0, 100]).all()
        mirrored = cartoon[0, 0, 1] > cartoon[0, 1, 1]
        top, left = cartoon[0, 0, 0], cartoon[0, :, 1].min()
        whole = coded(cartoon[0, 0, 2], 40, 56)[top : top + 32, left : left + 32]
        assert (cartoon == (whole[:, ::-1] if mirrored else whole)).all()
        windows.append((top, left, mirrored, item["photo"][0, 0, 0], item["photo"][0, :, 1].min()))
    tops, lefts, mirrored, photo_tops, photo_lefts = np.array(windows).T
    assert set(tops) == set(photo_tops) == set(range(9))
    assert set(lefts) == set(photo_lefts) == set(range(25))
    assert 100 < mirrored.sum() < 200
    assert (tops != photo_tops).sum() > 200


def test_windows_depend_on_seed_and_number(coded_root):
    options = {"smooth": "smooth", "load_size": 40, "random_crop": True, "flip": True}
    first, again, other = (dataset(coded_root, seed=seed, **options) for seed in (0, 0, 1))
    assert same([first[i, 0] for i in range(20)], [again[i, 0] for i in range(20)])
    np.random.seed(5)
    drawn = [first[3] for _ in range(20)]
    np.random.seed(5)
    assert same(drawn, [again[3] for _ in range(20)]) and not same(drawn[:10], drawn[10:])
    assert sum(same([first[i, 0]], [other[i, 0]]) for i in range(20)) < 3
    assert not same([first[3, 0]], [first[4, 0]])


def test_other_cartoons_leave_the_item_as_it_is_and_depend_on_its_number(coded_root):
    plain, more = (dataset(coded_root, random_crop=True, flip=True, other_cartoons=k) for k in (0, 3))
    for number in range(8):
        item, again, without = more[(number, 0)], more[(number, 1)], plain[(number, 0)]
        assert item["other_cartoons"].shape == item["other_smooth"].shape == (3, *item["cartoon"].shape)
        assert {name: value.tobytes() for name, value in without.items()} == {
            name: value.tobytes() for name, value in item.items() if not name.startswith("other")
        }
        assert np.array_equal(item["other_cartoons"], again["other_cartoons"])
    assert not np.array_equal(more[(0, 0)]["other_cartoons"], more[(1, 0)]["other_cartoons"])
    assert not np.array_equal(*more[(0, 0)]["other_cartoons"][:2]) or not np.array_equal(
        *more[(1, 0)]["other_cartoons"][:2]
    )


def test_without_random_crop_and_flip_the_center_is_cropped(coded_root):
    data = dataset(coded_root, smooth="smooth", load_size=40)
    for i in range(20):
        item = data[i, i % 7]
        assert (pixels(item["photo"]) == coded(i % 7, 40, 56)[4:36, 12:44]).all()
        assert (pixels(item["smooth"])[..., :2] == coded(0, 40, 56)[4:36, 12:44, :2]).all()


@pytest.mark.parametrize("smooth", [None, "nowhere"])
def test_without_smoothed_files_the_resized_cartoons_are_smoothed(tmp_path, smooth):
    large = draw_cartoon(0, 120)[:80]  # [80, 120]
    save(tmp_path / "data/cartoons/0.png", large)
    save(tmp_path / "data/photos/0.png", large)
    item = dataset(tmp_path / "data", smooth=smooth)[0]
    seen = resize(large, 32)
    assert seen.shape == (32, 48, 3)
    assert (pixels(item["cartoon"]) == seen[:, 8:40]).all()
    assert (pixels(item["smooth"]) == smooth_edges(seen)[:, 8:40]).all()
    assert (item["smooth"] != item["cartoon"]).any()


def test_drawn_data_are_reproducible():
    first, again, other = (DrawnCartoonDataset(6, 32, flip=True, seed=seed) for seed in (0, 0, 6))
    assert len(first) == 6
    items = [first[i, i % 6] for i in range(12)]
    assert same(items, [again[i, i % 6] for i in range(12)])
    assert not any(same([items[i]], [other[i, i % 6]]) for i in range(12))
    sources = [to_network(smooth_edges(draw_cartoon(i, 32))[None])[0] for i in range(6)]
    straight = [sum((item["smooth"] == s).all() for s in sources) for item in items]
    mirrored = [sum((item["smooth"] == s[..., ::-1]).all() for s in sources) for item in items]
    assert all(a + b == 1 for a, b in zip(straight, mirrored)) and any(straight) and any(mirrored)
