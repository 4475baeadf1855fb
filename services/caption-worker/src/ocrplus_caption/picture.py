"""A figure's pixels: whether two pictures are the same, and what is sent to the model. Pure.

Sameness is decided by pixels, never by likeness alone: charts of one template look alike to every
perceptual hash. What a crop's border adds is set aside first, so that a logo is the same picture
wherever the layout model drew its box around it. The border's colour still counts, and so do its
widths where one is more than a box's jitter: there the place of what is drawn may be what it says.
"""

import hashlib
import io
import math
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, Final

from PIL import Image, ImageChops, ImageFilter, ImageOps, ImageStat

_MOST_PIXELS: Final = 60_000_000
_FINE: Final = 256  # points of a look, across and down; half of them where it would be large
_MOST_LOOK_BYTES: Final = 8192
_PIXEL_NOISE: Final = 6  # of 255, in the worst pixel: what rendering at another place changes
_LOOK_NOISE: Final = _PIXEL_NOISE + 1  # no mean of pixels differs by more, but for rounding
_MEAN_NOISE: Final = 0.3
_FAINT: Final = 2  # of 255: from here on a difference may be drawn, not rounded
_DRAWN: Final = 8  # as many in a row, all brighter or all darker, are a line: noise is scattered
_BOX_JITTER: Final = 48  # pixels at most by which a box around the same content is wider
_BOX_JITTER_SHARE: Final = 0.5  # of the content
_TILES: Final = 4  # across, and down: a photograph in one must not blur the count of the others
_TONES: Final = (64, 128, 192)
_STRIPE: Final = 64  # rows hashed at once: fresh memory for all of them costs more than the hash
_PNG_UNTIL_BYTES: Final = 256 * 1024
_JPEG_QUALITY: Final = 90
_BLOCKS_KEPT: Final = 8  # of Pillow's memory: a fresh megapixel costs a thousand page faults

Image.core.set_blocks_max(_BLOCKS_KEPT)  # type: ignore[attr-defined]  # it has no other door


class UnreadablePicture(Exception):
    """The stored bytes are no picture that can be described."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure, without its pixels, which would fill the memory while its call is out.

    `digest` names what is left of them without a margin, and the margin as far as it counts;
    `shape` is its size, `look` is it from afar, `tones` how many of its pixels are how dark.
    """

    png: bytes
    size: tuple[int, int]
    digest: str
    shape: str
    look: bytes
    tones: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Content:
    """A picture without its margin."""

    image: Image.Image
    colour: tuple[int, ...] | None
    """The margin's; None where corners differ."""
    margins: tuple[int, int, int, int]

    @property
    def place(self) -> tuple[int, int, int, int] | None:
        """Where it stands, if that says anything: None in a margin that is but a box's jitter."""
        jitter = [min(_BOX_JITTER, _BOX_JITTER_SHARE * side) for side in self.image.size]
        narrow = all(margin <= jitter[i % 2] for i, margin in enumerate(self.margins))
        return None if narrow else self.margins

    def stands_like(self, other: "_Content") -> bool:
        """Whether the margins are the same but for a box's jitter."""
        if self.colour is None or other.colour is None:
            return self.colour == other.colour
        shades = (abs(a - b) for a, b in zip(self.colour, other.colour, strict=True))
        return max(shades) <= _PIXEL_NOISE and self.place == other.place


def read_picture(png: bytes) -> Picture:
    """Decode a figure once and remember what is needed of it.

    Raises:
        UnreadablePicture: it is no PNG, damaged, or too large.
    """
    image = _decoded(png)
    content = _content(image)
    trimmed = content.image
    shape = f"{trimmed.width}x{trimmed.height}"
    digest = hashlib.sha256(f"{shape}:{content.colour}:{content.place}:".encode())
    for top in range(0, trimmed.height, _STRIPE):
        stripe = trimmed.crop((0, top, trimmed.width, min(top + _STRIPE, trimmed.height)))
        digest.update(stripe.tobytes())
    grey = trimmed.convert("L")
    return Picture(png, image.size, digest.hexdigest()[:40], shape, _look(grey), _tones(grey))


def _look(grey: Image.Image) -> bytes:
    """As fine as fits: a point of a fine look is so few pixels that one of them shows."""
    fine = grey.resize((_FINE, _FINE), Image.Resampling.BOX)
    look = zlib.compress(fine.tobytes(), 1)
    return look if len(look) <= _MOST_LOOK_BYTES else zlib.compress(fine.reduce(2).tobytes(), 1)


def _tones(grey: Image.Image) -> tuple[int, ...]:
    """Of each tile how many pixels are no lighter than some tones, and a noise below and above."""
    across, down = ([side * n // _TILES for n in range(_TILES + 1)] for side in grey.size)
    tones: list[int] = []
    for top, bottom in pairwise(down):
        for left, right in pairwise(across):
            counted = list(accumulate(grey.crop((left, top, right, bottom)).histogram()))
            for tone in _TONES:
                tones += counted[tone - _LOOK_NOISE], counted[tone], counted[tone + _LOOK_NOISE]
    return tuple(tones)


def _decoded(png: bytes) -> Image.Image:
    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as opened:
            if opened.width * opened.height > _MOST_PIXELS:
                raise UnreadablePicture
            opened.load()
            return opened if opened.mode == "RGB" else opened.convert("RGB")
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


def are_toned_alike(a: Sequence[int], b: Sequence[int]) -> bool:
    """Whether as many pixels are as dark: no noise moves a pixel past the tones beside its own."""
    return all(
        below <= count <= above
        for below, count, above in zip(a[::3], b[1::3], a[2::3], strict=True)
    )


def look_alike(a: bytes, others: Iterable[bytes]) -> Iterator[int]:
    """Which looks are worth a comparison of pixels: what is the same always is."""
    own = _seen(a)
    for number, other in enumerate(map(_seen, others)):
        first, second = own, other
        if first.size != second.size:
            first, second = (look.reduce(look.width * 2 // _FINE) for look in (first, second))
        extremes: Any = ImageChops.difference(first, second).getextrema()  # of one band: a pair
        if extremes[1] <= _LOOK_NOISE:
            yield number


def _seen(look: bytes) -> Image.Image:
    raw = zlib.decompress(look)
    side = math.isqrt(len(raw))
    return Image.frombytes("L", (side, side), raw)


def first_same(png: bytes, others: Iterable[bytes]) -> int | None:
    """Which of some PNGs is this one's picture, but for what rendering at another place changes;
    those that cannot be read are not.

    Raises:
        UnreadablePicture: this one is none.
    """
    content = _content(_decoded(png))
    for number, other in enumerate(others):
        with suppress(UnreadablePicture):
            if _are_same(content, _content(_decoded(other))):
                return number
    return None


def _are_same(first: _Content, second: _Content) -> bool:
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
