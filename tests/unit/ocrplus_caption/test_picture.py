import io

import pictures
import pytest
from PIL import Image

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
