"""A figure's pixels: whether two pictures are the same, and what is sent to the model. Pure.

Sameness is decided by pixels, never by likeness alone: charts of one template look alike to every
perceptual hash. What a crop's border adds is trimmed first, so that a logo is the same picture
wherever the layout model drew its box around it.
"""

import hashlib
import io
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageChops, ImageStat

_MOST_PIXELS: Final = 60_000_000
_THUMBNAIL: Final = (32, 32)
_THUMBNAIL_NOISE: Final = 4
_PIXEL_NOISE: Final = 8  # of 255, in the worst pixel: what rendering at another place changes
_MEAN_NOISE: Final = 0.3
_PNG_UNTIL_BYTES: Final = 256 * 1024
_JPEG_QUALITY: Final = 90


class UnreadablePicture(Exception):
    """The stored bytes are no picture that can be described."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure, decoded: `digest` names its trimmed pixels, `thumbnail` is its look from afar."""

    png: bytes
    image: Image.Image
    trimmed: Image.Image
    digest: str
    thumbnail: bytes

    @property
    def shape(self) -> str:
        """Size of what was not trimmed: only pictures of the same one can be the same."""
        return f"{self.trimmed.width}x{self.trimmed.height}"


def read_picture(png: bytes) -> Picture:
    """Decode a figure.

    Raises:
        UnreadablePicture: it is no PNG, damaged, or too large.
    """
    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as opened:
            if opened.width * opened.height > _MOST_PIXELS:
                raise UnreadablePicture
            image = opened.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UnreadablePicture from error
    trimmed = _trimmed(image)
    digest = hashlib.sha256(f"{trimmed.width}x{trimmed.height}:".encode())
    digest.update(trimmed.tobytes())
    thumbnail = trimmed.convert("L").resize(_THUMBNAIL, Image.Resampling.BOX).tobytes()
    return Picture(png, image, trimmed, digest.hexdigest()[:40], thumbnail)


def _trimmed(image: Image.Image) -> Image.Image:
    """Without a margin of one colour, where all corners have it."""
    right, bottom = image.width - 1, image.height - 1
    corners = {image.getpixel(at) for at in ((0, 0), (right, 0), (0, bottom), (right, bottom))}
    if len(corners) != 1:
        return image
    blank = Image.new("RGB", image.size, corners.pop())
    box = ImageChops.difference(image, blank).getbbox()
    return image.crop(box) if box else image


def look_alike(a: bytes, b: bytes) -> bool:
    """Whether two thumbnails are worth a comparison of pixels."""
    return len(a) == len(b) and all(
        abs(x - y) <= _THUMBNAIL_NOISE for x, y in zip(a, b, strict=True)
    )


def are_same(a: Picture, b: Picture) -> bool:
    """Whether two pictures are one, but for what rendering at another place changes."""
    if a.trimmed.size != b.trimmed.size:
        return False
    difference = ImageChops.difference(a.trimmed, b.trimmed)
    worst = max(high for _, high in difference.getextrema())  # type: ignore[misc]  # RGB has three
    return worst <= _PIXEL_NOISE and max(ImageStat.Stat(difference).mean) <= _MEAN_NOISE


def oblong(picture: Picture) -> float:
    """How much longer than wide, or wider than long."""
    width, height = picture.image.size
    return max(width / height, height / width)


def encoded(picture: Picture, max_pixels: int) -> tuple[str, bytes]:
    """Media type and bytes for the model: scaled down, a large PNG as JPEG."""
    image = picture.image
    pixels = image.width * image.height
    if pixels <= max_pixels and len(picture.png) <= _PNG_UNTIL_BYTES:
        return "image/png", picture.png
    if pixels > max_pixels:
        scale = (max_pixels / pixels) ** 0.5
        size = (max(1, int(image.width * scale)), max(1, int(image.height * scale)))
        image = image.resize(size, Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return "image/jpeg", out.getvalue()
