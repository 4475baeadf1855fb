"""A result as one zip file: the Markdown, and the figures it links beside it."""

import asyncio
import tempfile
import zipfile
from collections.abc import AsyncGenerator
from typing import IO, Final

from ocrplus_contract.blobs import BlobStore, figure_name
from ocrplus_contract.errors import BlobMissing
from ocrplus_contract.names import TaskId, UserId
from ocrplus_contract.records import JobRecord, PageRecord
from ocrplus_gateway.jobs import merged_markdown

_IN_MEMORY_BYTES: Final = 1 << 20
_BLOCK_BYTES: Final = 1 << 18


def zipped(blobs: BlobStore, user: UserId, job: JobRecord, pages: list[PageRecord]) -> IO[bytes]:
    """An open temporary file with the zip; entries are named by us, never by the document."""
    file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115  # closed once it is sent
    task = TaskId(job.task_id)
    with zipfile.ZipFile(file, "w") as archive:
        text = merged_markdown(pages).encode()
        archive.writestr(f"{task}.md", text, zipfile.ZIP_DEFLATED)
        for page in pages:
            for figure in page.figures:
                try:
                    png = blobs.get(figure_name(user, task, figure))
                except BlobMissing:
                    continue  # expired a moment before its job
                archive.writestr(f"figures/{figure.id}.png", png, zipfile.ZIP_STORED)
    file.seek(0)
    return file


async def blocks(file: IO[bytes]) -> AsyncGenerator[bytes, None]:
    """The file's content, then it is closed."""
    with file:
        while block := await asyncio.to_thread(file.read, _BLOCK_BYTES):
            yield block
