"""What training would find in a folder, before it starts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from .. import images
from ..errors import InputError
from ..utils.threads import threads
from .cache import scaled
from .frame_quality import HASH, perceptual_hash
from .image_folder import image_files, images_in, paired_files

ALIKE = 12  # mean difference of two small copies, of 255, up to which images of nearly the same hash are the same


class Images(NamedTuple):
    """The images of a folder.

    Attributes:
        files: those that can be read.
        sizes: int [N, 2], height and width of each, in pixels.
        means: float [N, 3], mean RGB of each, of 255.
        brightness: int [256], how many pixels of all have which luma.
        bits: bool [N, 64], perceptual hashes.
        small: float32 [N, 256], luma of copies of 16 x 16.
        unreadable: the other files, with the reason.
    """

    files: list[Path]
    sizes: np.ndarray
    means: np.ndarray
    brightness: np.ndarray
    bits: np.ndarray
    small: np.ndarray
    unreadable: dict[Path, str]


class Layout(NamedTuple):
    """Where everything is.

    Attributes:
        photos: folder of the training photos.
        styles: for each style its folders, "cartoons" and, where there are any, those of their twins: "smooth", "gray".
        test: folders of photos that must not be trained on.
    """

    photos: Path
    styles: list[dict[str, Path]]
    test: list[Path]


class Check(NamedTuple):
    """What was found.

    Attributes:
        images: by folder.
        failures: why training would fail, a line each; empty where it would not.
        remarks: what should be looked at, a line each: test photos that cannot be read, or are trained on as well.
    """

    images: dict[Path, Images]
    failures: list[str]
    remarks: list[str]


def layout(root: Path) -> Layout:
    """Finds photos and cartoons by the names of their folders.

    Args:
        root: has `photos` and `cartoons` in it, or, as AnimeGAN's data set, `train_photo` and `<style>/style`.

    Raises:
        InputError: it has neither.
    """
    test = test_folders(root)
    if (root / "photos").is_dir() or (root / "cartoons").is_dir():
        return Layout(root / "photos", [{"cartoons": root / "cartoons", "smooth": root / "smooth"}], test)
    styles = [{"cartoons": path, "smooth": path.with_name("smooth")} for path in sorted(root.glob("*/style"))]
    if not styles:
        raise InputError(
            f"{root}: has neither photos and cartoons nor train_photo and STYLE/style; --config names others"
        )
    return Layout(root / "train_photo", styles, test)


def test_folders(root: Path) -> list[Path]:
    """Folders of photos that have "test" for the beginning of their names, or of their parents'."""
    folders = [folder for top in sorted(root.glob("test*")) if top.is_dir() for folder in (top, *sorted(top.iterdir()))]
    return [folder for folder in folders if folder.name != "label_map" and images_in(folder)]


