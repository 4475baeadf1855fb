"""A figure's pixels: whether two pictures are the same, and what is sent to the model. Pure.

Sameness is decided by pixels, never by likeness alone: charts of one template look alike to every
perceptual hash. What a crop's border adds is trimmed first, so that a logo is the same picture
wherever the layout model drew its box around it.
"""

import hashlib
import io
import zlib
from dataclasses import dataclass
from typing import Any, Final

from PIL import Image, ImageChops, ImageStat

_MOST_PIXELS: Final = 60_000_000
_LOOK: Final = (128, 128)
_PIXEL_NOISE: Final = 8  # of 255, in the worst pixel: what rendering at another place changes
_LOOK_NOISE: Final = _PIXEL_NOISE + 1  # no mean of pixels differs by more, but for rounding
_MEAN_NOISE: Final = 0.3
_PNG_UNTIL_BYTES: Final = 256 * 1024
_JPEG_QUALITY: Final = 90


class UnreadablePicture(Exception):
    """The stored bytes are no picture that can be described."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure, without its pixels, which would fill the memory while its call is out.

    `digest` names what is left of them without a margin, `shape` its size, `look` is it from afar.
    """

    png: bytes
    size: tuple[int, int]
    digest: str
    shape: str
    look: bytes


def read_picture(png: bytes) -> Picture:
    """Decode a figure once and remember what is needed of it.

    Raises:
        UnreadablePicture: it is no PNG, damaged, or too large.
    """
    image = _decoded(png)
    trimmed = _trimmed(image)
    shape = f"{trimmed.width}x{trimmed.height}"
    digest = hashlib.sha256(f"{shape}:".encode())
    digest.update(trimmed.tobytes())
    look = trimmed.convert("L").resize(_LOOK, Image.Resampling.BOX).tobytes()
    return Picture(png, image.size, digest.hexdigest()[:40], shape, zlib.compress(look, 1))


def _decoded(png: bytes) -> Image.Image:
    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as opened:
            if opened.width * opened.height > _MOST_PIXELS:
                raise UnreadablePicture
            return opened.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UnreadablePicture from error


def _trimmed(image: Image.Image) -> Image.Image:
    """Without a margin of one colour, where all corners have it."""
    right, bottom = image.width - 1, image.height - 1
    corners = {image.getpixel(at) for at in ((0, 0), (right, 0), (0, bottom), (right, bottom))}
    if len(corners) != 1:
        return image
    blank = Image.new("RGB", image.size, corners.pop())
    box = ImageChops.difference(image, blank).getbbox()
    return image.crop(box) if box and box != (0, 0, *image.size) else image


def look_alike(a: bytes, b: bytes) -> bool:
    """Whether two looks are worth a comparison of pixels: what is the same always is."""
    first, second = (Image.frombytes("L", _LOOK, zlib.decompress(look)) for look in (a, b))
    extremes: Any = ImageChops.difference(first, second).getextrema()  # of one band: a pair
    return bool(extremes[1] <= _LOOK_NOISE)


def are_same(a: bytes, b: bytes) -> bool:
    """Whether two PNGs are one picture, but for what rendering at another place changes.

    Raises:
        UnreadablePicture: one is none.
    """
    first, second = _trimmed(_decoded(a)), _trimmed(_decoded(b))
    if first.size != second.size:
        return False
    difference = ImageChops.difference(first, second)
    worst = max(high for _, high in difference.getextrema())  # type: ignore[misc]  # RGB has three
    return worst <= _PIXEL_NOISE and max(ImageStat.Stat(difference).mean) <= _MEAN_NOISE


def oblong(picture: Picture) -> float:
    """How much longer than wide, or wider than long."""
    width, height = picture.size
    return max(width / height, height / width)


def encoded(picture: Picture, max_pixels: int) -> tuple[str, bytes]:
    """Media type and bytes for the model: scaled down, a large PNG as JPEG."""
    width, height = picture.size
    pixels = width * height
    if pixels <= max_pixels and len(picture.png) <= _PNG_UNTIL_BYTES:
        return "image/png", picture.png
    image = _decoded(picture.png)
    if pixels > max_pixels:
        scale = (max_pixels / pixels) ** 0.5
        size = (max(1, int(width * scale)), max(1, int(height * scale)))
        image = image.resize(size, Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return "image/jpeg", out.getvalue()
