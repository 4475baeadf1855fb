"""The original client's submit frame, decoded in slices straight to a file.

One frame holds the whole PDF as base64 inside JSON. Decoding 20 MiB at once would stall every
connection for 150 to 390 ms (measured), so the value is found by scanning, decoded slice by slice
with a pause after each, and only the small rest is parsed as JSON.
"""

import asyncio
import binascii
import json
import re
from pathlib import Path
from typing import Any, Final

import pybase64

from ocrplus_contract.errors import ErrorCode, JobRefused

_SLICE_CHARACTERS: Final = 340 * 1024
_SMALL_FRAME: Final = 64 * 1024
_MOST_PARSED: Final = 256 * 1024
_VALUE: Final = re.compile(r'"pdf_file"\s*:\s*"')
_ESCAPES: Final = re.compile(r"\\[/nr]|\s")


def split_frame(text: str) -> tuple[dict[str, Any], tuple[int, int] | None]:
    """The frame's object and where in `text` its base64 value lies (None: inside the object).

    Raises:
        JobRefused: bad_json, or bad_message when it is no object.
    """
    # What stands before the value is small, or refused: nobody makes us search 100 MB.
    match = _VALUE.search(text, 0, _MOST_PARSED) if len(text) > _SMALL_FRAME else None
    if match is not None:
        start, end = match.end(), text.find('"', match.end())
        if end > 0:
            rest = _parsed(text[:start] + text[end:])
            if rest.get("pdf_file") == "":  # else the match lay inside another value
                return rest, (start, end)
    return _parsed(text), None


def _parsed(text: str) -> dict[str, Any]:
    if len(text) > _MOST_PARSED:
        raise JobRefused(
            ErrorCode.BAD_MESSAGE, "The message is large and has no 'pdf_file' that holds base64."
        )
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise JobRefused(ErrorCode.BAD_JSON) from error
    if not isinstance(value, dict):
        raise JobRefused(ErrorCode.BAD_MESSAGE, "The message must be a JSON object.")
    return value


async def write_decoded(text: str, span: tuple[int, int], target: Path, most_bytes: int) -> None:
    """Decode base64 `text[span]` into a file.

    Raises:
        JobRefused: bad_message when it is no base64, too_large above `most_bytes`.
    """
    at, end = span
    if (end - at) // 4 * 3 > most_bytes + 3:
        raise JobRefused(ErrorCode.TOO_LARGE)
    carry = ""
    with target.open("wb") as out:
        while at < end:
            stop = min(at + _SLICE_CHARACTERS, end)
            if stop < end and text[stop - 1] == "\\":
                stop += 1  # never part an escape
            piece = carry + _ESCAPES.sub(_unescape, text[at:stop])
            at = stop
            whole = len(piece) - len(piece) % 4 if at < end else len(piece)
            carry = piece[whole:]
            out.write(_decoded(piece[:whole]))
            await asyncio.sleep(0)


def _unescape(match: re.Match[str]) -> str:
    return "/" if match[0] == "\\/" else ""


def _decoded(piece: str) -> bytes:
    try:
        return pybase64.b64decode(piece, validate=True)
    except (binascii.Error, ValueError) as error:
        raise JobRefused(ErrorCode.BAD_MESSAGE, "'pdf_file' is not valid base64.") from error
