"""Child processes of tests: one that does not end when asked is killed, and its test fails."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any


@contextmanager
def running(
    command: Sequence[str], *, ends_within: float = 30, **options: Any
) -> Iterator["subprocess.Popen[str]"]:
    """A child for the length of a block, its stdout a pipe; SIGTERM ends it.

    `options` are those of `subprocess.Popen`.

    Raises:
        subprocess.TimeoutExpired: it was still there after `ends_within` seconds.
    """
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(ends_within)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
