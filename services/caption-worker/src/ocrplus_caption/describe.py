"""One figure: is it worth a description, was it described before, what does the model say of it."""

import asyncio
import json
import logging
import secrets
import time
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final  # redis-py's replies

import redis.asyncio

from ocrplus_caption import cleaning
from ocrplus_caption.captioner import Answer, Captioner, Failed, Fatal, Limited, Question, Refused
from ocrplus_caption.gate import Gate, NotNow, Verdict
from ocrplus_caption.memory import Memory, Remembered
from ocrplus_caption.metrics import CaptionMetrics
from ocrplus_caption.picture import Picture, UnreadablePicture, encoded, oblong, read_picture
from ocrplus_caption.prompt import Prompt, ask, context_of
from ocrplus_contract.blobs import BlobStore, figure_name
from ocrplus_contract.caption_settings import CaptionSettings
from ocrplus_contract.captions import CaptionReason, CaptionRecord, CaptionState
from ocrplus_contract.errors import BlobMissing, BlobsUnavailable
from ocrplus_contract.keys import Keys
from ocrplus_contract.ledger import Lease, Ledger, run_async
from ocrplus_contract.names import Permit
from ocrplus_contract.options import JobOptions
from ocrplus_contract.records import FigureRecord, PageRecord

log = logging.getLogger(__name__)

_AWAY_SECONDS: Final = 5.0  # the next figure would fare no better
_SPENT: Final = {"job": CaptionReason.BUDGET_JOB, "user": CaptionReason.BUDGET_USER}


