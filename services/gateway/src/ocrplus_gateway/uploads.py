"""A document that arrives by HTTP, streamed to a file: a raw body or a multipart form."""

import asyncio
import os
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from ocrplus_contract.errors import ErrorCode, JobRefused

_MOST_FIELDS: Final = 20
_SPOOL_BYTES: Final = 1  # to disk at once
_FORM_OVERHEAD_BYTES: Final = 1 << 16
_LINGER_SECONDS: Final = 30.0


class _Parser(MultiPartParser):
    """Starlette's, with nothing of a file in memory before it goes to disk."""

    spool_max_size = _SPOOL_BYTES


@dataclass(frozen=True, slots=True)
class Upload:
    """What came: the bytes in a file, the client's name for it, form fields."""

    file: Path
    name: str | None
    fields: dict[str, str]


@asynccontextmanager
async def received(request: Request, most_bytes: int) -> AsyncIterator[Upload]:
    """Receive the document of a request; its file lives as long as the block.

    Raises:
        JobRefused: too_large as soon as the limit is passed, bad_message for a form without file.
    """
    form = request.headers.get("content-type", "").lower().startswith("multipart/form-data")
    allowed = most_bytes + (_FORM_OVERHEAD_BYTES if form else 0)
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > allowed:
        await _discard(request, request.stream(), most_bytes)
        raise JobRefused(ErrorCode.TOO_LARGE)
    with tempfile.TemporaryDirectory(prefix="ocrplus-upload-") as folder:
        file = Path(folder) / "upload.pdf"
        body = _limited(request, allowed)
        if form:
            yield await _from_form(request, body, file, most_bytes)
        else:
            with file.open("wb") as out:
                async for block in body:
                    out.write(block)
            yield Upload(file, None, {})


async def _discard(request: Request, blocks: AsyncIterator[bytes], most_bytes: int) -> None:
    """Read on to the end, within reason: who still sends has his connection reset by a server or
    proxy that answers and closes, and never sees the answer."""
    if request.headers.get("expect", "").lower() == "100-continue":
        return  # he waits for it before he sends
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > 2 * most_bytes:
        return
    seen = 0
    # RuntimeError: a form was read to its end before its file turned out to be too large.
    with suppress(TimeoutError, ClientDisconnect, RuntimeError):
        async with asyncio.timeout(_LINGER_SECONDS):
            async for block in blocks:
                seen += len(block)
                if seen > 2 * most_bytes:
                    return


async def _limited(request: Request, most_bytes: int) -> AsyncGenerator[bytes, None]:
    seen, blocks = 0, request.stream()
    async for block in blocks:
        seen += len(block)
        if seen > most_bytes:
            await _discard(request, blocks, most_bytes)
            raise JobRefused(ErrorCode.TOO_LARGE)
        yield block


async def _from_form(
    request: Request, body: AsyncGenerator[bytes, None], file: Path, most_bytes: int
) -> Upload:
    parser = _Parser(request.headers, body, max_files=1, max_fields=_MOST_FIELDS)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise JobRefused(ErrorCode.BAD_MESSAGE, "The multipart form cannot be read.") from error
    fields: dict[str, str] = {}
    part: Any = None
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            part = value
        else:
            fields[name] = value
    try:
        if part is None:
            raise JobRefused(ErrorCode.BAD_MESSAGE, "The form has no field 'file' with the PDF.")
        await asyncio.to_thread(_copy, part.file, file, most_bytes)
        return Upload(file, part.filename, fields)
    finally:
        await form.close()


def _copy(part: IO[bytes], file: Path, most_bytes: int) -> None:
    """In the kernel: no bytes of the document pass through here."""
    part.flush()
    source = part.fileno()
    size = os.fstat(source).st_size
    if size > most_bytes:
        raise JobRefused(ErrorCode.TOO_LARGE)
    with file.open("wb") as out:
        sent = 0
        while sent < size:
            sent += os.sendfile(out.fileno(), source, sent, size - sent)
