"""A PDF written by hand: content streams, fonts, an image, a rotation; for tests of the reader."""

from collections.abc import Sequence
from pathlib import Path

FONTS = {
    "F1": "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    "F2": "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >>",
    "F3": "<< /Type /Font /Subtype /Type1 /BaseFont /Courier /Encoding /WinAnsiEncoding >>",
}


def text(words: str, x: float, y: float, size: float = 12, font: str = "F1", more: str = "") -> str:
    """A line of text at a point; `more` are operators before it."""
    escaped = words.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
    return f"q {more} BT /{font} {size} Tf {x} {y} Td ({escaped}) Tj ET Q\n"


def write(
    path: Path,
    contents: Sequence[str],
    *,
    rotate: int = 0,
    image: bytes | None = None,
    image_size: tuple[int, int] = (1, 1),
    outline: Sequence[tuple[str, int]] = (),
) -> Path:
    """Pages of 600 x 800 points; `image` are grey bytes for `/Im Do`; `outline` names pages."""
    objects: list[bytes] = []

    def add(body: str | bytes) -> int:
        objects.append(body.encode("latin-1") if isinstance(body, str) else body)
        return len(objects)

    catalogue, tree = add(""), add("")
    fonts = " ".join(f"/{name} {add(font)} 0 R" for name, font in FONTS.items())
    resources = f"/Font << {fonts} >>"
    if image is not None:
        width, height = image_size
        head = (
            f"<< /Type /XObject /Subtype /Image /Width {width} /Height {height} "
            f"/ColorSpace /DeviceGray /BitsPerComponent 8 /Length {len(image)} >>\nstream\n"
        )
        resources += f" /XObject << /Im {add(head.encode() + image + b' endstream')} 0 R >>"
    pages = []
    for content in contents:
        data = content.encode("latin-1")
        stream = add(f"<< /Length {len(data)} >>\nstream\n".encode() + data + b"\nendstream")
        pages.append(
            add(
                f"<< /Type /Page /Parent {tree} 0 R /MediaBox [0 0 600 800] /Rotate {rotate} "
                f"/Resources << {resources} >> /Contents {stream} 0 R >>"
            )
        )
    kids = " ".join(f"{number} 0 R" for number in pages)
    objects[tree - 1] = f"<< /Type /Pages /Count {len(pages)} /Kids [{kids}] >>".encode()
    marks = ""
    if outline:
        marks = f"/Outlines {len(objects) + 1} 0 R"
        for entry in _outline(outline, pages, len(objects) + 1):
            add(entry)
    objects[catalogue - 1] = f"<< /Type /Catalog /Pages {tree} 0 R {marks} >>".encode()
    path.write_bytes(_file(objects))
    return path


def _outline(entries: Sequence[tuple[str, int]], pages: list[int], root: int) -> list[str]:
    """The outline's objects, the first of which gets the number `root`."""
    numbers = [root + 1 + at for at in range(len(entries))]
    found = [
        f"<< /Type /Outlines /First {numbers[0]} 0 R /Last {numbers[-1]} 0 R "
        f"/Count {len(numbers)} >>"
    ]
    for at, (title, page) in enumerate(entries):
        after = f"/Next {numbers[at + 1]} 0 R" if at + 1 < len(numbers) else ""
        before = f"/Prev {numbers[at - 1]} 0 R" if at else ""
        found.append(
            f"<< /Title ({title}) /Parent {root} 0 R {after} {before} "
            f"/Dest [{pages[page - 1]} 0 R /Fit] >>"
        )
    return found


def _file(objects: Sequence[bytes]) -> bytes:
    out = bytearray(b"%PDF-1.4\n")
    places = []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += f"{number} 0 obj\n".encode() + body + b"\nendobj\n"
    start = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    out += b"".join(f"{place:010d} 00000 n \n".encode() for place in places)
    out += f"trailer << /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF".encode()
    return bytes(out)
