"""Captions in the gateway: which jobs have any, and what was written of figures in the Markdown.

A description stands as a block quote right after its picture (protocol, 2a). A figure that was
owed one and has none carries a comment with the reason, as a failed page does.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final  # Any: JSON, and redis-py's replies

import redis.asyncio

from ocrplus_contract.captions import CaptionReason, CaptionRecord, CaptionState
from ocrplus_contract.keys import Keys
from ocrplus_contract.lines import with_pictures
from ocrplus_contract.names import TaskId
from ocrplus_contract.options import JobOptions
from ocrplus_contract.records import PageRecord
from ocrplus_contract.settings import GatewaySettings

OFF: Final = "off"
ON: Final = "on"


@dataclass(frozen=True, slots=True)
class CaptionTerms:
    """Decides at admission whether a job has captions, and how long they are waited for."""

    settings: GatewaySettings
    client: "redis.asyncio.Redis"
    keys: Keys

    async def facts(self, options: JobOptions) -> dict[str, str]:
        """Fields of the job. Figures that are no files of their own have no captions."""
        waiting = self.settings.caption
        if (
            waiting.enabled == OFF
            or options.captions is False
            or options.figures in ("none", "inline")
        ):
            return {"captions": OFF}
        captioner: Any = await self.client.get(self.keys.captioner())  # bytes
        if captioner is None and waiting.enabled != ON:
            return {"captions": OFF}
        # Gone before the job is: nothing of an expired job may wait.
        late = min(waiting.give_up_seconds, self.settings.result_ttl_seconds / 2)
        return {
            "captions": ON,
            "caption_seconds": str(waiting.deadline_seconds),
            "late_seconds": str(late),
            "asked": captioner.decode() if captioner else "",
        }


def content_of(fingerprint: str, captions: dict[str, str]) -> str:
    """The content cache's name of a document: with captions it is another by each captioner."""
    if captions["captions"] == OFF:
        return fingerprint
    return f"{fingerprint}:{hashlib.sha256(captions['asked'].encode()).hexdigest()[:16]}"


def with_captions(
    pages: Sequence[PageRecord], captions: Sequence[CaptionRecord], *, ended: bool = True
) -> list[PageRecord]:
    """The pages, each picture followed by what was written of it; of a job that has not `ended`,
    nothing is late.
    """
    told = [c for c in captions if ended or c.state is not CaptionState.PENDING]
    notes = {caption.figure: _note(caption) for caption in told}
    if not notes:
        return list(pages)

    def annotate(picture: str, figure: str) -> str:
        note = notes.get(figure)
        return f"{picture}\n\n{note}" if note else picture

    return [
        page.model_copy(update={"markdown": with_pictures(page.markdown, annotate)})
        if page.figures
        else page
        for page in pages
    ]


def _note(caption: CaptionRecord) -> str:
    if caption.caption is not None:
        return "\n".join(f"> {line}".rstrip() for line in caption.caption.splitlines())
    return f"<!-- figure {caption.figure} has no description: {_reason(caption)} -->"


def _reason(caption: CaptionRecord) -> CaptionReason | None:
    return CaptionReason.LATE if caption.state is CaptionState.PENDING else caption.reason


def figures_of(
    page: PageRecord, captions: Sequence[CaptionRecord], task: TaskId, *, ended: bool = True
) -> list[dict[str, Any]]:
    """A page's figures as `GET …/pages/{n}` lists them."""
    known = {caption.figure: caption for caption in captions}
    listed = []
    for figure in page.figures:
        caption = known.get(figure.id)
        listed.append(
            {
                "id": figure.id,
                "url": f"/v1/tasks/{task}/figures/{figure.id}.png",
                "bbox": figure.box,
                "kind": figure.kind,
                "state": caption.state if caption else None,
                "caption": caption.caption if caption else None,
                "reason": _reason(caption) if caption and ended else caption and caption.reason,
                "captioner": caption.captioner if caption else None,
            }
        )
    return listed
