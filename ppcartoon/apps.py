"""A predictor that is used like those of `ppgan.apps`; needs neither ppgan nor Paddle."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image

from . import images
from .errors import InputError
from .inference.jobs import Kind, find_kind
from .inference.predictor import DEFAULT_STYLE, CartoonPredictor
from .video import cartoonize


class CartoonLossGANPredictor:
    """Cartoonizes images and videos, and writes the cartoons to a folder.

    Examples:
        >>> cartoon, path = CartoonLossGANPredictor(output_path="output").run("photo.jpg")

    Args:
        output_path: folder of the cartoons.
        weight_path: a weights file, .pdparams or .safetensors; None for `style`.
        style: a shipped style.
        options: other arguments of `CartoonPredictor`.

    Raises:
        InputError: see `CartoonPredictor`.
    """

    def __init__(
        self,
        output_path: str | os.PathLike = "output",
        weight_path: str | os.PathLike | None = None,
        style: str = DEFAULT_STYLE,
        **options: object,
    ) -> None:
        self.output_path = Path(output_path)
        self.predictor = CartoonPredictor(style, weights_file=weight_path, **options)

    def run(self, input: str | os.PathLike | np.ndarray | Image.Image) -> tuple[Image.Image | None, str]:
        """Cartoonizes an image or a video.

        Args:
            input: path of an image or a video, RGB uint8 array [H, W, 3], or PIL image.

        Returns:
            As ppgan's RealSRPredictor: the cartoon as a PIL image and the path of its .png, which has the name of the
            input, or is result.png for arrays. For a video, None, since its frames are not written one by one, and the
            path of its .mp4.

        Raises:
            InputError: the input cannot be read, or its cartoon would replace it.
            OutputError: the cartoon cannot be written.
        """
        if isinstance(input, (list, tuple)):
            raise InputError("one image or video is expected, got several; call run once for each")
        path = Path(input) if isinstance(input, (str, os.PathLike)) else None
        is_video = path is not None and find_kind(path) is Kind.VIDEO
        target = self.output_path / f"{path.stem if path else 'result'}{'.mp4' if is_video else '.png'}"
        if path and path.resolve() == target.resolve():
            raise InputError(f"{target}: would replace the input; choose another output_path")
        if is_video:
            cartoonize(path, target, self.predictor)
            return None, str(target)
        cartoon = self.predictor(input)
        images.write(target, images.Picture(cartoon))
        return Image.fromarray(cartoon), str(target)
