"""Memory and files of the process.

Large blocks go back to the system as soon as they are freed.

glibc raises the size from which it asks the system for a block of its own with each such block that
is freed; then the 256 KiB pieces that uploads arrive in stay in its heap: six uploads of 20 MiB at
once held 1.1 MiB each, with a fixed threshold 0.9 (benchmarks/wire.py).
Newer container runtimes begin with a soft limit of 1,024 open files below a high hard one.
"""

import ctypes
import resource
from contextlib import suppress
from typing import Final

_M_MMAP_THRESHOLD: Final = -3  # malloc.h
_THRESHOLD_BYTES: Final = 128 * 1024
_OWN_FILES: Final = 1000  # uploads, children, connections to servers


def return_large_blocks() -> None:
    """Call once, before uploads arrive; does nothing where malloc is not glibc's."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _THRESHOLD_BYTES)


def allow_files(most: int) -> None:
    """Raise the soft limit of open files so that `most` clients may connect, if the hard one lets
    it; the doctor says where that is too low."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most + _OWN_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # a sandbox may forbid it
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
