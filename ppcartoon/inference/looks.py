"""How much of the photo stays visible in its cartoon: pure functions of the two, hence instant."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ..errors import InputError
from ..images import BAND


def check(keep_colors: float, strength: float) -> None:
    """Raises InputError if one of the two is outside [0, 1]."""
    for name, value in (("keep_colors", keep_colors), ("strength", strength)):
        if not 0 <= value <= 1:
            raise InputError(f"{name} {value}: outside [0, 1]")


def mix(photo: np.ndarray, cartoon: np.ndarray, keep_colors: float = 0.0, strength: float = 1.0) -> np.ndarray:
    """The cartoon with colors of the photo, blended with the photo.

    Args:
        photo: RGB uint8 [H, W, 3].
        cartoon: RGB uint8 [H, W, 3], its cartoon.
        keep_colors: in [0, 1]: share of the photo in Cb and Cr (YCbCr of JPEG, ITU-R BT.601); brightness is the
            cartoon's. 0: the cartoon's colors.
        strength: in [0, 1]: share of the result of that in the RGB values. 0: the photo.

    Returns:
        RGB uint8 [H, W, 3]; the given cartoon itself if nothing changes.

    Raises:
        InputError: a share is outside [0, 1].
    """
    check(keep_colors, strength)
    if keep_colors == 0 and strength == 1:
        return cartoon
    mixed = np.empty_like(cartoon)
    rows = max(1, BAND // cartoon.shape[1])
    for top in range(0, len(cartoon), rows):  # in bands, so that little more than the result is in memory
        band = slice(top, top + rows)
        before, after = Image.fromarray(photo[band]), Image.fromarray(cartoon[band])
        if keep_colors:
            after = _with_colors(before, after, keep_colors)
        mixed[band] = Image.blend(before, after, strength)
    return mixed


def _with_colors(photo: Image.Image, cartoon: Image.Image, share: float) -> Image.Image:
    _, *photo_chroma = photo.convert("YCbCr").split()
    luma, *chroma = cartoon.convert("YCbCr").split()
    blended = [Image.blend(one, other, share) for one, other in zip(chroma, photo_chroma)]
    return Image.merge("YCbCr", (luma, *blended)).convert("RGB")
