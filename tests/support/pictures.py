"""Pictures for captions: charts of one template, logos, and crops of them."""

import io
import random

from PIL import Image, ImageDraw, ImageFilter


def png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=1)
    return out.getvalue()


def chart(seed: int, size: tuple[int, int] = (1160, 870)) -> Image.Image:
    """A bar chart of about a megapixel; only its data differ from seed to seed.

    A seed and the next one differ in one bar by one unit, which is three pixels of a megapixel.
    """
    values = _values(seed)
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    width, height = size
    draw.line((80, 40, 80, height - 60), fill="black", width=2)
    draw.line((80, height - 60, width - 40, height - 60), fill="black", width=2)
    draw.text((width // 2 - 60, 14), "Ships per quarter", fill="black")
    step = (width - 140) // len(values)
    for number, value in enumerate(values):
        left = 90 + number * step
        draw.rectangle((left, height - 60 - value * 3, left + step - 12, height - 61), fill="navy")
        draw.text((left, height - 50), f"Q{number + 1}", fill="black")
    return image


def numbered(name: object, size: tuple[int, int] = (400, 870)) -> Image.Image:
    """A small chart with a name in it: no other name's."""
    image = chart(0, size)
    ImageDraw.Draw(image).text((120, 34), f"series {name}", fill="black")
    return image


def _values(seed: int) -> list[int]:
    rng = random.Random(7)
    values = [rng.randint(60, 200) for _ in range(10)]
    values[seed % 10] += 1 + seed // 10
    return values


def subtle_charts() -> list[Image.Image]:
    """Charts that every perceptual hash takes for one: a point, a digit, a shade."""
    found = []
    for change in range(6):
        image = chart(0)
        draw = ImageDraw.Draw(image)
        draw.text((600, 300), f"n = 10{change}", fill="black")
        found.append(image)
    for change in range(6):
        image = chart(0)
        ImageDraw.Draw(image).ellipse((700 + 2 * change, 300, 704 + 2 * change, 304), fill="red")
        found.append(image)
    for change in range(4):
        image = chart(0)
        shade = 200 + 12 * change
        ImageDraw.Draw(image).rectangle((700, 100, 900, 200), fill=(shade, shade, 255))
        found.append(image)
    return found


def logo(size: tuple[int, int] = (220, 120)) -> Image.Image:
    """A logo with round edges and a smooth shade, on white."""
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    for y in range(20, size[1] - 20):
        draw.line((30, y, size[0] - 30, y), fill=(20, 40 + y, 160))
    draw.ellipse((60, 30, 120, 90), fill="gold")
    draw.text((130, 50), "HARBOUR", fill="white")
    return image.filter(ImageFilter.SMOOTH)


def with_margins(image: Image.Image, left: int, top: int, right: int, bottom: int) -> Image.Image:
    """A larger crop of the same white page."""
    size = (image.width + left + right, image.height + top + bottom)
    page = Image.new("RGB", size, "white")
    page.paste(image, (left, top))
    return page


def noisy(image: Image.Image, levels: int, share: float = 0.02) -> Image.Image:
    """Some pixels a few levels off, as rendering at another place gives."""
    rng = random.Random(3)
    copy = image.copy()
    before, pixels = image.load(), copy.load()
    assert before is not None and pixels is not None
    for _ in range(int(image.width * image.height * share)):
        x, y = rng.randrange(image.width // 4, image.width // 2), rng.randrange(40, 80)
        pixel = before[x, y]
        assert isinstance(pixel, tuple)
        pixels[x, y] = tuple(min(255, channel + levels) for channel in pixel)
    return copy


def photo(seed: int, size: tuple[int, int] = (1160, 870)) -> Image.Image:
    """About a megapixel that does not compress."""
    rng = random.Random(seed)
    small = Image.frombytes("RGB", (290, 218), rng.randbytes(290 * 218 * 3))
    return small.resize(size, Image.Resampling.BILINEAR)
