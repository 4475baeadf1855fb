"""One WorkerPool's loop: look, decide, act, tell. An asyncio task of the operator's own.

Not a kopf timer or daemon: those put a finalizer on the resource, and an uninstalled operator
would leave a pool that cannot be deleted.
"""

import asyncio
import dataclasses
import logging
import time
from collections.abc import Callable
from typing import Final

from ocrplus_contract import logs
from ocrplus_operator.act import Acted, Actor
from ocrplus_operator.control.law import decide
from ocrplus_operator.control.learning import PRIOR_SECONDS_PER_PAGE
from ocrplus_operator.control.spec import PoolSpec
from ocrplus_operator.control.types import (
    OWN_KIND,
    Cluster,
    Decision,
    Memory,
    Notice,
    Pause,
    Reading,
    Snapshot,
    Unknown,
)
from ocrplus_operator.errors import ApiError, NotFound, OperatorError, Unreadable
from ocrplus_operator.kube import Kube, Object
from ocrplus_operator.metrics import OperatorMetrics
from ocrplus_operator.observe.cluster import ClusterView
from ocrplus_operator.observe.pods import unix
from ocrplus_operator.observe.redis import WorkSource
from ocrplus_operator.resource import Resource, pools_path, resource_of
from ocrplus_operator.settings import OperatorSettings
from ocrplus_operator.status import Outcome, StatusWriter, invalid, is_news, status_of, turns

log = logging.getLogger(__name__)

_RELEASE_SECONDS: Final = 10.0


