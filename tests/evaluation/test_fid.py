"""FID and KID: closed forms, singular covariances, the values of pytorch-fid, and statistics files."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg

from ppcartoon.errors import InputError
from ppcartoon.evaluation import fid
from ppcartoon.evaluation.fid import Statistics, frechet_distance, kid, statistics
from tests.helpers.samples import FIXTURES

ORACLE = os.environ.get("PPCARTOON_ORACLE")
ARCHIVES = [FIXTURES / "inception.npz"] + ([Path(ORACLE) / "inception.npz"] if ORACLE else [])


def covariance(d, rank, seed=0):
    a = np.random.default_rng(seed).standard_normal((rank, d))
    return a.T @ a / rank


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.parent.name)
def test_distances_equal_those_of_pytorch_fid(archive):
    with np.load(archive) as table:
        a, b, wanted = table["a"], table["b"], {20: table["fid_first20"]}
        if "fid" in table:
            wanted[len(a)] = table["fid"]
    for count, distance in wanted.items():
        found = frechet_distance(statistics(a[:count]), statistics(b[:count]))
        assert found == pytest.approx(float(distance), rel=1e-6), count


@pytest.mark.parametrize("rank", [1, 5, 30])
def test_fid_with_equal_covariances_is_the_squared_distance_of_the_means(rank):
    sigma, shift = covariance(30, rank), np.random.default_rng(1).standard_normal(30)
    found = frechet_distance(Statistics(np.zeros(30), sigma), Statistics(shift, sigma))
    assert found == pytest.approx(shift @ shift, rel=1e-9)


def test_fid_with_commuting_covariances_is_the_squared_distance_of_their_square_roots():
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((20, 20)))[0]
    one, other = np.arange(20.0) ** 2, np.arange(20.0)[::-1] ** 2  # eigenvalues, each with a zero
    found = frechet_distance(*(Statistics(np.zeros(20), basis * values @ basis.T) for values in (one, other)))
    assert found == pytest.approx(np.square(np.sqrt(one) - np.sqrt(other)).sum(), rel=1e-9)


def test_fid_in_one_dimension():
    x, y = np.float32([[0], [2], [4]]), np.float32([[5], [6], [7]])
    assert frechet_distance(statistics(x), statistics(y)) == pytest.approx(4**2 + (2 - 1) ** 2)


def test_fid_of_regular_covariances_equals_the_formula_with_a_matrix_square_root():
    one, other = covariance(40, 60, 1), covariance(40, 90, 2)
    root = np.trace(scipy.linalg.sqrtm(one @ other)).real
    found = frechet_distance(Statistics(np.zeros(40), one), Statistics(np.zeros(40), other))
    assert found == pytest.approx(np.trace(one) + np.trace(other) - 2 * root, rel=1e-9)


def test_fid_of_features_in_orthogonal_subspaces_is_the_sum_of_their_variances():
    x, y = np.zeros((5, 8)), np.zeros((6, 8))
    x[:, :3] = np.random.default_rng(0).standard_normal((5, 3))
    y[:, 5:] = np.random.default_rng(1).standard_normal((6, 3))
    wanted = np.square(x.mean(0) - y.mean(0)).sum() + x.var(0, ddof=1).sum() + y.var(0, ddof=1).sum()
    assert frechet_distance(statistics(x), statistics(y)) == pytest.approx(wanted, rel=1e-12)


def test_fid_is_exact_for_few_images_and_very_different_scales():
    """Most dimensions are scaled by 1e-6: rounding errors in them must not add to the distance."""
    scales = np.where(np.arange(200) < 5, 1, 1e-6)
    x = np.random.default_rng(0).standard_normal((40, 200)) * scales
    y = x * -1  # the same covariance
    wanted = 4 * np.square(x.mean(0)).sum()
    assert frechet_distance(statistics(x), statistics(y)) == pytest.approx(wanted, rel=1e-9)
    assert frechet_distance(statistics(x), statistics(x)) == pytest.approx(0, abs=1e-12)


def test_fid_with_identical_images():
    x, y = np.full((5, 8), 0.5), np.random.default_rng(0).standard_normal((9, 8))
    wanted = np.square(y.mean(0) - 0.5).sum() + y.var(0, ddof=1).sum()
    assert frechet_distance(statistics(x), statistics(y)) == pytest.approx(wanted, rel=1e-12)
    assert frechet_distance(statistics(x), statistics(x + 1)) == pytest.approx(8)


def test_fid_is_symmetric_and_independent_of_image_order():
    x, y = (np.random.default_rng(i).standard_normal((n, 30)) ** 3 for i, n in ((0, 20), (1, 50)))
    assert frechet_distance(statistics(x), statistics(y)) == pytest.approx(
        frechet_distance(statistics(y[::-1]), statistics(x)), rel=1e-12
    )


def test_statistics_round_trip_through_the_file_of_pytorch_fid(tmp_path):
    one = statistics(np.random.default_rng(0).standard_normal((9, 4)))
    fid.save_statistics(tmp_path / "a.npz", one)
    np.savez_compressed(tmp_path / "theirs.npz", mu=one.mu, sigma=one.sigma)
    for name in ("a.npz", "theirs.npz"):
        read = fid.load_statistics(tmp_path / name)
        assert np.array_equal(read.mu, one.mu) and np.array_equal(read.sigma, one.sigma)
    assert sorted(np.load(tmp_path / "a.npz")) == ["mu", "sigma"]


def npz(path, **arrays):
    np.savez(path, **arrays)
    return path


GOOD = {"mu": np.zeros(3), "sigma": np.eye(3)}


@pytest.mark.parametrize(
    "changed, reason",
    [
        ({"mu": np.zeros(4)}, "mu [4] and sigma [3, 3] are not [D] and [D, D]"),
        ({"sigma": np.zeros((3, 2))}, "are not [D] and [D, D]"),
        ({"mu": np.zeros((1, 3))}, "are not [D] and [D, D]"),
        ({"mu": np.zeros(0), "sigma": np.zeros((0, 0))}, "are not [D] and [D, D]"),
        ({"mu": np.full(3, np.nan)}, "not finite"),
        ({"sigma": np.diag([1, np.inf, 1])}, "not finite"),
        ({"sigma": np.triu(np.ones((3, 3)))}, "not symmetric"),
        ({"sigma": np.full((3, 3), "a")}, "not an .npz with mu and sigma"),
        ({"sigma": np.array([[{}] * 3] * 3, object)}, "not an .npz with mu and sigma"),
    ],
)
def test_invalid_statistics_file_gives_an_error(tmp_path, changed, reason):
    path = npz(tmp_path / "a.npz", **{**GOOD, **changed})
    with pytest.raises(InputError) as caught:
        fid.load_statistics(path)
    assert str(caught.value).startswith(f"{path}: ") and reason in str(caught.value)


def test_damaged_or_too_large_statistics_file_gives_an_error(tmp_path, monkeypatch):
    good = npz(tmp_path / "good.npz", **GOOD).read_bytes()
    path = tmp_path / "a.npz"
    for data in (b"", good[:100], good[:-1], b"mu,sigma\n"):
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"not an .npz with mu and sigma"):
            fid.load_statistics(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mu.npy", bytes(10))
        with archive.open("sigma.npy", "w", force_zip64=True) as file:
            for _ in range(9):
                file.write(bytes(1 << 20))
    monkeypatch.setattr(fid, "MAX_BYTES", 8 << 20)
    with pytest.raises(InputError, match="more than 8 MB"):
        fid.load_statistics(path)
    with pytest.raises(InputError, match="No such file"):
        fid.load_statistics(tmp_path / "invalid.npz")


@pytest.mark.parametrize("sigma", [[[0, 1], [1, 0]], [[1, 2], [2, 1]], [[1, 0], [0, -1]], [[-1, 0], [0, -1]]])
def test_matrix_with_a_negative_eigenvalue_gives_an_error(sigma):
    invalid = Statistics(np.zeros(2), np.float64(sigma))
    with pytest.raises(InputError, match="a negative eigenvalue"):
        frechet_distance(invalid, Statistics(np.zeros(2), np.eye(2)))


@pytest.mark.parametrize("function, least", [(lambda x: statistics(x), 2), (lambda x: kid(x, np.zeros((9, 4))), 3)])
def test_too_few_images_give_an_error(function, least):
    function(np.zeros((least, 4)))
    with pytest.raises(InputError, match=f"needs at least {least} images, there (is|are) {least - 1}$"):
        function(np.zeros((least - 1, 4)))


def test_features_of_different_dimensions_give_an_error():
    x, y = np.zeros((5, 3)), np.zeros((5, 4))
    for function in (kid, lambda *both: frechet_distance(*map(statistics, both))):
        with pytest.raises(InputError, match="features of 3 and of 4 dimensions"):
            function(x, y)


def slow_mmd(x, y):
    """The unbiased estimate, term by term."""
    d = x.shape[1]
    k = lambda a, b: (a @ b / d + 1) ** 3  # noqa: E731
    within = [np.mean([k(s[i], s[j]) for i in range(len(s)) for j in range(len(s)) if i != j]) for s in (x, y)]
    return sum(within) - 2 * np.mean([k(a, b) for a in x for b in y])


def test_kid_and_its_standard_error_equal_the_explicit_jackknife(monkeypatch):
    monkeypatch.setattr(fid, "ROWS", 4)  # the kernel matrix is computed in several parts
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((7, 5)), rng.standard_normal((9, 5)) * 1.5 + 0.3
    found = kid(np.float32(x), np.float32(y))
    assert found.value == pytest.approx(slow_mmd(x, y), rel=1e-5)
    variance = 0
    for sample, other in ((x, y), (y, x)):
        without = np.array([slow_mmd(np.delete(sample, i, 0), other) for i in range(len(sample))])
        variance += (len(sample) - 1) * without.var()
    assert found.standard_error == pytest.approx(variance**0.5, rel=1e-5)


def draws(shift, count=300, n=40):
    rng = np.random.default_rng(3)
    return [kid(rng.standard_normal((n, 6)), rng.standard_normal((n + 20, 6)) + shift) for _ in range(count)]


def test_kid_is_unbiased():
    values = np.array([one.value for one in draws(0)])
    assert abs(values.mean()) < 3 * values.std() / len(values) ** 0.5
    assert (values < 0).mean() > 0.3  # the true distance is 0


def test_standard_error_of_kid_is_the_standard_deviation_of_repeated_draws():
    found = draws(0.8)
    spread = np.std([one.value for one in found])
    assert np.mean([one.standard_error for one in found]) == pytest.approx(spread, rel=0.15)


def test_fid_depends_on_the_number_of_images_and_kid_does_not():
    rng = np.random.default_rng(0)
    few, many = ([(rng.standard_normal((n, 50)), rng.standard_normal((n, 50))) for _ in range(5)] for n in (60, 600))
    means = [np.mean([frechet_distance(*map(statistics, pair)) for pair in pairs]) for pairs in (few, many)]
    assert means[0] > 5 * means[1]
    for pairs in (few, many):
        found = [kid(*pair) for pair in pairs]
        assert abs(np.mean([one.value for one in found])) < 3 * np.mean([one.standard_error for one in found])
