"""FID (Heusel et al., NeurIPS 2017) and KID (Bińkowski et al., ICLR 2018), the Fréchet and kernel Inception distances.

Both compare the features [N, D] of two sets of images; all computations are in float64.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.linalg import svdvals
from scipy.linalg.lapack import dpstrf

from ..errors import InputError
from ..utils.files import atomic

MAX_BYTES = 1 << 29  # of an array in a statistics file: 8192 dimensions
ROWS = 1024  # of a kernel matrix computed at a time


class Statistics(NamedTuple):
    """Mean and covariance of features.

    Attributes:
        mu: float64 [D].
        sigma: float64 [D, D], the unbiased estimate (divided by N - 1).
    """

    mu: np.ndarray
    sigma: np.ndarray


class Kid(NamedTuple):
    """A kernel distance.

    Attributes:
        value: the unbiased estimate, which may be negative.
        standard_error: standard error of the estimate.
    """

    value: float
    standard_error: float


def statistics(features: np.ndarray) -> Statistics:
    """Mean and covariance of features [N, D].

    Raises:
        InputError: N is less than 2.
    """
    _require_images(2, "a covariance", features)
    features = np.float64(features)
    return Statistics(features.mean(0), np.atleast_2d(np.cov(features, rowvar=False)))


def load_statistics(path: Path) -> Statistics:
    """Reads an `.npz` file with mu and sigma, as pytorch-fid writes it.

    Raises:
        InputError: the file cannot be read or has other content.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if any(archive.getinfo(f"{key}.npy").file_size > MAX_BYTES for key in Statistics._fields):
                raise ValueError(f"more than {MAX_BYTES >> 20} MB")
        with np.load(path, allow_pickle=False) as table:
            mu, sigma = (np.float64(table[key]) for key in Statistics._fields)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except Exception as error:  # zipfile, NumPy and a missing key raise different exceptions
        raise InputError(f"{path}: not an .npz with mu and sigma ({error})") from error
    if mu.ndim != 1 or not mu.size or sigma.shape != (mu.size, mu.size):
        raise InputError(f"{path}: mu {list(mu.shape)} and sigma {list(sigma.shape)} are not [D] and [D, D]")
    if not (np.isfinite(mu).all() and np.isfinite(sigma).all()):
        raise InputError(f"{path}: contains values that are not finite")
    if not np.allclose(sigma, sigma.T, rtol=1e-5, atol=1e-6 * np.abs(sigma).max()):
        raise InputError(f"{path}: sigma is not symmetric, so it is not a covariance matrix")
    return Statistics(mu, sigma)


def save_statistics(path: Path, statistics: Statistics) -> None:
    """Writes a file for `load_statistics` and pytorch-fid.

    Raises:
        OutputError: the file cannot be written.
    """
    with atomic(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **statistics._asdict())


def frechet_distance(one: Statistics, other: Statistics) -> float:
    """|mu1 - mu2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)).

    With S1 = A^T A and S2 = B^T B, the eigenvalues of S1 S2 are the squared singular values of A B^T, so the trace of
    its square root is the sum of these singular values. This needs no matrix square root, and singular covariances are
    not a special case.

    Raises:
        InputError: the dimensions differ, or a sigma is not a covariance matrix.
    """
    if one.mu.shape != other.mu.shape:
        raise InputError(f"features of {one.mu.size} and of {other.mu.size} dimensions cannot be compared")
    root = svdvals(_factor(one.sigma) @ _factor(other.sigma).T).sum()
    distance = np.square(one.mu - other.mu).sum() + np.trace(one.sigma) + np.trace(other.sigma) - 2 * root
    return max(float(distance), 0.0)


def _factor(sigma: np.ndarray) -> np.ndarray:
    """A [rank, D] with A^T A = sigma, by pivoted Cholesky decomposition, which stops at the rounding error.

    Raises:
        InputError: sigma has a negative eigenvalue.
    """
    upper, pivots, rank, _ = dpstrf(sigma)
    factor = np.empty((rank, len(sigma)))
    factor[:, pivots - 1] = np.triu(upper)[:rank]
    if np.abs(factor.T @ factor - sigma).max() > 1e-6 * np.abs(sigma).max():
        raise InputError("sigma has a negative eigenvalue, so it is not a covariance matrix")
    return factor


def kid(x: np.ndarray, y: np.ndarray) -> Kid:
    """The unbiased estimate of MMD^2 with the kernel (x.y / D + 1)^3, and its standard error.

    The standard error is the two-sample jackknife (Arvesen 1969): the variance of the estimates that leave out one
    image, which follow from the row sums of the kernel matrices.

    Args:
        x: features [M, D].
        y: features [N, D].

    Raises:
        InputError: M or N is less than 3, or the dimensions differ.
    """
    _require_images(3, "KID", x, y)
    if x.shape[1] != y.shape[1]:
        raise InputError(f"features of {x.shape[1]} and of {y.shape[1]} dimensions cannot be compared")
    x, y = np.float64(x), np.float64(y)
    m, n = len(x), len(y)
    xx, yy = _sums_without_itself(x), _sums_without_itself(y)
    xy, yx = _kernel_sums(x, y)
    a, b, c = xx.sum(), yy.sum(), xy.sum()
    value = a / (m * (m - 1)) + b / (n * (n - 1)) - 2 * c / (m * n)
    without_x = (a - 2 * xx) / ((m - 1) * (m - 2)) + b / (n * (n - 1)) - 2 * (c - xy) / ((m - 1) * n)
    without_y = a / (m * (m - 1)) + (b - 2 * yy) / ((n - 1) * (n - 2)) - 2 * (c - yx) / (m * (n - 1))
    variance = (m - 1) * without_x.var() + (n - 1) * without_y.var()
    return Kid(float(value), float(variance**0.5))


def _kernel(products: np.ndarray, dimensions: int) -> np.ndarray:
    return (products / dimensions + 1) ** 3


def _kernel_sums(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row sums [M] and column sums [N] of the kernel matrix of x [M, D] and y [N, D]."""
    rows, columns = [], np.zeros(len(y))
    for i in range(0, len(x), ROWS):
        kernel = _kernel(x[i : i + ROWS] @ y.T, x.shape[1])
        rows.append(kernel.sum(1))
        columns += kernel.sum(0)
    return np.concatenate(rows), columns


def _sums_without_itself(x: np.ndarray) -> np.ndarray:
    """Row sums [M] of the kernel matrix of x [M, D] with itself, without the diagonal."""
    return _kernel_sums(x, x)[0] - _kernel(np.square(x).sum(1), x.shape[1])


def _require_images(number: int, purpose: str, *samples: np.ndarray) -> None:
    fewest = min(map(len, samples))
    if fewest < number:
        raise InputError(f"{purpose} needs at least {number} images, there {'is' if fewest == 1 else 'are'} {fewest}")
