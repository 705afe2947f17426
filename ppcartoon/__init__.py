"""Photos into cartoons with CartoonLossGAN (Dong et al., IEEE TIP 2021)."""

from __future__ import annotations

import zlib  # noqa: F401  before Paddle 2.6, whose own copy of the library would be taken for Python's
from typing import TYPE_CHECKING

from .errors import InputError

if TYPE_CHECKING:
    from .inference.predictor import CartoonPredictor

__version__ = "0.1.0"
__all__ = ["CartoonPredictor", "InputError", "__version__"]


def __getattr__(name: str) -> object:
    """Imports the predictor, and NumPy with it, on first use."""
    if name == "CartoonPredictor":
        from .inference.predictor import CartoonPredictor

        return CartoonPredictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
