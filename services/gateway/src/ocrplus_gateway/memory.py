"""Memory of the process: large blocks go back to the system as soon as they are freed.

glibc raises the size from which it asks the system for a block of its own with each such block that
is freed; then the 256 KiB pieces that uploads arrive in stay in its heap: six uploads of 20 MiB at
once held 1.1 MiB each, with a fixed threshold 0.9 (benchmarks/wire.py).
"""

import ctypes
from typing import Final

_M_MMAP_THRESHOLD: Final = -3  # malloc.h
_THRESHOLD_BYTES: Final = 128 * 1024


def return_large_blocks() -> None:
    """Call once, before uploads arrive; does nothing where malloc is not glibc's."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _THRESHOLD_BYTES)
