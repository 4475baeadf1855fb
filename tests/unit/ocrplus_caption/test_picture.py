import io
from itertools import pairwise

import pictures
import pytest
from PIL import Image, ImageDraw

from ocrplus_caption.picture import (
    Picture,
    UnreadablePicture,
    are_toned_alike,
    encoded,
    first_same,
    look_alike,
    oblong,
    read_picture,
)


def are_same(one: bytes, other: bytes) -> bool:
    return first_same(one, [b"", other]) == 1


def are_worth_comparing(one: Picture, other: Picture) -> bool:
    return are_toned_alike(one.tones, other.tones) and list(look_alike(one.look, [other.look])) == [
        0
    ]


def test_200_charts_of_one_template_are_200_pictures() -> None:
    charts = [read_picture(pictures.png(pictures.chart(seed, (580, 720)))) for seed in range(200)]

    assert len({chart.digest for chart in charts}) == 200
    # Ten further on the same bar is one unit higher: the most alike there are.
    merged = [seed for seed in range(10, 200) if are_same(charts[seed].png, charts[seed - 10].png)]
    assert merged == []


def test_a_digit_a_point_or_a_shade_makes_another_picture() -> None:
    charts = [read_picture(pictures.png(image)) for image in pictures.subtle_charts()]
    pairs = list(pairwise(charts))  # a step apart: the most alike

    assert len({chart.digest for chart in charts}) == len(charts)
    assert [pair for pair in pairs if are_same(pair[0].png, pair[1].png)] == []


@pytest.mark.parametrize("margins", [(0, 0, 0, 0), (3, 0, 7, 1), (0, 12, 5, 9)])
def test_a_logo_is_the_same_wherever_its_box_is_drawn(margins: tuple[int, int, int, int]) -> None:
    crop = pictures.with_margins(pictures.logo(), *margins)

    assert (
        read_picture(pictures.png(crop)).digest
        == read_picture(pictures.png(pictures.logo())).digest
    )


def drawn(*boxes: tuple[tuple[int, int, int, int], str], page: str = "white") -> bytes:
    image = Image.new("RGB", (900, 600), page)
    for box, colour in boxes:
        ImageDraw.Draw(image).rectangle(box, fill=colour)
    return pictures.png(image)


BAR = drawn(((50, 100, 90, 500), "blue"))
SQUARE = drawn(((300, 200, 500, 400), "red"))
FRAME = ((0, 0, 899, 599), "black"), ((2, 2, 897, 597), "white")


@pytest.mark.parametrize(
    "one, other",
    [
        (BAR, drawn(((800, 100, 840, 500), "blue"))),
        (BAR, drawn(((150, 100, 190, 500), "blue"))),
        (SQUARE, drawn(((300, 200, 500, 400), "red"), page="black")),
        (SQUARE, drawn(((300, 200, 500, 400), "red"), page="#fff0ff")),
        (SQUARE, drawn(((300, 50, 500, 250), "red"))),
        (SQUARE, drawn(((301, 200, 501, 400), "red"))),
        (SQUARE, pictures.png(Image.new("RGB", (201, 201), "red"))),
    ],
)
def test_where_and_on_what_it_stands_makes_another_picture(one: bytes, other: bytes) -> None:
    assert read_picture(one).digest != read_picture(other).digest
    assert not are_same(one, other)


@pytest.mark.parametrize("shade", ["#f7f7f7", "#fafafa", "#fcfcfc", "#fffffa"])
@pytest.mark.parametrize(
    "lines",
    [
        [(100, 100, 700, 102), (100, 200, 700, 205)],
        [(100, 100, 700, 100)],
        [(100, 100, 100, 300)],
        [(100, 100, 102, 102)],
    ],
)
def test_faint_lines_make_another_picture(lines: list[tuple[int, ...]], shade: str) -> None:
    plain = drawn(*FRAME)
    lined = drawn(*FRAME, *((line, shade) for line in lines))

    assert read_picture(plain).digest != read_picture(lined).digest
    assert not are_same(plain, lined) and not are_same(lined, plain)


def test_a_faint_slanted_line_makes_another_picture() -> None:
    image = Image.new("RGB", (300, 300), "black")
    image.paste("white", (2, 2, 298, 298))
    plain = pictures.png(image)
    ImageDraw.Draw(image).line((50, 200, 200, 50), fill="#fafafa")

    assert not are_same(plain, pictures.png(image))


def test_a_crop_with_jitter_and_noise_is_the_same() -> None:
    logo = pictures.png(pictures.logo())
    for margins in [(0, 0, 0, 0), (2, 2, 1, 1), (0, 12, 5, 9), (20, 0, 0, 0)]:
        crop = pictures.with_margins(pictures.noisy(pictures.logo(), 5), *margins)

        assert are_same(logo, pictures.png(crop)) == (margins[0] < 20)  # 29 are there