class PoolLoop:
    """Looks after one pool while this process leads."""

    def __init__(
        self,
        kube: Kube,
        settings: OperatorSettings,
        metrics: OperatorMetrics,
        body: Object,
        may_act: Callable[[], bool],
    ) -> None:
        self._kube = kube
        self._settings = settings
        self._metrics = metrics
        self._body = body
        self._view = ClusterView(kube, settings.operator.survey_seconds)
        self._may_act = may_act
        self._actor = Actor(kube, may_act)
        self._work: WorkSource | None = None
        self._memory: Memory | None = None
        self._status: Object = {}
        self._writer: StatusWriter | None = None
        self._told: dict[tuple[str, str], float] = {}
        self.ticked_at = time.monotonic()

    def changed(self, body: Object) -> None:
        """The resource as it is now."""
        self._body = body

    async def close(self) -> None:
        """Let go of connections."""
        await self._view.close()
        if self._work is not None:
            await self._work.close()
        self._metrics.forget(self._label)

    @property
    def name(self) -> str:
        """Name of the resource."""
        return str(self._body["metadata"]["name"])

    @property
    def uid(self) -> str:
        """Identity of the resource."""
        return str(self._body["metadata"]["uid"])

    @property
    def _label(self) -> str:
        return str(self._body["spec"].get("source", {}).get("pool", "ocr"))

    def rest(self) -> None:
        """Another replica leads: what is remembered grows old, status is where it goes on."""
        if self._memory is not None:
            self._memory, self._writer = None, None
            self._metrics.forget(self._label)
        self.ticked_at = time.monotonic()

    async def tick(self) -> None:
        """Once: look, decide, act, tell."""
        try:
            with self._metrics.tick.labels(self._label).time():
                await self._look_after()
        finally:
            # Also where the API server failed: to be started anew would not help against that.
            self.ticked_at = time.monotonic()

    async def _look_after(self) -> None:
        try:
            resource = resource_of(self._body)
        except Unreadable as error:
            await self._refuse(error)
        else:
            await self._resume(resource)
            await self._decide_and_act(resource)

    async def _resume(self, resource: Resource) -> None:
        """Begin, or begin again as leader: from the status as it stands in the API now."""
        if self._memory is not None:
            return
        body = await self._kube.get(resource.path)
        self._status = body.get("status") or {}
        self._memory = _remembered(self._status, resource.spec)
        self._writer = StatusWriter(
            self._kube, resource.path, self._settings.operator.status_seconds, dict(self._status)
        )

    async def release(self) -> None:
        """The resource is gone: give back what drains, or it would take no work ever again."""
        if self._memory is None:
            return
        paused = dataclasses.replace(resource_of(self._body), pause=Pause(all=True))
        decision, _, _ = await self._decide(paused)
        if self._view.target is not None:
            await self._actor.carry_out(paused, decision, self._view.target, self._work)

    async def _decide(
        self, resource: Resource
    ) -> tuple[Decision, Cluster | Unknown, Reading | Unknown]:
        cluster = await self._view.read(resource)
        reading = await self._read_work(resource)
        snapshot = Snapshot(time.time(), cluster, reading, resource.pause)
        assert self._memory is not None
        decision, self._memory = decide(snapshot, self._memory, resource.spec)
        if strays := _strays(cluster, reading):
            unmark = tuple(dict.fromkeys((*decision.unmark, *strays)))
            decision = dataclasses.replace(decision, unmark=unmark)
        return decision, cluster, reading

    async def _decide_and_act(self, resource: Resource) -> None:
        decision, cluster, reading = await self._decide(resource)
        now, target = time.time(), self._view.target
        self._note(decision, cluster, reading)
        acted = Acted()
        if target is not None:
            acted = await self._actor.carry_out(resource, decision, target, self._work)
        if acted.refused:
            self._metrics.unready(self._label)
        if not acted.done:  # nothing is to be told of an order, and nobody is expected to go
            decision = dataclasses.replace(decision, scale_to=None)
            assert self._memory is not None
            self._memory = dataclasses.replace(self._memory, leaving=frozenset())
        outcome = Outcome(
            at=now,
            decision=decision,
            reading=reading,
            replicas=cluster.replicas if isinstance(cluster, Cluster) else None,
            selector=target.selector if target else "",
            grace_seconds=target.grace_seconds if target else None,
            drain_timeout_seconds=resource.spec.scale_down.drain_timeout_seconds,
            generation=resource.generation,
            refused=acted.refused,
        )
        await self._tell(resource, outcome)

    async def _read_work(self, resource: Resource) -> Reading | Unknown:
        url = self._view.redis_url
        if not url:
            return Unknown("SourceUnknown", "the Secret with the server's URL was not read yet")
        wanted = (url, resource.spec.source, resource.lease_seconds)
        if self._work is None or (self._work.url, self._work.source, self._work.lease_seconds) != (
            wanted
        ):
            if self._work is not None:
                await self._work.close()
            try:
                self._work = WorkSource(*wanted)
            except ValueError:  # its words might hold the password
                self._work = None
                return Unknown("UrlUnreadable", "the Secret's URL is none of a Redis server")
        return await self._work.read()

    def _note(self, decision: Decision, cluster: object, reading: object) -> None:
        for side in (cluster, reading):
            if isinstance(side, Unknown):
                self._metrics.failed(self._label, side)
        replicas = cluster.replicas if isinstance(cluster, Cluster) else None
        self._metrics.decided(self._label, decision, replicas)

    async def _tell(self, resource: Resource, outcome: Outcome) -> None:
        status = status_of(self._status, outcome)
        news = is_news(self._status, outcome.decision)
        notices = (*outcome.decision.notices, *turns(self._status, status))
        self._status = status
        decision = outcome.decision
        if news:
            log.info(
                "decided",
                extra={
                    "from": outcome.replicas,
                    "to": decision.desired,
                    "reason": str(decision.reason),
                    "why": decision.message,
                    "mark": decision.mark,
                    "unmark": decision.unmark,
                    "cheapen": decision.cheapen,
                    "scale_to": decision.scale_to,
                    "inputs": dataclasses.asdict(decision.inputs),
                },
            )
        for notice in notices:
            await self._announce(resource, notice)
        if news and decision.scale_to is not None:
            falls = outcome.replicas is not None and decision.scale_to < outcome.replicas
            what = "Down" if falls else str(decision.reason)
            message = f"replicas {outcome.replicas} to {decision.scale_to} ({decision.message})"
            await self._announce(resource, Notice(f"Scaled{what}", message))
        assert self._writer is not None
        await self._writer.write(status, time.monotonic())

    async def _announce(self, resource: Resource, notice: Notice) -> None:
        """Write an Event unless the same was written within the last minutes."""
        key, now = (notice.reason, notice.message), time.monotonic()
        self._told = {k: at for k, at in self._told.items() if now - at < 300}
        if key not in self._told:
            self._told[key] = now
            await self._actor.tell(resource, notice)

    async def _refuse(self, error: Unreadable) -> None:
        """The spec cannot be acted on; a person has to change it."""
        self._metrics.forget(self._label)  # what the last look saw holds no longer
        self._metrics.unready(self._label)
        meta = self._body["metadata"]
        before = self._body.get("status") or {}
        status = invalid(before, meta.get("generation", 0), error.message, time.time())
        if status != before:
            path = pools_path(meta["namespace"], meta["name"])
            await self._kube.patch(f"{path}/status", {"status": status})


