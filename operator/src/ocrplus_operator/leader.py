"""Which of the operator's replicas acts: the holder of a Lease, as for Kubernetes' own controllers.

A Lease rather than kopf's peering: no second custom resource, and `kubectl get lease` shows it.
The clock of the other replica is not trusted: a Lease has run out when this process has seen it
unchanged for its duration. The holder stops acting before others may begin.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from ocrplus_operator.errors import ApiError, Conflict, NotFound
from ocrplus_operator.kube import Kube, Object

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Candidacy:
    """Who stands for which Lease, and for how long it holds without renewal."""

    namespace: str
    name: str
    identity: str
    seconds: int

    @property
    def folder(self) -> str:
        """Path of the namespace's Leases."""
        return f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases"


class Leader:
    """Keeps standing for the Lease; `leads` is only true while the hold is certain."""

    def __init__(
        self, kube: Kube, candidacy: Candidacy, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._kube = kube
        self._stand = candidacy
        self._clock = clock
        self._renewed = float("-inf")
        self._seen: tuple[str, float] = ("", 0.0)  # the Lease's version, and since when
        self.heard = float("-inf")  # last answer of the API server, for the probes
        self._there = float("-inf")  # when the Lease was last there

    @property
    def leads(self) -> bool:
        """Whether this process may act now: it renewed within two thirds of the duration."""
        return self._clock() - self._renewed < self._stand.seconds * 2 / 3

    async def run(self) -> None:
        """Stand until cancelled; then hand the Lease over at once."""
        try:
            while True:
                try:
                    await self.once()
                except Exception:  # the outermost loop: without it this process never leads again
                    log.exception("lease could not be looked at; it is tried again")
                await asyncio.sleep(self._stand.seconds / 6)
        finally:
            if self.leads:
                await self.release()

    async def once(self) -> None:
        """One attempt to acquire or renew."""
        led, asked = self.leads, self._clock()
        try:
            await self._try()
        except Conflict:
            log.debug("another replica wrote the lease first")
        except ApiError as error:
            log.warning("lease could not be renewed; nobody may act", extra={"error": error})
        else:
            self.heard = asked
        if self.leads != led:
            log.info(
                "leading" if self.leads else "not leading", extra={"identity": self._stand.identity}
            )

    async def _try(self) -> None:
        asked = self._clock()
        path = f"{self._stand.folder}/{self._stand.name}"
        try:
            lease = await self._kube.get(path)
        except NotFound:
            if asked - self._there < self._stand.seconds:
                return  # deleted a moment ago: with the release, and this process goes next
            await self._kube.create(self._stand.folder, self._lease(None))
            self._renewed = self._there = asked
            return
        self._there = asked
        if self._is_free(lease):
            await self._kube.replace(path, self._lease(lease))
            self._renewed = asked

    def _is_free(self, lease: Object) -> bool:
        holder = lease["spec"].get("holderIdentity") or ""
        if holder in ("", self._stand.identity):
            return True
        version = lease["metadata"]["resourceVersion"]
        if version != self._seen[0]:
            self._seen = (version, self._clock())
        duration = lease["spec"].get("leaseDurationSeconds") or self._stand.seconds
        return self._clock() - self._seen[1] > duration

    def _lease(self, old: Object | None) -> Object:
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        before = (old or {}).get("spec", {})
        mine = before.get("holderIdentity") == self._stand.identity
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": (old or {}).get("metadata", {"name": self._stand.name}),
            "spec": {
                "holderIdentity": self._stand.identity,
                "leaseDurationSeconds": self._stand.seconds,
                "acquireTime": before.get("acquireTime") or now if mine else now,
                "renewTime": now,
                "leaseTransitions": before.get("leaseTransitions", 0) + (0 if mine else 1),
            },
        }

    async def release(self) -> None:
        """Give the Lease up, so that the other replica need not wait for it to run out."""
        self._renewed = float("-inf")
        path = f"{self._stand.folder}/{self._stand.name}"
        try:
            lease = await self._kube.get(path)
            if lease["spec"].get("holderIdentity") == self._stand.identity:
                lease["spec"]["holderIdentity"] = ""
                await self._kube.replace(path, lease)
        except ApiError as error:
            log.warning("lease could not be given up; it runs out", extra={"error": error})
