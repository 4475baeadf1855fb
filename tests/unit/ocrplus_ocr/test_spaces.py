"""Spaces of tightly set lines."""

from ocrplus_ocr.engine.glyphs import Glyph, clean
from ocrplus_ocr.engine.spaces import with_tight_spaces


def glyphs(text: str, gap: float, letters: float = 0.0) -> list[Glyph]:
    """Characters ten points high; "_" is a gap that the layer has no space for."""
    found, x = [], 0.0
    for character in text:
        if character in " _":
            x += gap
            found += [Glyph(" ", None)] if character == " " else []
            continue
        found.append(Glyph(character, (x, 0.0, x + 5, 10.0)))
        x += 5 + letters
    return found


def text(found: list[Glyph]) -> str:
    return "".join(glyph.text for glyph in found)


def test_gaps_as_wide_as_the_line_s_spaces_are_spaces() -> None:
    line = glyphs("Client drivers_for_most programming languages", gap=1.2)

    assert text(with_tight_spaces(line)) == "Client drivers for most programming languages"


def test_letters_that_are_spaced_out_stay_a_word() -> None:
    line = glyphs("a wide heading", gap=1.2, letters=1.2)

    assert text(with_tight_spaces(line)) == "a wide heading"


def test_kerning_figures_and_lines_without_spaces_stay() -> None:
    assert text(with_tight_spaces(glyphs("To_day we are here", gap=0.3))) == "Today we are here"
    assert text(with_tight_spaces(glyphs("1_000 men in a town", gap=1.2))) == "1000 men in a town"
    assert text(with_tight_spaces(glyphs("drivers_for", gap=1.2))) == "driversfor"


def test_each_line_tells_for_itself() -> None:
    end = Glyph("\n", None)
    found = with_tight_spaces([*glyphs("a b c", 3.0), end, *glyphs("to_me and to you", 1.2)])

    assert text(found) == "a b c\nto me and to you"


def test_a_typesetter_s_hyphen_is_one_that_addresses_work_with() -> None:
    assert [clean(code) for code in (0x2010, 0x2011, 0x2013)] == ["-", "-", "–"]
