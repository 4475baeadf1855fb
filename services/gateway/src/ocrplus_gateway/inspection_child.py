"""Opens one PDF under limits and prints what it is, as JSON lines: run by `inspection` only.

`python -I inspection_child.py PDF MEGABYTES SECONDS HINT_SECONDS MOST_PAGES DECRYPTED`, with the
password on stdin. First line: page count or error. Second: a hint per page, as far as the time
allows. A PDF that the password opened is written to DECRYPTED without its encryption. Whatever a
hostile file does to PDFium, it does to this process alone.
"""

import ctypes
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any  # pypdfium2 is untyped

_TEXT_ENOUGH = 400


def _limit(megabytes: int, seconds: int, file_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _say(**line: object) -> None:
    print(json.dumps(line), flush=True)


def main() -> None:
    path, megabytes, seconds, hint_seconds, most_pages, decrypted = sys.argv[1:7]
    password = sys.stdin.readline().rstrip("\n") or None
    largest = Path(path).stat().st_size * 2 + (1 << 20) if password else 0
    _limit(int(megabytes), int(float(seconds)) + 1, largest)
    import pypdfium2 as pdfium
    import pypdfium2.raw as raw

    try:
        document = pdfium.PdfDocument(path, password=password)
    except pdfium.PdfiumError:
        _say(error=_error(raw.FPDF_GetLastError(), raw, password))
        return
    if password and raw.FPDF_GetSecurityHandlerRevision(document) >= 0:
        try:
            document.save(decrypted, flags=raw.FPDF_REMOVE_SECURITY)
        except (pdfium.PdfiumError, OSError):
            Path(decrypted).unlink(missing_ok=True)
            _say(error="pdf_invalid")
            return
    pages = len(document)
    _say(pages=pages)
    if pages > int(most_pages):  # it is refused: its hints are of no use
        return
    deadline = time.monotonic() + float(hint_seconds)
    hints = []
    for number in range(pages):
        if time.monotonic() > deadline:
            break
        hints.append(_hint(document, number, raw, pdfium))
    _say(hints=hints)


def _error(code: int, raw: Any, password: str | None) -> str:
    """The wire's code for PDFium's."""
    if code == raw.FPDF_ERR_PASSWORD:  # ERR_SECURITY: no password opens that one
        return "pdf_password_wrong" if password else "pdf_encrypted"
    # PDFium parses a document without pages, then refuses it without naming an error.
    return "pdf_empty" if code == raw.FPDF_ERR_SUCCESS else "pdf_invalid"


def _hint(document: Any, number: int, raw: Any, pdfium: Any) -> list[float]:
    """[characters in the text layer, share of the page under its largest image]."""
    try:
        page = document[number]
        text = page.get_textpage()
        characters = min(text.count_chars(), _TEXT_ENOUGH)
        text.close()
        share = _image_share(page, raw)
        page.close()
        return [characters, round(share, 2)]
    except (pdfium.PdfiumError, ValueError):
        return [0, 1.0]


def _image_share(page: Any, raw: Any) -> float:
    width, height = page.get_size()
    left, bottom, right, top = (ctypes.c_float() for _ in range(4))
    largest = 0.0
    for index in range(min(raw.FPDFPage_CountObjects(page), 200)):
        item = raw.FPDFPage_GetObject(page, index)
        is_image = raw.FPDFPageObj_GetType(item) == raw.FPDF_PAGEOBJ_IMAGE
        if is_image and raw.FPDFPageObj_GetBounds(item, left, bottom, right, top):
            largest = max(largest, (right.value - left.value) * (top.value - bottom.value))
    return min(1.0, largest / (width * height)) if width * height > 0 else 0.0


if __name__ == "__main__":
    try:
        main()
    except MemoryError:
        _say(error="pdf_timeout")