def test_what_rendering_changes_is_the_same_picture_and_no_more() -> None:
    logo = read_picture(pictures.png(pictures.logo()))
    faint = read_picture(pictures.png(pictures.noisy(pictures.logo(), 5)))
    strong = read_picture(pictures.png(pictures.noisy(pictures.logo(), 20)))
    everywhere = read_picture(pictures.png(pictures.noisy(pictures.logo(), 5, share=2.0)))

    assert (
        logo.digest != faint.digest
        and are_same(logo.png, faint.png)
        and are_worth_comparing(logo, faint)
    )
    assert not are_same(logo.png, strong.png)
    assert not are_same(logo.png, everywhere.png), "a shade of everything is a difference"


@pytest.mark.parametrize("seed", range(4))
def test_what_is_the_same_is_always_compared(seed: int) -> None:
    """Every pixel off by as much as noise may be, in one direction, of pictures of all kinds."""
    from PIL import ImageChops

    for image in (pictures.photo(seed, (300, 200)), pictures.chart(seed, (301, 203))):
        for step in (6, -6):
            moved = ImageChops.add(image, Image.new("RGB", image.size, (abs(step),) * 3))
            one, other = (image, moved) if step > 0 else (moved, image)
            one.paste("black", (0, 0, 1, 1))
            other.paste("black", (0, 0, 1, 1))  # unlike corners: no margin to trim
            assert are_worth_comparing(*(read_picture(pictures.png(i)) for i in (one, other)))


def test_looks_of_unlike_fineness_are_compared() -> None:
    import random
    import zlib

    noise = random.Random(1).randbytes(256 * 256)
    coarse = Image.frombytes("L", (256, 256), noise).reduce(2).tobytes()

    assert list(look_alike(zlib.compress(noise), [zlib.compress(coarse)])) == [0]
    assert list(look_alike(zlib.compress(noise), [zlib.compress(bytes(128 * 128))])) == []


def drop(x: int, y: int, size: tuple[int, int] = (260, 260)) -> bytes:
    """A drop at a place of a field: how far it has moved is what the picture says."""
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).ellipse((x, y, x + 19, y + 19), fill="navy")
    return pictures.png(image)


def test_what_has_moved_in_its_field_is_another_picture() -> None:
    drops = [drop(x, y) for x in range(20, 220, 28) for y in (20, 21, 27, 90, 200)]

    assert len({read_picture(each).digest for each in drops}) == len(drops)
    assert first_same(drops[0], drops[1:]) is None


def test_a_box_s_jitter_is_half_the_content_and_never_more() -> None:
    tight = [drop(x, y, (20 + 2 * 10, 40)) for x in range(0, 21, 2) for y in (0, 7, 20)]
    digests = [read_picture(each).digest for each in tight]

    narrow = read_picture(drop(10, 10, (40, 40))).digest
    assert digests.count(narrow) == 0, "a margin of more than half a drop tells where it is"
    assert read_picture(drop(8, 9, (38, 38))).digest == narrow


@pytest.mark.parametrize("side", [1, 3])
def test_a_speck_is_read(side: int) -> None:
    image = Image.new("RGB", (40, 30), "white")
    image.paste("black", (20, 10, 20 + side, 10 + side))

    assert read_picture(pictures.png(image)).shape == f"{side}x{side}"


def test_a_blank_picture_is_read(tmp_path) -> None:
    blank = read_picture(pictures.png(Image.new("RGB", (50, 40), "white")))

    assert blank.shape == "50x40"


@pytest.mark.parametrize("data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + b"0" * 40])
def test_what_is_no_png_is_unreadable(data: bytes) -> None:
    with pytest.raises(UnreadablePicture):
        read_picture(data)


def test_a_cut_png_is_unreadable() -> None:
    with pytest.raises(UnreadablePicture):
        read_picture(pictures.png(pictures.photo(1))[:5000])


def test_a_small_png_is_sent_as_it_is_and_a_large_one_smaller() -> None:
    small, large = pictures.png(pictures.logo()), pictures.png(pictures.photo(1))

    assert encoded(read_picture(small), 1_310_720) == ("image/png", small)
    kind, data = encoded(read_picture(large), 300_000)
    assert kind == "image/jpeg" and len(data) < len(large) / 4
    with Image.open(io.BytesIO(data)) as sent:
        assert 250_000 < sent.width * sent.height <= 300_000


def test_a_rule_is_oblong() -> None:
    rule = read_picture(pictures.png(Image.new("RGB", (600, 20), "black")))

    assert oblong(rule) == 30