def look(files: list[Path], title: str, jobs: int | None = None) -> Images:
    """Reads all images.

    Args:
        files: image files.
        title: of the progress bar.
        jobs: threads; None for as many as cores.
    """

    def facts(file: Path) -> tuple | str:
        try:
            rgb = images.read(file).rgb
        except InputError as error:
            return str(error)
        luma = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        small = cv2.resize(luma, (16, 16), interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
        brightness = np.bincount(luma.ravel(), minlength=256)
        return rgb.shape[:2], rgb.mean((0, 1)), brightness, perceptual_hash(rgb), small

    with threads(jobs) as pool:
        found = list(tqdm(pool.imap(facts, files), title, len(files), unit="image", leave=False, disable=None))
    unreadable = {file: each for file, each in zip(files, found) if isinstance(each, str)}
    good = [each for each in found if not isinstance(each, str)]
    sizes, means, brightness, bits, small = zip(*good) if good else ([], [], [], [], [])
    return Images(
        [file for file in files if file not in unreadable],
        np.array(sizes, int).reshape(-1, 2),
        np.array(means).reshape(-1, 3),
        np.sum(brightness, 0, int) if good else np.zeros(256, int),
        np.array(bits, bool).reshape(-1, 64),
        np.array(small, np.float32).reshape(-1, 256),
        unreadable,
    )


def check(places: Layout, load_size: int = 256, batch_size: int = 4, jobs: int | None = None) -> Check:
    """Looks at all that `datasets.UnpairedCartoonDataset` would read.

    Args:
        places: where everything is.
        load_size: shorter side in pixels to which training brings the images.
        batch_size: photos of a step.
        jobs: threads; None for as many as cores.
    """
    found = Check({}, [], [])

    def add(folder: Path, files: list[Path], lines: list[str]) -> Images:
        found.images[folder] = some = look(files, folder.name, jobs)
        lines.extend(f"{file}: {reason}" for file, reason in some.unreadable.items())
        return some

    try:
        photos = add(places.photos, image_files(places.photos), found.failures)
        if len(photos.files) < batch_size:
            found.failures.append(
                f"{places.photos}: {len(photos.files)} photos are fewer than the {batch_size} of a step"
            )
        for folder in (each for each in places.test if each != places.photos):
            pairs = duplicates(photos, add(folder, image_files(folder), found.remarks))
            found.remarks.extend(
                f"{photo}: shows the same as {test}, which tests would judge by" for photo, test in pairs
            )
    except InputError as error:
        found.failures.append(str(error))
    for style in places.styles:
        try:
            files = image_files(style["cartoons"])
            cartoons = add(style["cartoons"], files, found.failures)
            for key, folder in style.items():
                if key == "gray" or (key == "smooth" and folder.is_dir()):  # missing ones of smooth are made
                    others = add(folder, paired_files(files, folder), found.failures)
                    found.failures.extend(_other_shapes(cartoons, others, load_size))
                    found.remarks.extend(_other_pictures(cartoons, others))
        except InputError as error:
            found.failures.append(str(error))
    return found


def _other_shapes(cartoons: Images, twins: Images, load_size: int) -> list[str]:
    sizes = {file.stem: tuple(size) for file, size in zip(cartoons.files, cartoons.sizes)}
    return [
        f"{file}: has another shape than its cartoon"
        for file, size in zip(twins.files, twins.sizes)
        if file.stem in sizes and scaled(*size, load_size) != scaled(*sizes[file.stem], load_size)
    ]


def _other_pictures(cartoons: Images, twins: Images) -> list[str]:
    small = {file.stem: each for file, each in zip(cartoons.files, cartoons.small)}
    return [
        f"{file}: does not show what its cartoon shows; remove it and make it again"
        for file, each in zip(twins.files, twins.small)
        if file.stem in small and np.abs(each - small[file.stem]).mean() > ALIKE
    ]


def duplicates(photos: Images, test: Images) -> list[tuple[Path, Path]]:
    """Training photos that show the same as a test photo, resized or compressed again, and that test photo."""
    a, b = (2 * np.float32(some.bits) - 1 for some in (photos, test))
    found = {}
    for i, j in zip(*np.nonzero(64 - a @ b.T <= 2 * HASH)):  # twice the bits that differ
        if np.abs(photos.small[i] - test.small[j]).mean() < ALIKE:
            found.setdefault(photos.files[i], test.files[j])
    return list(found.items())


def table(found: Check) -> list[str]:
    """What was found, in Markdown: a row for each folder."""
    lines = ["| folder | images | unreadable | height x width | mean red, green, blue |", "|---|---|---|---|---|"]
    for folder, some in found.images.items():
        sizes = Counter(f"{h}x{w}" for h, w in some.sizes).most_common()
        shown = ", ".join(f"{size} ({n})" if len(sizes) > 1 else size for size, n in sizes[:3])
        shown += f" and {len(sizes) - 3} other sizes" if len(sizes) > 3 else ""
        mean = ", ".join(f"{value:.0f}" for value in some.means.mean(0)) if some.files else ""
        lines.append(f"| {folder} | {len(some.files)} | {len(some.unreadable)} | {shown} | {mean} |")
    return lines


def histogram(found: Check, path: Path) -> None:
    """Writes a picture of the brightness of each folder, one below the other.

    Raises:
        OutputError: it cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = {folder: some for folder, some in found.images.items() if some.files}
    figure = Figure(figsize=(8, 1 + 1.4 * len(rows)), layout="constrained")
    for i, (folder, some) in enumerate(rows.items()):
        axes = figure.add_subplot(len(rows), 1, i + 1)
        shares = 100 * some.brightness.reshape(64, 4).sum(1) / some.brightness.sum()
        axes.stairs(shares, np.arange(0, 257, 4), fill=True, color=f"C{i % 10}")
        axes.axvline(some.brightness @ np.arange(256) / some.brightness.sum(), color="black", linestyle=":")
        title = f"{folder}, {len(some.files)} images".encode(errors="replace").decode()
        axes.set_title(title, fontsize="medium", loc="left", parse_math=False)
        axes.set(xlim=(0, 256), ylabel="pixels, %")
    figure.supxlabel("brightness (luma, 0 to 255); dotted: the mean")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    images.write(path, images.Picture(np.asarray(canvas.buffer_rgba())[..., :3].copy()))
