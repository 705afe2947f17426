"""Checks training data before training: unreadable files, wrong shapes, test photos among the training photos."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from .. import images
from ..errors import InputError
from ..utils.tables import markdown_table
from ..utils.threads import threads
from .cache import scaled
from .frame_quality import HASH, perceptual_hash
from .image_folder import image_files, images_in, left_out, paired_files

FEW = 100  # photos or cartoons; docs/own_style.md says how many were tried
ALIKE = 12  # mean difference of two thumbnails, of 255, below which images with nearly equal hashes are the same


class FolderStats(NamedTuple):
    """Statistics of the images of a folder.

    Attributes:
        files: readable files.
        sizes: int [N, 2], height and width in pixels.
        means: float [N, 3], mean RGB, 0 to 255.
        brightness: int [256], histogram of the luma of all pixels.
        bits: bool [N, 64], perceptual hashes.
        small: float32 [N, 256], luma of thumbnails of 16 x 16.
        transparent: number of files with transparent parts.
        unreadable: the other files, each with the message of its error.
    """

    files: list[Path]
    sizes: np.ndarray
    means: np.ndarray
    brightness: np.ndarray
    bits: np.ndarray
    small: np.ndarray
    transparent: int
    unreadable: dict[Path, str]


class DatasetLayout(NamedTuple):
    """The folders of a data set.

    Attributes:
        photos: folder of the training photos.
        styles: the folders of each style: "cartoons" and optionally "smooth", their edge-smoothed files.
        test: folders of test photos, which must not be trained on.
    """

    photos: Path
    styles: list[dict[str, Path]]
    test: list[Path]


class CheckResult(NamedTuple):
    """Result of `check`.

    Attributes:
        stats: statistics by folder.
        failures: reasons why training would fail, one line each.
        warnings: other problems, one line each: test photos that cannot be read or are trained on, paired files that
            show something else, images with transparent parts.
        few: which folders have few images, one line each.
        notes: what training leaves out or enlarges, and the folder of the paper's test images, one line each.
    """

    stats: dict[Path, FolderStats]
    failures: list[str]
    warnings: list[str]
    few: list[str]
    notes: list[str]


def layout(root: Path) -> DatasetLayout:
    """Finds the folders of photos and cartoons by their names.

    Args:
        root: contains `photos` and `cartoons`, or, as AnimeGAN's data set, `train_photo` and `<style>/style`; or is the
            folder of one style of it, which contains `style`.

    Raises:
        InputError: `root` contains none of these.
    """
    if (root / "photos").is_dir() or (root / "cartoons").is_dir():
        style = {"cartoons": root / "cartoons", "smooth": root / "smooth"}
        return DatasetLayout(root / "photos", [style], test_folders(root))
    if (root / "style").is_dir():  # one style of AnimeGAN's data set
        cartoons, root = [root / "style"], root.parent if root.name else root.resolve().parent
    else:
        cartoons = sorted(root.glob("*/style"))
    if not cartoons:
        raise InputError(
            f"{root}: has neither photos and cartoons nor train_photo and STYLE/style; --config names others"
        )
    styles = [{"cartoons": path, "smooth": path.with_name("smooth")} for path in cartoons]
    return DatasetLayout(root / "train_photo", styles, test_folders(root))


def test_folders(root: Path) -> list[Path]:
    """Folders of photos whose names, or their parents' names, begin with "test"."""
    folders = [folder for top in sorted(root.glob("test*")) if top.is_dir() for folder in (top, *sorted(top.iterdir()))]
    return [folder for folder in folders if folder.name != "label_map" and images_in(folder)]


