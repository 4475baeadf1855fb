"""The rendering process: what a page may do to it, and what it may not do to others."""

import io
import os
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen import canvas

from ocrplus_contract.errors import ErrorCode, JobRefused, PageErrorCode
from ocrplus_contract.settings import OcrSettings
from ocrplus_ocr.engine.build import render_limits
from ocrplus_ocr.engine.rendering import Item, RenderedPage, Renderer, RenderLimits, UnreadablePage

SAMPLE = Path(__file__).parents[3] / "examples" / "samples" / "report_en.pdf"
LOOP = b"/X Do /X Do"
"""Content of a form that draws itself twice: PDFium follows it for hours."""


def pdf_of(contents: list[bytes], extra: list[bytes] = []) -> bytes:  # noqa: B006  # only read
    """A PDF with a page for each content stream; `extra` objects follow from number 3 on."""
    pages = range(3 + len(extra), 3 + len(extra) + 2 * len(contents), 2)
    kids = " ".join(f"{number} 0 R" for number in pages)
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Count {len(contents)}/Kids[{kids}]>>".encode(),
        *extra,
    ]
    for number, content in zip(pages, contents, strict=True):
        objects.append(
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 300]/Contents {number + 1} 0 R"
            "/Resources<</XObject<</X 3 0 R>>>>>>".encode()
        )
        objects.append(stream(content))
    out = io.BytesIO(b"%PDF-1.7\n")
    out.seek(0, io.SEEK_END)
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    start = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    out.writelines(b"%010d 00000 n \n" % offset for offset in offsets)
    out.write(b"trailer<</Size %d/Root 1 0 R>>\n" % (len(objects) + 1))
    out.write(b"startxref\n%d\n%%%%EOF" % start)
    return out.getvalue()


def stream(content: bytes, entries: bytes = b"") -> bytes:
    packed = zlib.compress(content)
    return b"<<%s/Filter/FlateDecode/Length %d>>stream\n%s\nendstream" % (
        entries,
        len(packed),
        packed,
    )


@pytest.fixture
def looping(tmp_path: Path) -> Path:
    """Page 2 of 3 hangs."""
    form = stream(
        LOOP, b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X 3 0 R>>>>"
    )
    path = tmp_path / "looping.pdf"
    path.write_bytes(pdf_of([b"", LOOP, b""], [form]))
    return path


@pytest.fixture
def swelling(tmp_path: Path) -> Path:
    """Page 2 of 3 inflates to 400 MB."""
    path = tmp_path / "swelling.pdf"
    path.write_bytes(pdf_of([b"", b"q 1 0 0 1 0 0 cm " * 24_000_000, b""], [b"null"]))
    return path


@pytest.fixture(autouse=True)
def no_child_stays() -> Iterator[None]:
    yield
    left = [child.cmdline() for child in psutil.Process().children(recursive=True)]
    assert not [command for command in left if "ocrplus_ocr.engine.render_child" in command]


def outcomes(items: list[Item]) -> list[PageErrorCode | None]:
    return [item.error if isinstance(item, UnreadablePage) else None for item in items]


def test_a_page_that_hangs_fails_alone(looping: Path) -> None:
    with closing(Renderer(RenderLimits(seconds=1))) as renderer:
        items = list(renderer.pages(looping, [1, 2, 3]))

    assert [item.page for item in items] == [1, 2, 3]
    assert outcomes(items) == [None, PageErrorCode.TIMEOUT, None]


def test_a_page_that_takes_all_memory_fails_alone(swelling: Path) -> None:
    with closing(Renderer(RenderLimits(megabytes=256))) as renderer:
        items = list(renderer.pages(swelling, [1, 2, 3]))

    assert outcomes(items) == [None, PageErrorCode.RENDER_FAILED, None]


