"""Whether documents can be inspected at all: the child is started over a PDF of one empty page.

Where it cannot be (no memory, no process left, a library that does not load, scratch that takes no
file) every upload would be refused as the sender's fault.
"""

import asyncio
import logging
import math
import tempfile
import time
from pathlib import Path
from typing import Final

from ocrplus_contract.errors import JobRefused
from ocrplus_gateway.inspection import Inspector

log = logging.getLogger(__name__)

_FRESH_SECONDS: Final = 300.0  # a trial costs a tenth of a second of CPU
_AGAIN_SECONDS: Final = 10.0
_FIRST_SECONDS: Final = 2.0
_PDF: Final = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
    b"2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>endobj\n"
    b"trailer<</Root 1 0 R>>\n%%EOF\n"
)


class InspectionTrial:
    """Tried when it is asked for and what is known is old; with slots of its own."""

    def __init__(self, inspector: Inspector) -> None:
        self._inspector = inspector
        self._tried = -math.inf
        self._problem: str | None = None
        self._failed = 0  # in a row
        self._went_well = False
        self._trying: asyncio.Task[None] | None = None

    async def problem(self) -> str | None:
        """Why documents cannot be inspected, as far as it is known; None when they can.

        A gateway that could is believed until a second trial fails: one may have been starved.
        """
        fresh = _AGAIN_SECONDS if self._failed else _FRESH_SECONDS
        if self._trying is None and time.monotonic() - self._tried > fresh:
            self._trying = asyncio.create_task(self._try())
            if self._tried == -math.inf:  # nothing is known yet: wait for it, but not for long
                await asyncio.wait({self._trying}, timeout=_FIRST_SECONDS)
        return self._problem

    async def _try(self) -> None:
        try:
            problem = await self._tried_now()
        finally:
            self._tried, self._trying = time.monotonic(), None
        self._failed = 0 if problem is None else self._failed + 1
        self._went_well = self._went_well or problem is None
        if problem is not None:
            log.error("documents cannot be inspected", extra={"problem": problem})
        if problem is None or self._failed > 1 or not self._went_well:
            self._problem = problem

    async def _tried_now(self) -> str | None:
        try:
            folder = await asyncio.to_thread(tempfile.TemporaryDirectory, prefix="ocrplus-trial-")
        except OSError as error:
            return f"scratch space takes no files ({error.strerror}): see its volume, or TMPDIR"
        with folder as name:
            try:
                pdf = Path(name) / "page.pdf"
                await asyncio.to_thread(pdf.write_bytes, _PDF)
                await self._inspector.inspect(pdf)
            except JobRefused as refused:
                return f"the process that opens documents fails ({refused.code}): see its limits"
            except OSError as error:
                return (
                    f"documents cannot be opened ({error.strerror}): see limits and scratch space"
                )
        return None
