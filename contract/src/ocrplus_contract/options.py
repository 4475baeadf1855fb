"""What a client may ask of a job: the options of the wire, and page ranges."""

import re
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

_RANGE: Final = re.compile(r"(\d{1,6})(?:-(\d{1,6}))?")


def parse_page_ranges(spec: str) -> tuple[tuple[int, int], ...]:
    """Parse "1-5,9" into ((1, 5), (9, 9)), sorted and merged.

    Raises:
        ValueError: the text is not a list of 1-based pages and ranges.
    """
    ranges = []
    for part in spec.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"'{part}' is not a page or a range such as 1-5")
        first = int(match[1])
        last = int(match[2] or first)
        if first < 1 or last < first:
            raise ValueError(f"'{part}' is not an ascending range of 1-based pages")
        ranges.append((first, last))
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return tuple(merged)


def _valid_ranges(value: object) -> object:
    if isinstance(value, str):
        parse_page_ranges(value)
    return value


def _encodable(value: object) -> object:
    if isinstance(value, str):
        value.encode()  # half a surrogate pair opens nothing; its error is a ValueError
    return value


class JobOptions(BaseModel):
    """Options of one job; every field is optional on the wire."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pages: Annotated[str, BeforeValidator(_valid_ranges)] | None = Field(
        default=None, max_length=2000, description='Pages to convert, e.g. "1-5,9"; default: all.'
    )
    text_source: Literal["auto", "ocr", "text_layer"] | None = Field(
        default=None,
        description="Where text comes from: the PDF's own layer where it is sound (auto), "
        "always by OCR, or always from the layer. Default: the service's setting.",
    )
    tables: Literal["auto", "html", "markdown"] | None = Field(
        default=None,
        description="Tables as pipe tables where no cell spans, else HTML (auto, the default), "
        "always as HTML, or always as pipe tables (spans are filled with empty cells).",
    )
    figures: Literal["link", "inline", "none"] | None = Field(
        default=None,
        description="Figures as links (the default), inside the Markdown as data URIs, or not.",
    )
    captions: bool | None = Field(
        default=None,
        description="Whether figures get a description; default: if the service can. Only linked "
        "figures do.",
    )
    caption_language: Literal["auto", "zh", "en"] | None = Field(
        default=None, description="Language of the descriptions; default auto: the page's own."
    )
    password: Annotated[SecretStr, BeforeValidator(_encodable)] | None = Field(
        default=None,
        max_length=200,
        exclude=True,  # used once at the door; neither stored nor logged
        description="Opens an encrypted PDF. Used once, neither stored nor logged.",
    )
