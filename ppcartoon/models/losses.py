"""The losses of CartoonLossGAN, Eqs. 1 to 4 and 6, the three of AnimeGAN that Fig. 8 compares with, and our own.

Pure functions that return unweighted means, to be minimized; `cartoonlossgan` adds them up. AnimeGAN (Chen et al.,
ISICA 2019) calls its three the grayscale adversarial, grayscale style and color reconstruction loss. Our own, which the
paper does not have, are `photo_negative_loss`, `color_head_loss`, `chroma_loss` and `luma_loss`.

Images are float32 RGB [N, 3, H, W] in [-1, 1]. Logits are D's output before any sigmoid, of any shape. Features are
VGG19's, [N, C, H', W']. Half-precision inputs are converted to float32.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

import paddle
import paddle.nn.functional as F
from paddle import Tensor

LUMA = (0.299, 0.587, 0.114)
RGB_TO_YUV = (LUMA, (-0.14714119, -0.28886916, 0.43601035), (0.61497538, -0.51496512, -0.10001026))  # PaddleGAN's
LUMA_CELL = 16  # pixels; side of the squares that `luma_loss` averages
IMAGES = ("fake", "photo", "cartoon", "smooth")  # parameters of additional losses: G(E(p)), p, c and e
ADDITIONAL: dict[str, Callable[..., Tensor]] = {}


def additional(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Decorator: configs can add this loss to G's in stage "cartoon", as `model.additional_losses: {NAME: WEIGHT}`.

    Args:
        loss: returns a scalar; its parameters name the images that it takes, among `IMAGES`.

    Raises:
        TypeError: a parameter is not among `IMAGES`, or the function has the name of another loss.
    """
    if not set(inspect.signature(loss).parameters) <= set(IMAGES):
        raise TypeError(f"{loss.__name__}: an additional loss takes no other parameters than {', '.join(IMAGES)}")
    if loss.__name__ in ("adv", "content", "gray", "color", "tv", "chroma", "luma", "loss"):
        raise TypeError(f"{loss.__name__}: g_{loss.__name__} is another loss in the logs; choose another name")
    ADDITIONAL[loss.__name__] = loss
    return loss


def discriminator_loss(
    real: Tensor, fake: Tensor, smooth: Tensor | None = None, omega: float = 0.1, mode: str = "vanilla"
) -> dict[str, Tensor]:
    """Eq. 1, D's side, the edge-promoting adversarial loss: -[log D(c) + log(1 - D(G(E(p)))) + omega log(1 - D(e))].

    Args:
        real: logits of cartoons c.
        fake: logits of G's cartoons of photos.
        smooth: logits of edge-smoothed cartoons e; None omits the third term.
        omega: weight of the third term.
        mode: "vanilla" or "saturating" as written above, or "lsgan": squared distances to 1 and 0 instead of
            logarithms.

    Returns:
        The terms `d_real`, `d_fake` and `d_smooth` (omega included), and their sum `d_loss`.
    """
    terms = {"d_real": _gan(real, True, mode), "d_fake": _gan(fake, False, mode)}
    if smooth is not None:
        terms["d_smooth"] = omega * _gan(smooth, False, mode)
    return {"d_loss": sum(terms.values()), **terms}


def initial_discriminator_loss(real: Tensor, fake: Tensor, mode: str = "vanilla") -> dict[str, Tensor]:
    """Eq. 6, D's side in stage "init": -[log D(p) + log(1 - D(G(E(p))))].

    Args:
        real: logits of photos p.
        fake: logits of G's reconstructions of the photos.
        mode: see `discriminator_loss`.

    Returns:
        `d_loss` and its terms `d_real` and `d_fake`.
    """
    return discriminator_loss(real, fake, mode=mode)


def animegan_discriminator_loss(
    real: Tensor, fake: Tensor, gray: Tensor, smooth: Tensor | None = None, omega: float = 0.1, mode: str = "vanilla"
) -> dict[str, Tensor]:
    """AnimeGAN's grayscale adversarial loss, D's side:

    -[log D(c) + log(1 - D(G(E(p)))) + log(1 - D(Gray(c))) + omega log(1 - D(Gray(e)))].

    AnimeGAN itself uses squared distances instead of logarithms. G's side is `adversarial_loss`.

    Args:
        real: logits of cartoons c, in color.
        fake: logits of G's cartoons of photos, in color.
        gray: logits of gray cartoons.
        smooth: logits of gray edge-smoothed cartoons; None omits the fourth term.
        omega: weight of the fourth term.
        mode: see `discriminator_loss`.

    Returns:
        As `discriminator_loss`, plus the term `d_gray`.
    """
    terms = {**discriminator_loss(real, fake, smooth, omega, mode), "d_gray": _gan(gray, False, mode)}
    return {**terms, "d_loss": terms["d_loss"] + terms["d_gray"]}


def photo_negative_loss(photo: Tensor, mode: str = "vanilla") -> Tensor:
    """Photos as another kind of negative in D's step: -log(1 - D(p)).

    Args:
        photo: logits of photos p.
        mode: see `discriminator_loss`.
    """
    return _gan(photo, False, mode)