@pytest.mark.parametrize(
    ("end", "error"),
    [
        (signal.SIGSEGV, PageErrorCode.RENDER_FAILED),
        (signal.SIGKILL, PageErrorCode.RENDER_FAILED),
        (signal.SIGSTOP, PageErrorCode.TIMEOUT),
    ],
)
def test_a_process_that_ends_or_stops_costs_one_page(
    end: signal.Signals, error: PageErrorCode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocrplus_ocr.engine.rendering._SPARE_SECONDS", 0.5)
    wanted = [1, 2] * 5
    with closing(Renderer(RenderLimits(seconds=0.5))) as renderer:
        pages = renderer.pages(SAMPLE, wanted)
        items = [next(pages)]
        assert renderer.pid is not None
        os.kill(renderer.pid, end)
        items += list(pages)

    assert [item.page for item in items] == wanted
    assert [code for code in outcomes(items) if code is not None] == [error]


def test_one_process_serves_document_after_document() -> None:
    with closing(Renderer()) as renderer:
        list(renderer.pages(SAMPLE, [1, 2]))
        first = renderer.pid
        list(renderer.pages(SAMPLE, [2]))

        assert renderer.pid == first is not None


def test_the_process_takes_no_room_for_each_core_of_the_machine() -> None:
    with closing(Renderer()) as renderer:
        list(renderer.pages(SAMPLE, [1]))

        assert psutil.Process(renderer.pid).num_threads() == 1


def test_a_process_that_died_between_documents_is_replaced() -> None:
    with closing(Renderer()) as renderer:
        list(renderer.pages(SAMPLE, [1]))
        assert renderer.pid is not None
        os.kill(renderer.pid, signal.SIGKILL)

        assert outcomes(list(renderer.pages(SAMPLE, [1, 2]))) == [None, None]


def test_signals_to_the_whole_group_do_not_end_a_page() -> None:
    with closing(Renderer()) as renderer:
        pages = renderer.pages(SAMPLE, [1, 2] * 3)
        items = [next(pages)]
        assert renderer.pid is not None
        os.kill(renderer.pid, signal.SIGTERM)
        os.kill(renderer.pid, signal.SIGINT)
        items += list(pages)

    assert outcomes(items) == [None] * 6


def test_closing_early_ends_the_process() -> None:
    renderer = Renderer()
    pages = renderer.pages(SAMPLE, [1, 2] * 20)
    next(pages)
    pid = renderer.pid
    pages.close()

    assert renderer.pid is None
    assert pid is not None and not psutil.pid_exists(pid)


ENGINE = """
import signal, sys
from pathlib import Path
from ocrplus_ocr.engine.rendering import Renderer
renderer = Renderer()
pages = renderer.pages(Path(sys.argv[1]), [1, 2] * 20)
next(pages)
print(renderer.pid, flush=True)
signal.pause()
"""


def test_the_process_ends_with_its_engine() -> None:
    command = [sys.executable, "-c", ENGINE, str(SAMPLE)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as engine:
        assert engine.stdout is not None
        rendering = int(engine.stdout.readline())
        engine.kill()

    deadline = time.monotonic() + 5
    while psutil.pid_exists(rendering) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not psutil.pid_exists(rendering)


def test_a_document_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"%PDF-1.4 and nothing more")
    with closing(Renderer()) as renderer:
        with pytest.raises(JobRefused) as refusal:
            list(renderer.pages(broken, [1]))
        assert refusal.value.code is ErrorCode.PDF_INVALID

        assert outcomes(list(renderer.pages(SAMPLE, [1]))) == [None]


def test_what_is_written_in_form_fields_is_seen_and_read(tmp_path: Path) -> None:
    path = tmp_path / "form.pdf"
    written = io.BytesIO()
    page = canvas.Canvas(written, pagesize=A4)
    page.drawString(100, 700, "Name:")
    page.acroForm.textfield(
        name="field", value="Ada Lovelace", x=100, y=600, width=300, height=40, borderWidth=0
    )
    page.save()
    path.write_bytes(written.getvalue())

    with closing(Renderer()) as renderer:
        (item,) = renderer.pages(path, [1])

    assert isinstance(item, RenderedPage)
    assert item.image[400:500, 200:500].min() < 100
    words = {run.text: run for run in item.text.runs}
    assert 100 <= words["Ada Lovelace"].x0 < 110
    assert A4[1] - 640 <= words["Ada Lovelace"].y0 < words["Ada Lovelace"].y1 <= A4[1] - 600


def test_rendering_ends_well_before_the_page_deadline() -> None:
    assert render_limits(OcrSettings()).seconds == 30
    assert render_limits(OcrSettings(page_deadline_seconds=20)).seconds == 5
    assert 2 * render_limits(OcrSettings()).wall_seconds < OcrSettings().page_deadline_seconds


def test_a_process_that_cannot_start_is_not_the_documents_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with closing(Renderer()) as renderer, pytest.raises(RuntimeError, match="cannot start"):
        list(renderer.pages(SAMPLE, [1]))