@dataclass(frozen=True, slots=True)
class Describer:
    """What it takes to describe a figure."""

    client: "redis.asyncio.Redis"
    ledger: Ledger
    blobs: BlobStore
    memory: Memory
    gate: Gate
    captioner: Captioner
    prompt: Prompt
    settings: CaptionSettings
    metrics: CaptionMetrics
    pixels: Executor
    """Threads for the work on pixels: few, or many pictures would be in memory decoded."""

    @property
    def name(self) -> str:
        """Who writes: model and prompt."""
        return f"{self.settings.model} {self.prompt.version}"

    async def describe(self, lease: Lease) -> CaptionRecord:
        """What becomes of the figure of a lease.

        Raises:
            NotNow: the model cannot be asked at present.
        """
        pending = CaptionRecord.model_validate_json(lease.figure)
        page = await self._page(lease, pending.page)
        figure = next((f for f in page.figures if f.id == pending.figure), None)
        if figure is None:
            return _without(pending, CaptionReason.FIGURE_LOST)
        if _area(figure) < self.settings.least_area_points:
            return _without(pending, CaptionReason.TOO_SMALL)
        picture = await self._picture(lease, figure)
        if picture is None:
            return _without(pending, CaptionReason.FIGURE_LOST)
        if oblong(picture) > self.settings.most_aspect:
            return _without(pending, CaptionReason.SHAPE)
        said = await self._said_of(lease, picture, page, figure)
        return pending.model_copy(
            update={
                "state": said.state,
                "caption": said.caption,
                "reason": said.reason,
                "captioner": self.name if said.caption is not None else None,
            }
        )

    async def _page(self, lease: Lease, page: int) -> PageRecord:
        key = Keys(self.ledger.prefix).pages(lease.user, lease.task)
        raw: Any = await self.client.hget(key, str(page))  # bytes
        if raw is None:  # the job is gone: the commit will say so
            return PageRecord.model_validate({"page": page, "state": "empty"})
        return PageRecord.unpack(raw)

    async def _picture(self, lease: Lease, figure: FigureRecord) -> Picture | None:
        name = figure_name(lease.user, lease.task, figure)
        try:
            picture: Picture = await self._in_thread(lambda: read_picture(self.blobs.get(name)))
            return picture
        except (BlobMissing, UnreadablePicture):
            log.warning(
                "a figure cannot be read", extra={"job_id": lease.task, "figure": figure.id}
            )
            return None
        except BlobsUnavailable as away:
            log.error("figures cannot be read", extra={"problem": str(away)})
            await asyncio.sleep(_AWAY_SECONDS)
            raise NotNow from away

    async def _in_thread(self, work: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self.pixels, work)

    async def _said_of(
        self, lease: Lease, picture: Picture, page: PageRecord, figure: FigureRecord
    ) -> Remembered:
        """From memory, or from the model; many who hold the same picture wait for one."""
        options = JobOptions.model_validate_json(lease.options)
        context = context_of(
            page.markdown,
            figure.id,
            kind=figure.kind,
            printed=figure.caption,
            wanted=options.caption_language or "auto",
        )
        terms = f"{self.name}:{context.language}".replace(" ", ":")
        while True:
            known = await self.memory.recall(lease.user, picture.digest, terms)
            if known is not None:
                self.metrics.saved()
                return known
            async with self.memory.turn(lease.user, picture.digest, terms, lease.permit) as mine:
                if not mine or await self.memory.recall(lease.user, picture.digest, terms):
                    continue
                said = await self.memory.same_as(lease.user, picture, terms)
                if said is not None:
                    self.metrics.saved()
                else:
                    spent = await self._spend(lease)
                    if spent is not None:
                        return Remembered(state=CaptionState.SKIPPED, reason=spent)
                    media_type, data = await self._in_thread(
                        lambda: encoded(picture, self.settings.max_pixels)
                    )
                    system, text = ask(self.prompt, context)
                    said = await self._ask(lease.permit, Question(system, text, media_type, data))
                if said.reason in (None, CaptionReason.REFUSED, CaptionReason.REJECTED):
                    at = lease.user, lease.task, figure
                    await self.memory.remember(at, picture, terms, said)
                return said

    async def _spend(self, lease: Lease) -> CaptionReason | None:
        """Charge the budgets, once a figure; the one that is used up.

        Raises:
            NotNow: nobody wants the figure any more; given back, it is dropped.
        """
        call = self.ledger.call(
            "spend",
            bytes.decode,
            lease.permit,
            datetime.now(UTC).strftime("%Y%m%d"),
            self.settings.budget_job,
            self.settings.budget_user_day,
        )
        said = await run_async(self.client, call)
        if said == "closed":
            raise NotNow
        return _SPENT.get(said)

    async def _ask(self, permit: Permit, question: Question) -> Remembered:
        """Ask until there is an answer, or there have been enough attempts."""
        reason = CaptionReason.MODEL_FAILED
        for attempt in range(self.settings.attempts):
            if attempt:
                pause = self.settings.retry_seconds * 2 ** (attempt - 1)
                await asyncio.sleep(pause * (0.5 + secrets.randbelow(1000) / 1000))
            try:
                answer = await self._call(permit, question)
            except Failed as failed:
                reason = failed.reason
                continue
            except Refused as refused:
                return Remembered(state=CaptionState.FAILED, reason=refused.reason)
            self.metrics.spent(answer)
            text = cleaning.description(answer.text, self.settings.most_characters)
            if text is None:
                reason = CaptionReason.BAD_ANSWER
            elif cleaning.is_refusal(text):
                return Remembered(state=CaptionState.FAILED, reason=CaptionReason.REFUSED)
            else:
                return Remembered(state=CaptionState.OK, caption=text)
        return Remembered(state=CaptionState.FAILED, reason=reason)

    async def _call(self, permit: Permit, question: Question) -> Answer:
        """One call, through the gate, counted."""
        async with self.gate.calls:
            call = await self.gate.enter(permit)
            began, verdict, pause = time.monotonic(), "unknown", 0.0
            outcome = "broken_off"
            try:
                answer = await self.captioner.ask(question)
                verdict, outcome = "ok", "ok"
                return answer
            except Refused as refused:
                verdict, outcome = "ok", str(refused.reason).removeprefix("caption_")
                raise
            except Failed as failed:
                verdict, outcome = "failed", str(failed.reason).removeprefix("caption_")
                raise
            except Limited as limited:
                pause = limited.seconds
                verdict = "failed" if limited.failing else "limited"
                outcome = "model_failed" if limited.failing else "limited"
                log.warning("the model asks for patience", extra={"seconds": round(pause, 1)})
                raise NotNow from limited
            except Fatal as fatal:
                verdict, outcome = "fatal", "fatal"
                log.error(
                    "the model cannot be asked: check OPENAI_API_KEY, OPENAI_BASE_URL and "
                    "OCRPLUS_CAPTION__MODEL",
                    extra={"status": fatal.status},
                )
                raise NotNow from fatal
            finally:
                self.metrics.call(outcome, time.monotonic() - began)
                await self._leave(call, verdict, pause)

    async def _leave(self, call: str, verdict: Any, pause: float) -> None:
        said: Verdict = verdict
        await asyncio.shield(self.gate.leave(call, said, pause))


def _area(figure: FigureRecord) -> float:
    x0, y0, x1, y1 = figure.box
    return max(0.0, x1 - x0) * max(0.0, y1 - y0)


def _without(pending: CaptionRecord, reason: CaptionReason) -> CaptionRecord:
    lost = reason is CaptionReason.FIGURE_LOST
    state = CaptionState.FAILED if lost else CaptionState.SKIPPED
    return pending.model_copy(update={"state": state, "reason": reason})


def figure_of(lease: Lease) -> str:
    """The id of a lease's figure, for logs."""
    return str(json.loads(lease.figure).get("figure", "")) if lease.figure else ""
