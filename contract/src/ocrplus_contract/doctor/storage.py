"""Where documents lie: reachable, writable, with room, and by a clock like ours."""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import redis

from ocrplus_contract.blobs import ROOM_UNKNOWN_BYTES, BlobStore, open_store
from ocrplus_contract.doctor.findings import Finding, fail, ok, warn
from ocrplus_contract.errors import BlobMissing, BlobsUnavailable
from ocrplus_contract.settings import CommonSettings

_DATA: Final = b"ocrplus doctor"
_ROOM_WARN_BYTES: Final = 300_000_000  # the alert's
_SKEW_WARN_SECONDS: Final = 5.0  # stores tell whole seconds
_SKEW_FAIL_SECONDS: Final = 600.0  # S3 refuses at 900


@dataclass(frozen=True, slots=True)
class Storage:
    """The store of `OCRPLUS_BLOB_URL`; caption workers only read."""

    settings: CommonSettings
    client: Callable[[], "redis.Redis"]
    writing: bool = True
    clock: Callable[[], float] = field(default=time.time)

    def look(self) -> Iterator[Finding]:
        """Everything about it."""
        kind = self.settings.blob_url.partition(":")[0]
        try:
            with self.client() as client:
                store = open_store(self.settings, client)
                store.check(writing=self.writing)
                if not self.writing:
                    yield ok("blobs", f"documents can be read ({kind})")
                    return
                yield from self._tried(store, kind)
        except ValueError as wrong:
            yield fail("blobs", str(wrong), "correct OCRPLUS_BLOB_URL")
        except BlobsUnavailable as unavailable:
            yield fail("blobs", str(unavailable), "docs/blobs.md says what each kind needs")
        except redis.RedisError as error:
            reason = f"Redis does not take documents ({type(error).__name__})"
            yield fail("blobs", reason, "see the findings about redis")
        except OSError as error:
            yield fail(
                "blobs", f"{kind}: {error.strerror}", "correct OCRPLUS_BLOB_URL, or the volume"
            )

    def _tried(self, store: BlobStore, kind: str) -> Iterator[Finding]:
        name = f".doctor-{secrets.token_hex(8)}"  # no user's name begins with a dot
        try:
            store.put(name, _DATA)
            now, stored = self.clock(), store.stored_at(name)
            read = store.get(name)
        except BlobMissing:
            read, now, stored = b"", self.clock(), None
        finally:
            with suppress(BlobsUnavailable, OSError, redis.RedisError):
                store.delete(name)
        if read == _DATA:
            yield ok("blobs", f"a document was written, read and deleted ({kind})")
        else:
            yield fail(
                "blobs",
                "what was written is not what is read",
                "look whether all pods have the same volume, or what stands before the bucket",
            )
        yield self._room(store)
        if stored is not None:
            yield self._clock(now - stored)

    def _room(self, store: BlobStore) -> Finding:
        room = store.room_bytes()
        if room >= ROOM_UNKNOWN_BYTES:
            return ok("blobs.room", "it sets no limit")
        told = f"{room / 1e6:.0f} MB are left"
        do = "enlarge it, or shorten OCRPLUS_RESULT_TTL_SECONDS"
        most = int(getattr(self.settings, "max_pdf_bytes", 0))
        if room < most:
            return fail("blobs.room", f"{told}, less than one document may have", do)
        return warn("blobs.room", told, do) if room < _ROOM_WARN_BYTES else ok("blobs.room", told)

    def _clock(self, skew: float) -> Finding:
        told = f"this host's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} it"
        do = "set both clocks by NTP: a store refuses requests of another time"
        if abs(skew) > _SKEW_FAIL_SECONDS:
            return fail("blobs.clock", told, do)
        if abs(skew) > _SKEW_WARN_SECONDS:
            return warn("blobs.clock", told, do)
        return ok("blobs.clock", "its clock and this host's agree")
