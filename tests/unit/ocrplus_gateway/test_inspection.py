"""PDFs opened in a real child process."""

import asyncio
import io
import itertools
import json
import time
import zlib
from pathlib import Path

import pypdfium2 as pdfium
import pytest
from documents import text_document
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen.canvas import Canvas

from ocrplus_contract.errors import ErrorCode, JobRefused
from ocrplus_contract.settings import GatewaySettings
from ocrplus_gateway.inspection import Inspection, Inspector

HOSTILE = Path(__file__).parents[4] / "shared" / "corpus" / "dev"
SAMPLES = Path(__file__).parents[3] / "examples" / "samples"


async def inspect(data: bytes, tmp_path: Path, **settings: object) -> Inspection:
    file = tmp_path / "a.pdf"
    file.write_bytes(data)
    return await Inspector(GatewaySettings(**settings)).inspect(file)


async def test_a_report_is_counted_and_hinted(tmp_path: Path) -> None:
    inspection = await inspect((SAMPLES / "report_en.pdf").read_bytes(), tmp_path)

    assert inspection.pages == 2
    assert all(hint.characters > 100 and hint.image_share < 0.1 for hint in inspection.hints)


async def test_a_scan_is_known_by_its_images(tmp_path: Path) -> None:
    inspection = await inspect((SAMPLES / "scan_en_zh.pdf").read_bytes(), tmp_path)

    assert all(hint.characters == 0 and hint.image_share > 0.9 for hint in inspection.hints)


@pytest.mark.parametrize("data", [b"", b"MZ", b"%PDF-1.7", b"%PDF-" + b"\0" * 5000])
async def test_what_is_no_pdf_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(JobRefused) as refused:
        await inspect(data, tmp_path)
    assert refused.value.code is ErrorCode.PDF_INVALID


def swelling(megabytes: int) -> bytes:
    """A PDF whose page tree lies in an object stream of so many megabytes, small as a file."""
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>",
    ]
    ends = list(itertools.accumulate(len(body) + 1 for body in objects))
    index = b"".join(b"%d %d " % (n, at) for n, at in enumerate([0, *ends[:-1]], 1))
    packed = zlib.compress(index + b" ".join(objects) + b" " * (megabytes << 20))
    pdf = b"%PDF-1.7\n"
    first = len(pdf)
    pdf += b"4 0 obj<</Type/ObjStm/N 3/First %d/Filter/FlateDecode/Length %d>>stream\n" % (
        len(index),
        len(packed),
    )
    pdf += packed + b"\nendstream endobj\n"
    last = len(pdf)
    rows = [(0, 0, 0), *((2, 4, n) for n in range(3)), (1, first, 0), (1, last, 0)]
    table = b"".join(bytes([kind]) + at.to_bytes(3, "big") + bytes([n]) for kind, at, n in rows)
    pdf += b"5 0 obj<</Type/XRef/Size 6/W[1 3 1]/Root 1 0 R/Length %d>>stream\n" % len(table)
    return pdf + table + b"\nendstream endobj\nstartxref\n%d\n%%%%EOF" % last


async def test_what_takes_too_much_memory_is_not_told_as_no_pdf(tmp_path: Path) -> None:
    assert (await inspect(swelling(1), tmp_path)).pages == 1

    with pytest.raises(JobRefused, match="too much memory") as refused:
        await inspect(swelling(200), tmp_path, inspection_megabytes=192)
    assert refused.value.code is ErrorCode.PDF_TIMEOUT


async def test_a_locked_document_asks_for_its_password(tmp_path: Path) -> None:
    out = io.BytesIO()
    canvas = Canvas(out, encrypt=StandardEncryption("open sesame"))
    canvas.drawString(72, 700, "secret")
    canvas.save()

    with pytest.raises(JobRefused) as refused:
        await inspect(out.getvalue(), tmp_path)
    assert refused.value.code is ErrorCode.PDF_ENCRYPTED


async def test_the_right_password_leaves_a_copy_that_needs_none(tmp_path: Path) -> None:
    out = io.BytesIO()
    canvas = Canvas(out, encrypt=StandardEncryption("open sesame", strength=128))
    canvas.drawString(72, 700, "hidden words")
    canvas.save()
    pdf = tmp_path / "locked.pdf"
    pdf.write_bytes(out.getvalue())
    inspector = Inspector(GatewaySettings())

    with pytest.raises(JobRefused) as refused:
        await inspector.inspect(pdf, "sesame")
    assert refused.value.code is ErrorCode.PDF_PASSWORD_WRONG
    assert (await inspector.inspect(pdf, "open sesame")).pages == 1

    with pdfium.PdfDocument(pdf) as opened:
        assert "hidden words" in opened[0].get_textpage().get_text_bounded()
    assert b"/Encrypt" not in pdf.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["locked.pdf"]


async def test_a_document_without_pages_is_empty(tmp_path: Path) -> None:
    with pdfium.PdfDocument.new() as document:
        document.save(tmp_path / "none.pdf")

    with pytest.raises(JobRefused) as refused:
        await inspect((tmp_path / "none.pdf").read_bytes(), tmp_path)
    assert refused.value.code is ErrorCode.PDF_EMPTY


async def test_too_many_pages_are_refused_with_the_numbers(tmp_path: Path) -> None:
    with pytest.raises(JobRefused, match=r"3 pages.*2") as refused:
        await inspect(text_document(3), tmp_path, max_pages=2)
    assert refused.value.code is ErrorCode.PDF_TOO_MANY_PAGES


@pytest.mark.skipif(not HOSTILE.is_dir(), reason="the hostile corpus is not beside this checkout")
async def test_hostile_documents_are_refused_or_accepted_as_expected(tmp_path: Path) -> None:
    rows = json.loads((HOSTILE / "hostile_rows.json").read_text())
    inspector = Inspector(GatewaySettings())
    wrong = []

    for row in rows:
        try:
            await inspector.inspect(HOSTILE / "hostile" / row["file"])
            accepted = True
        except JobRefused:
            accepted = False
        if (
            row["expected"] in ("converts", "page_error")
            and not accepted
            and not row.get("password")
        ):
            wrong.append((row["file"], row["kind"], "refused"))

    assert wrong == []


async def test_a_client_that_leaves_frees_no_place_before_its_child_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, most = 0, 0

    def slow(*_: object) -> tuple[list[dict[str, object]], int]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        time.sleep(0.2)
        running -= 1
        return [{"pages": 1}], 0

    monkeypatch.setattr("ocrplus_gateway.inspection._told", slow)
    file = tmp_path / "a.pdf"
    file.write_bytes(text_document(1))
    inspector = Inspector(GatewaySettings(inspections=2))

    left = [asyncio.create_task(inspector.inspect(file)) for _ in range(6)]
    await asyncio.sleep(0.05)
    for task in left:
        task.cancel()
    stayed = await inspector.inspect(file)

    assert stayed.pages == 1
    assert most == 2