def _strays(cluster: Cluster | Unknown, reading: Reading | Unknown) -> tuple[str, ...]:
    """Pods with a drain's deletion cost that nobody drains, as after Redis has lost its set: they
    would be removed first, with whatever they hold."""
    if isinstance(cluster, Unknown) or isinstance(reading, Unknown):
        return ()
    if cluster.conflict.startswith(OWN_KIND):  # an elder pool drains them, maybe by another set
        return ()
    return tuple(
        pod.name
        for pod in cluster.pods
        if pod.cheap and not pod.terminating and pod.name not in reading.draining
    )


def _remembered(status: Object, spec: PoolSpec) -> Memory:
    """What an earlier leader left in status. What nobody had measured is no measurement."""
    rates = status.get("rates") or {}
    page, cold = rates.get("secondsPerPage"), rates.get("coldStartSeconds")
    unknown_since = None
    for condition in status.get("conditions", ()):
        if condition["type"] == "MetricsAvailable" and condition["status"] == "False":
            unknown_since = unix(condition["lastTransitionTime"])
    return Memory.resumed(
        seconds_per_page=None if page == PRIOR_SECONDS_PER_PAGE else page,
        cold_start_seconds=None if cold == spec.startup.cold_start_seconds else cold,
        unknown_since=unknown_since,
    )


class Pools:
    """Every pool of the namespace, each in a task of its own."""

    def __init__(self, kube: Kube, settings: OperatorSettings, metrics: OperatorMetrics) -> None:
        self._kube = kube
        self._settings = settings
        self._metrics = metrics
        self._loops: dict[str, tuple[PoolLoop, asyncio.Task[None]]] = {}
        self.leads = asyncio.Event()
        self._closed = False

    def changed(self, body: Object) -> None:
        """A pool was created or changed."""
        uid = body["metadata"]["uid"]
        if self._closed:
            return
        if uid in self._loops:
            self._loops[uid][0].changed(body)
            return
        loop = PoolLoop(self._kube, self._settings, self._metrics, body, self.leads.is_set)
        task = asyncio.create_task(self._run(loop), name=body["metadata"]["name"])
        self._loops[uid] = (loop, task)

    async def gone(self, uid: str) -> None:
        """A pool was deleted: its target stays as it is, what drains is given back."""
        found = self._loops.pop(uid, None)
        if found is not None:
            await ended(found[1])
            await self._let_go(found[0])

    async def close(self) -> None:
        """Stop all loops; nothing acts any more."""
        self._closed = True
        loops, self._loops = list(self._loops.values()), {}
        await ended(*(task for _, task in loops))
        for loop, _ in loops:
            await loop.close()

    @property
    def oldest_tick(self) -> float:
        """When the pool that was looked after longest ago was."""
        return min((loop.ticked_at for loop, _ in self._loops.values()), default=time.monotonic())

    async def _run(self, loop: PoolLoop) -> None:
        while True:
            began = time.monotonic()
            if not self.leads.is_set():
                loop.rest()
            elif not await self._tick(loop):
                await self._let_go(loop)
                return
            took = time.monotonic() - began
            await asyncio.sleep(max(0.1, self._settings.operator.tick_seconds - took))

    async def _let_go(self, loop: PoolLoop) -> None:
        """After the last look at a pool that is gone."""
        if self.leads.is_set():
            await _released(loop)
        await loop.close()

    async def _tick(self, loop: PoolLoop) -> bool:
        """One look after a pool; False when there is no such pool any more."""
        with logs.bind(worker_pool=loop.name):
            return await self._looked(loop)

    async def _looked(self, loop: PoolLoop) -> bool:
        try:
            await loop.tick()
        except NotFound:  # a deletion that the watch missed
            log.info("the pool is gone")
            self._loops.pop(loop.uid, None)
            return False
        except ApiError as error:
            log.warning("tick failed; it is tried again", extra={"error": error})
        except Exception:  # the outermost loop: without it the pool would never be looked at again
            log.exception("tick failed; it is tried again")
        return True


async def ended(*tasks: "asyncio.Task[None]") -> None:
    """Cancel tasks until they have ended.

    Before Python 3.12 `asyncio.wait_for`, by which redis-py sends, may lose a cancellation that
    comes as the command goes out (CPython issue 86296).
    """
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=1)


async def _released(loop: PoolLoop) -> None:
    try:
        async with asyncio.timeout(_RELEASE_SECONDS):
            await loop.release()
    except (OperatorError, TimeoutError) as error:  # as where the whole namespace goes
        log.warning("drains were not given back", extra={"error": error})
