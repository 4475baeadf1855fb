"""What a PDF is, found out before it is admitted, in a child process with limits."""

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ocrplus_contract.errors import ErrorCode, JobRefused
from ocrplus_contract.settings import GatewaySettings

_CHILD: Final = Path(__file__).with_name("inspection_child.py")
_START_SECONDS: Final = 5
_HINT_SECONDS: Final = 3.0
_EXIT_SECONDS: Final = 0.5
_AT_A_LIMIT: Final = (-signal.SIGKILL, -signal.SIGXCPU, -signal.SIGABRT)
"""How the child ends of its limits; PDFium aborts when memory is refused."""
_HEADER_WITHIN_BYTES: Final = 1024  # where readers look for %PDF-


@dataclass(frozen=True, slots=True)
class PageHint:
    """Characters in a page's text layer (capped), and the share of the page under an image."""

    characters: int
    image_share: float


@dataclass(frozen=True, slots=True)
class Inspection:
    """A readable PDF. `hints` may be shorter than `pages`: the time for looking was up."""

    pages: int
    hints: tuple[PageHint, ...]


class Inspector:
    """Runs inspections, a few at a time."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        # Threads of their own, one an inspection: a client that leaves frees none before its child
        # has ended.
        self._slots = ThreadPoolExecutor(settings.inspections, "inspection")

    async def inspect(self, pdf: Path, password: str | None = None) -> Inspection:
        """Open a PDF and look at its pages.

        An encrypted PDF that the password opens is replaced by a decrypted copy: nobody after this
        needs the password.

        Raises:
            JobRefused: it cannot be opened, is empty, has too many pages, or takes too long.
        """
        if not await asyncio.to_thread(_looks_like_pdf, pdf):
            raise JobRefused(ErrorCode.PDF_INVALID)
        lines, code = await self._run(pdf, password)
        decrypted = _decrypted(pdf)
        if decrypted.exists():
            decrypted.replace(pdf)
        if not lines:
            raise JobRefused(
                ErrorCode.PDF_TIMEOUT if code in _AT_A_LIMIT else ErrorCode.PDF_INVALID
            )
        if "error" in lines[0]:
            raise JobRefused(ErrorCode(lines[0]["error"]))
        pages = int(lines[0]["pages"])
        if pages < 1:
            raise JobRefused(ErrorCode.PDF_EMPTY)
        if pages > self._settings.max_pages:
            raise JobRefused(
                ErrorCode.PDF_TOO_MANY_PAGES,
                f"The PDF has {pages} pages; this service accepts {self._settings.max_pages}.",
            )
        hints = lines[1]["hints"] if len(lines) > 1 else []
        return Inspection(pages, tuple(PageHint(int(c), float(share)) for c, share in hints))

    async def _run(self, pdf: Path, password: str | None) -> tuple[list[dict[str, Any]], int]:
        """The child's lines and exit code; whatever it said before it died counts."""
        settings = self._settings
        hint_seconds = min(settings.inspection_seconds / 4, _HINT_SECONDS)
        command = [
            *(sys.executable, "-I", str(_CHILD), str(pdf)),
            *(str(settings.inspection_megabytes), str(settings.inspection_seconds)),
            *(str(hint_seconds), str(settings.max_pages), str(_decrypted(pdf))),
        ]
        # In a thread: the event loop's own way forks, which takes long while uploads lie in memory.
        return await asyncio.get_running_loop().run_in_executor(
            self._slots,
            _told,
            command,
            f"{password or ''}\n",
            settings.inspection_seconds,
            hint_seconds,
        )


def _told(
    command: list[str], first_line: str, seconds: float, hint_seconds: float
) -> tuple[list[dict[str, Any]], int]:
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as child:
        assert child.stdin is not None and child.stdout is not None
        try:
            with suppress(BrokenPipeError):
                child.stdin.write(first_line.encode())
                child.stdin.close()
            lines = _lines(child.stdout.fileno(), seconds + _START_SECONDS, hint_seconds + 1)
            with suppress(subprocess.TimeoutExpired):
                child.wait(_EXIT_SECONDS)  # so that its own end is told from ours
        finally:
            child.kill()
        return lines, child.wait()


def _lines(source: int, first_seconds: float, next_seconds: float) -> list[dict[str, Any]]:
    """JSON lines until the end, or until one does not come in time."""
    lines: list[dict[str, Any]] = []
    poll, rest = select.poll(), b""
    poll.register(source, select.POLLIN)
    deadline = time.monotonic() + first_seconds
    while poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        data = os.read(source, 1 << 16)
        if not data:
            break
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            lines.append(json.loads(line))
            # The hints that follow are only hints: one slow page may not hold a slot.
            deadline = time.monotonic() + next_seconds
    return lines


def _decrypted(pdf: Path) -> Path:
    return pdf.with_suffix(".decrypted")


def _looks_like_pdf(pdf: Path) -> bool:
    with pdf.open("rb") as stream:
        return b"%PDF-" in stream.read(_HEADER_WITHIN_BYTES)