def measure(files: list[Path], title: str, jobs: int | None = None) -> FolderStats:
    """Reads images and computes their statistics.

    Args:
        files: image files.
        title: title of the progress bar.
        jobs: threads; None for one per core.
    """

    def measure_file(file: Path) -> tuple | str:
        try:
            picture = images.read(file)
        except InputError as error:
            return str(error)
        rgb, transparent = images.on_white(picture), picture.alpha is not None and picture.alpha.min() < 255
        luma = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        small = cv2.resize(luma, (16, 16), interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
        brightness = np.bincount(luma.ravel(), minlength=256)
        return rgb.shape[:2], rgb.mean((0, 1)), brightness, perceptual_hash(rgb), small, transparent

    with threads(jobs) as pool:
        found = list(tqdm(pool.imap(measure_file, files), title, len(files), unit="image", leave=False, disable=None))
    unreadable = {file: each for file, each in zip(files, found) if isinstance(each, str)}
    good = [each for each in found if not isinstance(each, str)]
    sizes, means, brightness, bits, small, transparent = zip(*good) if good else [()] * 6
    return FolderStats(
        [file for file in files if file not in unreadable],
        np.array(sizes, int).reshape(-1, 2),
        np.array(means).reshape(-1, 3),
        np.sum(brightness, 0, int) if good else np.zeros(256, int),
        np.array(bits, bool).reshape(-1, 64),
        np.array(small, np.float32).reshape(-1, 256),
        sum(transparent),
        unreadable,
    )


def check(
    folders: DatasetLayout,
    load_size: int = 256,
    batch_size: int = 4,
    jobs: int | None = None,
    recursive: bool = False,
) -> CheckResult:
    """Checks all files that `datasets.UnpairedCartoonDataset` would read, and the test photos.

    Args:
        folders: the folders of the data set.
        load_size: pixels of the shorter side to which training resizes the images.
        batch_size: photos per step.
        jobs: threads; None for one per core.
        recursive: whether training also takes the photos in subfolders.
    """
    result = CheckResult({}, [], [], [], [])

    def add(folder: Path, files: list[Path], lines: list[str]) -> FolderStats:
        result.stats[folder] = stats = measure(files, folder.name, jobs)
        lines.extend(stats.unreadable.values())
        if stats.transparent:
            result.warnings.append(f"{folder}: {stats.transparent} images have transparent parts; training sees white")
        return stats

    try:
        photos = add(folders.photos, image_files(folders.photos, recursive), result.failures)
        _describe(result, folders.photos, "photos", load_size, recursive)
        if len(photos.files) < batch_size:
            result.failures.append(
                f"{folders.photos}: {len(photos.files)} photos are fewer than the {batch_size} of a step"
            )
        for folder in (each for each in folders.test if each != folders.photos):
            if folder.name == "test_photo256":
                result.notes.append(f"{folder}: the paper's test images, from which its FIDs come; not test_photo")
            pairs = duplicates(photos, add(folder, image_files(folder), result.warnings))
            result.warnings.extend(
                f"{photo}: shows the same as {test}, a test photo; remove one of them" for photo, test in pairs
            )
    except InputError as error:
        result.failures.append(str(error))
    for style in folders.styles:
        try:
            files = image_files(style["cartoons"])
            cartoons = add(style["cartoons"], files, result.failures)
            _describe(result, style["cartoons"], "cartoons", load_size)
            folder = style.get("smooth")
            if folder and folder.is_dir():  # otherwise the smoothed cartoons are computed
                smoothed = add(folder, paired_files(files, folder), result.failures)
                result.failures.extend(_wrong_shapes(cartoons, smoothed, load_size))
                result.warnings.extend(_wrong_images(cartoons, smoothed))
        except InputError as error:
            result.failures.append(str(error))
    return result


def _describe(result: CheckResult, folder: Path, kind: str, load_size: int, recursive: bool = False) -> None:
    """Adds what training leaves out, enlarges or has few of in a folder of photos or cartoons."""
    stats, (below, others) = result.stats[folder], left_out(folder, recursive)
    if below:
        how = "; -r checks them, dataset.train.recursive takes them" if kind == "photos" else ""
        result.notes.append(f"{folder}: {below} images in subfolders are left out{how}")
    if others:
        named = ", ".join(f"{ending} ({number})" for ending, number in others.most_common(8))
        result.notes.append(f"{folder}: {others.total()} files of other kinds are left out: {named}")
    if small := int((stats.sizes.min(1) < load_size).sum()):
        result.notes.append(f"{folder}: {small} images have a side under {load_size} pixels; training enlarges them")
    if len(stats.files) < FEW:
        result.few.append(f"{folder}: {len(stats.files)} {kind} are few; docs/own_style.md says how many were tried")


def _wrong_shapes(cartoons: FolderStats, paired: FolderStats, load_size: int) -> list[str]:
    sizes = {file.stem: tuple(size) for file, size in zip(cartoons.files, cartoons.sizes)}
    return [
        f"{file}: has another shape than its cartoon"
        for file, size in zip(paired.files, paired.sizes)
        if file.stem in sizes and scaled(*size, load_size) != scaled(*sizes[file.stem], load_size)
    ]


def _wrong_images(cartoons: FolderStats, paired: FolderStats) -> list[str]:
    small = {file.stem: each for file, each in zip(cartoons.files, cartoons.small)}
    return [
        f"{file}: does not show the same as its cartoon; remove it and make it again"
        for file, each in zip(paired.files, paired.small)
        if file.stem in small and np.abs(each - small[file.stem]).mean() > ALIKE
    ]


def duplicates(photos: FolderStats, test: FolderStats) -> list[tuple[Path, Path]]:
    """Pairs of a training photo and a test photo that show the same, even if resized or compressed again."""
    a, b = (2 * np.float32(stats.bits) - 1 for stats in (photos, test))
    found = {}
    for i, j in zip(*np.nonzero(64 - a @ b.T <= 2 * HASH)):  # twice the number of bits that differ
        if np.abs(photos.small[i] - test.small[j]).mean() < ALIKE:
            found.setdefault(photos.files[i], test.files[j])
    return list(found.items())


def table(result: CheckResult) -> list[str]:
    """The lines of a Markdown table with one row per folder."""
    rows = []
    for folder, stats in result.stats.items():
        sizes = Counter(f"{h}x{w}" for h, w in stats.sizes).most_common()
        shown = ", ".join(f"{size} ({n})" if len(sizes) > 1 else size for size, n in sizes[:3])
        shown += f" and {len(sizes) - 3} other sizes" if len(sizes) > 3 else ""
        mean = ", ".join(f"{value:.0f}" for value in stats.means.mean(0)) if stats.files else ""
        rows.append([folder, len(stats.files), len(stats.unreadable), shown, mean])
    return list(markdown_table(["folder", "images", "unreadable", "height x width", "mean red, green, blue"], rows))


def histogram(result: CheckResult, path: Path) -> None:
    """Writes an image with one brightness histogram per folder.

    Raises:
        OutputError: the image cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = {folder: stats for folder, stats in result.stats.items() if stats.files}
    figure = Figure(figsize=(8, 1 + 1.4 * len(rows)), layout="constrained")
    for i, (folder, stats) in enumerate(rows.items()):
        axes = figure.add_subplot(len(rows), 1, i + 1)
        shares = 100 * stats.brightness.reshape(64, 4).sum(1) / stats.brightness.sum()
        axes.stairs(shares, np.arange(0, 257, 4), fill=True, color=f"C{i % 10}")
        axes.axvline(stats.brightness @ np.arange(256) / stats.brightness.sum(), color="black", linestyle=":")
        title = f"{folder}, {len(stats.files)} images".encode(errors="replace").decode()
        axes.set_title(title, fontsize="medium", loc="left", parse_math=False)
        axes.set(xlim=(0, 256), ylabel="pixels, %")
    figure.supxlabel("brightness (luma, 0 to 255); dotted: the mean")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    images.write(path, images.Picture(np.asarray(canvas.buffer_rgba())[..., :3].copy()))
