"""This host or container: open files, scratch space, shared memory."""

import resource
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ocrplus_contract.doctor.findings import Finding, fail, ok, warn

SHARED_MEMORY: Final = Path("/dev/shm")
_LEAST_SHARED_BYTES: Final = 16 << 20  # semaphores of the worker pool, and the engine's threads
_OWN_FILES: Final = 200  # besides those of clients


@dataclass(frozen=True, slots=True)
class Machine:
    """What a process needs of its host: `files` besides its own, scratch for its documents."""

    files: int = 0
    scratch_bytes: int = 0
    shared_memory: Path = SHARED_MEMORY

    def look(self) -> Iterator[Finding]:
        """Everything about it."""
        yield self._files(
            resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        )  # the hard one: a gateway raises its own
        yield self._scratch(Path(tempfile.gettempdir()))
        yield self._shared()

    def _files(self, allowed: int) -> Finding:
        needed = self.files + _OWN_FILES
        told = "any number of" if allowed == resource.RLIM_INFINITY else f"{allowed}"
        if allowed not in (resource.RLIM_INFINITY, -1) and allowed < needed:
            return warn(
                "machine.files",
                f"{told} open files are allowed, {needed} may be needed",
                "raise the limit (ulimit -n, LimitNOFILE), or lower OCRPLUS_MAX_CONNECTIONS",
            )
        return ok("machine.files", f"{told} open files are allowed")

    def _scratch(self, folder: Path) -> Finding:
        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(b"ocrplus doctor")
                file.flush()
        except OSError as error:
            reason = f"{folder} takes no files: {error.strerror}"
            return fail("machine.scratch", reason, "mount a writable volume there, or set TMPDIR")
        free = shutil.disk_usage(folder).free
        told = f"{free / 1e6:.0f} MB are free in {folder}"
        if free < self.scratch_bytes:
            return warn(
                "machine.scratch",
                f"{told}, {self.scratch_bytes / 1e6:.0f} MB may be needed",
                "enlarge the volume (scratchSize), or set TMPDIR",
            )
        return ok("machine.scratch", told)

    def _shared(self) -> Finding:
        try:
            free = shutil.disk_usage(self.shared_memory).free
        except OSError:
            return warn(
                "machine.shared-memory",
                f"there is no {self.shared_memory}",
                "mount a tmpfs there: the worker pool's semaphores lie in it",
            )
        told = f"{free / 1e6:.0f} MB are free in {self.shared_memory}"
        if free < _LEAST_SHARED_BYTES:
            return warn("machine.shared-memory", told, "mount a larger tmpfs there")
        return ok("machine.shared-memory", told)