def color_head_loss(predicted: Tensor, image: Tensor) -> Tensor:
    """Sum of the L1 distances in U and V between a prediction from E's features and the image, pooled to their size.

    Args:
        predicted: [N, 2, H/4, W/4].
        image: what E read, [N, 3, H, W].
    """
    return 2 * F.l1_loss(full(predicted), F.avg_pool2d(yuv(image)[:, 1:], 4))


def adversarial_loss(fake: Tensor, mode: str = "vanilla") -> Tensor:
    """Eq. 1, G's side, non-saturating: -log D(G(E(p))).

    Args:
        fake: logits of G's cartoons of photos.
        mode: "vanilla" as written above, "saturating" for log(1 - D(G(E(p)))) as in Eq. 1, whose gradient vanishes
            where D recognizes the cartoons, or "lsgan" for the squared distance to 1.
    """
    return -_gan(fake, False, mode) if mode == "saturating" else _gan(fake, True, mode)


def content_loss(f_fake: Tensor, f_photo: Tensor) -> Tensor:
    """Eq. 2: L1 distance of the features of G(E(p)) and p."""
    return F.l1_loss(full(f_fake), full(f_photo))


def gray_style_loss(f_gray_fake: Tensor, f_gray_cartoon: Tensor) -> Tensor:
    """Eq. 3: L1 distance of the Gram matrices of the features of Gray(G(E(p))) and Gray(c)."""
    return F.l1_loss(gram(f_gray_fake), gram(f_gray_cartoon))


def animegan_style_loss(f_fake: Tensor, f_gray_cartoon: Tensor) -> Tensor:
    """AnimeGAN's grayscale style loss, for Fig. 8: Eq. 3 with the features of G(E(p)) in color."""
    return gray_style_loss(f_fake, f_gray_cartoon)


def color_style_loss(output: Tensor, cartoon: Tensor, delta: float = 1.0, slope: str = "paper") -> Tensor:
    """Eq. 4: L1 distance in Y plus Huber distances in U and V, of c_g = G(E(c)) and c.

    Args:
        output: c_g.
        cartoon: c.
        delta: where the Huber loss turns from quadratic to linear; |U| is at most 0.436 and |V| at most 0.615.
        slope: of its linear part: "paper" for delta, or "unit" for 1, as the L1 distance in Y has. With "unit" and a
            small delta, U and V count as much as Y.
    """
    y, u, v = yuv(output).unbind(1)
    y0, u0, v0 = yuv(cartoon).unbind(1)
    huber = F.smooth_l1_loss(u, u0, delta=delta) + F.smooth_l1_loss(v, v0, delta=delta)
    return F.l1_loss(y, y0) + (huber / delta if slope == "unit" else huber)


def animegan_color_loss(fake: Tensor, photo: Tensor, delta: float = 1.0, slope: str = "paper") -> Tensor:
    """AnimeGAN's color reconstruction loss, for Fig. 8: Eq. 4 of G(E(p)) and p, so that cartoons keep photo colors.

    Args:
        fake: G(E(p)).
        photo: p.
        delta: see `color_style_loss`; AnimeGAN uses 1.
        slope: see `color_style_loss`.
    """
    return color_style_loss(fake, photo, delta, slope)


def chroma_loss(fake: Tensor, photo: Tensor) -> Tensor:
    """Sum of the L1 distances in U and V of G(E(p)) and p: cartoons keep the photo's colors, and lines stay free."""
    return 2 * F.l1_loss(yuv(fake)[:, 1:], yuv(photo)[:, 1:])


def luma_loss(fake: Tensor, photo: Tensor) -> Tensor:
    """L1 distance in Y of G(E(p)) and p, averaged over squares of `LUMA_CELL` pixels: black stays black.

    Pixels that fill no whole square, at the right and at the bottom, are left out.

    Args:
        fake: G(E(p)), at least `LUMA_CELL` pixels high and wide.
        photo: p.
    """
    return F.l1_loss(*(F.avg_pool2d(yuv(image)[:, :1], LUMA_CELL) for image in (fake, photo)))


def gray(image: Tensor) -> Tensor:
    """Luma of an image [N, 3, H, W], repeated in all three channels: same shape and range."""
    image = full(image)
    luma = paddle.to_tensor(LUMA, image.dtype).reshape([1, 3, 1, 1])
    return (image * luma).sum(1, keepdim=True).expand([-1, 3, -1, -1])


def yuv(image: Tensor) -> Tensor:
    """[N, 3, H, W] in [-1, 1] -> Y in [0, 1], U in [-0.436, 0.436], V in [-0.615, 0.615], of the same shape."""
    image = full(image) * 0.5 + 0.5
    return paddle.einsum("kc,nchw->nkhw", paddle.to_tensor(RGB_TO_YUV, image.dtype), image)


def gram(features: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, C, C], divided by C H W."""
    _, c, h, w = features.shape
    f = full(features).flatten(2)
    return paddle.matmul(f, f, transpose_y=True) / (c * h * w)


def full(x: Tensor) -> Tensor:
    """Half precision converted to float32, other types unchanged."""
    return x.astype("float32") if x.dtype in (paddle.float16, paddle.bfloat16) else x


def _gan(logits: Tensor, real: bool, mode: str) -> Tensor:
    logits = full(logits)
    if mode == "lsgan":
        return (logits - float(real)).square().mean()
    return F.softplus(-logits if real else logits).mean()
