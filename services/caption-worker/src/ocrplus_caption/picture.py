"""A figure's pixels: whether two pictures are the same, and what is sent to the model. Pure.

Sameness is decided by pixels, never by likeness alone: charts of one template look alike to every
perceptual hash. What a crop's border adds is set aside first, so that a logo is the same picture
wherever the layout model drew its box around it; the border's colour still counts, and its widths
where they are more than the box's jitter: a lone bar at the left is not one at the right.
"""

import hashlib
import io
import zlib
from dataclasses import dataclass
from typing import Any, Final

from PIL import Image, ImageChops, ImageFilter, ImageOps, ImageStat

_MOST_PIXELS: Final = 60_000_000
_LOOK: Final = (128, 128)
_PIXEL_NOISE: Final = 6  # of 255, in the worst pixel: what rendering at another place changes
_LOOK_NOISE: Final = _PIXEL_NOISE + 1  # no mean of pixels differs by more, but for rounding
_MEAN_NOISE: Final = 0.3
_FAINT: Final = 2  # of 255: from here on a difference may be drawn, not rounded
_DRAWN: Final = 8  # as many in a row, all brighter or all darker, are a line: noise is scattered
_BOX_JITTER: Final = 64  # pixels at most by which a box around the same content is wider
_BOX_JITTER_SHARE: Final = 0.75  # of the content
_NEAR: Final = 8  # pixels: margins that differ by less are the same
_PNG_UNTIL_BYTES: Final = 256 * 1024
_JPEG_QUALITY: Final = 90


class UnreadablePicture(Exception):
    """The stored bytes are no picture that can be described."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure, without its pixels, which would fill the memory while its call is out.

    `digest` names what is left of them without a margin, and the margin as far as it counts;
    `shape` is its size, `look` is it from afar.
    """

    png: bytes
    size: tuple[int, int]
    digest: str
    shape: str
    look: bytes


@dataclass(frozen=True, slots=True)
class _Content:
    """A picture without its margin."""

    image: Image.Image
    colour: tuple[int, ...] | None
    """The margin's; None where corners differ."""
    margins: tuple[int, int, int, int]

    @property
    def margin_classes(self) -> tuple[int, ...]:
        """Widths in steps of what a box's jitter may add: 0 is as good as none."""
        steps = [
            max(1, int(min(_BOX_JITTER, _BOX_JITTER_SHARE * side))) for side in self.image.size
        ]
        return tuple(margin // steps[i % 2] for i, margin in enumerate(self.margins))

    def stands_like(self, other: "_Content") -> bool:
        """Whether the margins are the same but for a box's jitter."""
        if self.colour is None or other.colour is None:
            return self.colour == other.colour
        shades = (abs(a - b) for a, b in zip(self.colour, other.colour, strict=True))
        return max(shades) <= _PIXEL_NOISE and (
            self.margin_classes == other.margin_classes
            or all(abs(a - b) < _NEAR for a, b in zip(self.margins, other.margins, strict=True))
        )


def read_picture(png: bytes) -> Picture:
    """Decode a figure once and remember what is needed of it.

    Raises:
        UnreadablePicture: it is no PNG, damaged, or too large.
    """
    image = _decoded(png)
    content = _content(image)
    trimmed = content.image
    shape = f"{trimmed.width}x{trimmed.height}"
    digest = hashlib.sha256(f"{shape}:{content.colour}:{content.margin_classes}:".encode())
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


def _content(image: Image.Image) -> _Content:
    """What stands in a margin of one colour, where all corners have it."""
    right, bottom = image.width - 1, image.height - 1
    corners: set[Any] = {  # of RGB: triples
        image.getpixel(at) for at in ((0, 0), (right, 0), (0, bottom), (right, bottom))
    }
    if len(corners) != 1:
        return _Content(image, None, (0, 0, 0, 0))
    colour: tuple[int, ...] = corners.pop()
    blank = Image.new("RGB", image.size, colour)
    box = ImageChops.difference(image, blank).getbbox()
    if box is None:
        return _Content(image, colour, (0, 0, 0, 0))
    margins = box[0], box[1], image.width - box[2], image.height - box[3]
    return _Content(image.crop(box) if any(margins) else image, colour, margins)


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
    first, second = _content(_decoded(a)), _content(_decoded(b))
    if first.image.size != second.image.size or not first.stands_like(second):
        return False
    difference = ImageChops.difference(first.image, second.image)
    worst = max(high for _, high in difference.getextrema())  # type: ignore[misc]  # RGB has three
    if worst > _PIXEL_NOISE or max(ImageStat.Stat(difference).mean) > _MEAN_NOISE:
        return False
    return worst < _FAINT or not (
        _is_drawn(ImageChops.subtract(first.image, second.image))
        or _is_drawn(ImageChops.subtract(second.image, first.image))
    )


def _is_drawn(difference: Image.Image) -> bool:
    """Whether faint differences stand in a line or a patch."""
    red, green, blue = difference.split()
    strongest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    mask = strongest.point([0] * _FAINT + [255] * (256 - _FAINT))
    mask = ImageOps.expand(mask, _DRAWN)  # what is shifted out comes in at the other side
    if mask.filter(ImageFilter.MinFilter(3)).getbbox():
        return True
    return any(_runs(mask, *step) for step in ((1, 0), (0, 1), (1, 1), (1, -1)))


def _runs(mask: Image.Image, right: int, down: int) -> bool:
    length = 1
    while length < _DRAWN:
        shifted = ImageChops.offset(mask, right * length, down * length)
        mask = ImageChops.darker(mask, shifted)
        length *= 2
    return mask.getbbox() is not None


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
