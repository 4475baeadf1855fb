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
from ocrplus_caption.crowd import Crowd, Desks
from ocrplus_caption.gate import Gate, NotNow, Verdict
from ocrplus_caption.memory import Memory, Remembered, Shown, Turn
from ocrplus_caption.metrics import CaptionMetrics
from ocrplus_caption.picture import Picture, UnreadablePicture, encoded, oblong, read_picture
from ocrplus_caption.prompt import Context, Prompt, ask, context_of
from ocrplus_contract import tracing
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
    crowd: Crowd
    desks: Desks
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
            Crowded: enough figures wait for what is heard of this picture.
        """
        await self.desks.sit_down(lease.permit)
        try:
            return await self._described(lease)
        finally:
            self.desks.leave(lease.permit)

    async def _described(self, lease: Lease) -> CaptionRecord:
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
            log.warning("a figure cannot be read")
            return None
        except BlobsUnavailable as away:
            log.error("figures cannot be read", extra={"error": away})
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
        shown = Shown(lease, figure, picture, terms)
        found = await self.memory.look_up(shown)
        if found is None:
            self.desks.leave(lease.permit)
            with self.crowd.joined(shown.key):
                while found is None:
                    await self.crowd.pause()
                    found = await self.memory.look_up(shown)
        if isinstance(found, Remembered):
            self.metrics.saved()
            self.crowd.turn_ended(shown.key)
            return found
        said = None
        try:
            said = await self._heard_of(shown, found, context)
            return said
        finally:
            await self.memory.end_turn(shown, said)
            self.crowd.turn_ended(shown.key)

    async def _heard_of(self, shown: Shown, turn: Turn, context: Context) -> Remembered:
        """What the model says, or said of a picture that is as good as the same."""
        said = await self.memory.same_as(shown, turn)
        if said is not None:
            self.metrics.saved()
            return said
        spent = await self._spend(shown.lease)
        if spent is not None:
            return Remembered(state=CaptionState.SKIPPED, reason=spent)
        body = await self._in_thread(lambda: self._body(shown.picture, context))
        return await self._ask(shown.lease.permit, body)

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

    def _body(self, picture: Picture, context: Context) -> bytes:
        media_type, data = encoded(picture, self.settings.max_pixels)
        system, text = ask(self.prompt, context)
        return self.captioner.body(Question(system, text, media_type, data))

    async def _ask(self, permit: Permit, body: bytes) -> Remembered:
        """Ask until there is an answer, or there have been enough attempts."""
        reason = CaptionReason.MODEL_FAILED
        for attempt in range(self.settings.attempts):
            if attempt:
                pause = self.settings.retry_seconds * 2 ** (attempt - 1)
                await asyncio.sleep(pause * (0.5 + secrets.randbelow(1000) / 1000))
            try:
                answer = await self._call(permit, body)
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

    async def _call(self, permit: Permit, body: bytes) -> Answer:
        """One call, through the gate, counted. After an answer the next one begins at once, after
        anything else when the gate knows of it.
        """
        self.desks.leave(permit)
        async with self.gate.calls:
            call = await self.gate.enter(permit)
            began = time.monotonic()
            try:
                with tracing.span("vlm call", {"model": self.settings.model}) as span:
                    answer = await self.captioner.ask(body)
                    span.note(input_tokens=answer.input_tokens, output_tokens=answer.output_tokens)
            except BaseException as failure:
                outcome, verdict, pause = _came_of(failure)
                self.metrics.call(outcome, time.monotonic() - began)
                await self._leave(call, verdict, pause)
                if isinstance(failure, Limited | Fatal):
                    raise NotNow from failure
                raise
            self.metrics.call("ok", time.monotonic() - began)
        await self._leave(call, "ok")
        return answer

    async def _leave(self, call: str, verdict: Verdict, pause: float = 0.0) -> None:
        await asyncio.shield(self.gate.leave(call, verdict, pause))


def _came_of(failure: BaseException) -> tuple[str, Verdict, float]:
    """For the metrics and for the gate what came of a call, and the patience asked for."""
    match failure:
        case Refused():
            return str(failure.reason).removeprefix("caption_"), "ok", 0.0
        case Failed():
            return str(failure.reason).removeprefix("caption_"), "failed", 0.0
        case Limited():
            log.warning("the model asks for patience", extra={"seconds": round(failure.seconds, 1)})
            said: Verdict = "failed" if failure.failing else "limited"
            return "model_failed" if failure.failing else "limited", said, failure.seconds
        case Fatal():
            log.error(
                "the model cannot be asked: check OPENAI_API_KEY, OPENAI_BASE_URL and "
                "OCRPLUS_CAPTION__MODEL",
                extra={"status": failure.status},
            )
            return "fatal", "fatal", 0.0
    return "broken_off", "unknown", 0.0


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
