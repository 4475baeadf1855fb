"""What a PDF is, found out before it is admitted, in a child process with limits."""

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ocrplus_contract.errors import ErrorCode, JobRefused
from ocrplus_contract.settings import GatewaySettings

_CHILD: Final = Path(__file__).with_name("inspection_child.py")
_START_SECONDS: Final = 5
_HINT_SECONDS: Final = 3.0
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
        self._slots = asyncio.Semaphore(max(1, os.cpu_count() or 1))

    async def inspect(self, pdf: Path, password: str | None = None) -> Inspection:
        """Open a PDF and look at its pages.

        An encrypted PDF that the password opens is replaced by a decrypted copy: nobody after this
        needs the password.

        Raises:
            JobRefused: it cannot be opened, is empty, has too many pages, or takes too long.
        """
        if not await asyncio.to_thread(_looks_like_pdf, pdf):
            raise JobRefused(ErrorCode.PDF_INVALID)
        async with self._slots:
            lines, code = await self._run(pdf, password)
        decrypted = _decrypted(pdf)
        if decrypted.exists():
            decrypted.replace(pdf)
        if not lines:
            timed_out = code in (-signal.SIGKILL, -signal.SIGXCPU)
            raise JobRefused(ErrorCode.PDF_TIMEOUT if timed_out else ErrorCode.PDF_INVALID)
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
        seconds = self._settings.inspection_seconds
        hint_seconds = min(seconds / 4, _HINT_SECONDS)
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            str(_CHILD),
            str(pdf),
            str(self._settings.inspection_megabytes),
            str(seconds),
            str(hint_seconds),
            str(self._settings.max_pages),
            str(_decrypted(pdf)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        assert child.stdin is not None and child.stdout is not None
        with suppress(ConnectionError):
            child.stdin.write(f"{password or ''}\n".encode())
            child.stdin.close()
        lines: list[dict[str, Any]] = []
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds + _START_SECONDS) as limit:
                    async for line in _whole_lines(child.stdout):
                        lines.append(json.loads(line))
                        # The hints that follow are only hints: one slow page may not hold a slot.
                        limit.reschedule(asyncio.get_running_loop().time() + hint_seconds + 1)
        finally:
            if child.returncode is None:
                with suppress(ProcessLookupError):
                    child.kill()
            code = await child.wait()
        return lines, code


async def _whole_lines(stream: asyncio.StreamReader) -> Any:
    """Lines of any length (asyncio's own limit is 64 KiB)."""
    rest = b""
    while data := await stream.read(1 << 16):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield line


def _decrypted(pdf: Path) -> Path:
    return pdf.with_suffix(".decrypted")


def _looks_like_pdf(pdf: Path) -> bool:
    with pdf.open("rb") as stream:
        return b"%PDF-" in stream.read(_HEADER_WITHIN_BYTES)
