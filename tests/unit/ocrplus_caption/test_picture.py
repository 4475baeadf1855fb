import io

import pictures
import pytest
from PIL import Image, ImageDraw

from ocrplus_caption.picture import (
    UnreadablePicture,
    are_same,
    encoded,
    look_alike,
    oblong,
    read_picture,
)


def test_200_charts_of_one_template_are_200_pictures() -> None:
    charts = [read_picture(pictures.png(pictures.chart(seed, (580, 720)))) for seed in range(200)]

    assert len({chart.digest for chart in charts}) == 200
    # Ten further on the same bar is one unit higher: the most alike there are.
    merged = [seed for seed in range(10, 200) if are_same(charts[seed].png, charts[seed - 10].png)]
    assert merged == []


def test_a_digit_a_point_or_a_shade_makes_another_picture() -> None:
    charts = [read_picture(pictures.png(image)) for image in pictures.subtle_charts()]
    likely = [
        (a, b) for i, a in enumerate(charts) for b in charts[:i] if look_alike(a.look, b.look)
    ]

    assert likely, "they do look alike"
    assert len({chart.digest for chart in charts}) == len(charts)
    assert [pair for pair in likely if are_same(pair[0].png, pair[1].png)] == []


@pytest.mark.parametrize("margins", [(0, 0, 0, 0), (3, 0, 7, 1), (0, 12, 5, 40)])
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
    for margins in [(0, 0, 0, 0), (4, 2, 6, 1), (0, 12, 5, 40), (50, 50, 50, 50)]:
        crop = pictures.with_margins(pictures.noisy(pictures.logo(), 5), *margins)

        assert are_same(logo, pictures.png(crop)) == (max(margins) < 50)


def test_what_rendering_changes_is_the_same_picture_and_no_more() -> None:
    logo = read_picture(pictures.png(pictures.logo()))
    faint = read_picture(pictures.png(pictures.noisy(pictures.logo(), 5)))
    strong = read_picture(pictures.png(pictures.noisy(pictures.logo(), 20)))
    everywhere = read_picture(pictures.png(pictures.noisy(pictures.logo(), 5, share=2.0)))

    assert (
        logo.digest != faint.digest
        and are_same(logo.png, faint.png)
        and look_alike(logo.look, faint.look)
    )
    assert not are_same(logo.png, strong.png)
    assert not are_same(logo.png, everywhere.png), "a shade of everything is a difference"


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
