"""Child processes that cannot outlive us: started in groups of their own, ended in order.

Each child asks the kernel to be killed when we die, so even a SIGKILL of this process leaves
nothing behind; an orderly end sends SIGTERM, waits, and kills what is left of the group.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
_LOG_TAIL_LINES: Final = 15


class ChildFailed(Exception):
    """A child ended that should have stayed; the message shows the end of its log."""


def die_with_parent() -> None:
    """Ask the kernel to end this process with its parent; run between fork and exec."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@dataclass
class Child:
    """One child process: its command, its log, and what its ready line said."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    log: Path | None
    announces: bool = True
    ready: dict[str, Any] = field(default_factory=dict)
    _process: "subprocess.Popen[str] | None" = None
    _announced: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Start the process; its stderr goes to the log, or to ours when there is none."""
        self._announced.clear()
        stderr = self.log.open("ab") if self.log is not None else None
        try:
            self._process = subprocess.Popen(
                self.command,
                env=dict(self.env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if self.announces else (stderr or subprocess.DEVNULL),
                stderr=stderr,
                text=True,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        finally:
            if stderr is not None:
                stderr.close()
        if self.announces:
            threading.Thread(target=self._listen, name=f"{self.name}-stdout", daemon=True).start()

    def _listen(self) -> None:
        process = self._process
        assert process is not None and process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                with suppress(ValueError):
                    said = json.loads(line)
                    if isinstance(said, dict) and "ready" in said:
                        self.ready = said
                        self._announced.set()

    @property
    def pid(self) -> int:
        """Process id, also of its group."""
        assert self._process is not None
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self._process is None or self._process.poll() is not None

    def wait_ready(self, timeout_seconds: float) -> dict[str, Any]:
        """Wait for the ready line.

        Raises:
            ChildFailed: it ended, or said nothing in time.
        """
        deadline = time.monotonic() + timeout_seconds
        while not self._announced.wait(0.05):
            if self.ended:
                raise ChildFailed(self.obituary())
            if time.monotonic() > deadline:
                raise ChildFailed(f"{self.name} was not ready after {timeout_seconds:.0f} s")
        return self.ready

    def obituary(self) -> str:
        """How it ended, and the last lines of its log."""
        code = self._process.returncode if self._process is not None else None
        lines = [f"{self.name} ended with exit code {code}"]
        if self.log is not None and self.log.exists():
            lines += self.log.read_text("utf-8", "replace").splitlines()[-_LOG_TAIL_LINES:]
        return "\n  ".join(lines)

    def stop(self, grace_seconds: float) -> None:
        """End the process and its whole group; returns when it is gone."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(grace_seconds)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class Interrupted(BaseException):
    """SIGINT or SIGTERM arrived; not an Exception, so that nobody swallows it."""

    def __init__(self, signum: int) -> None:
        self.signum = signum
        super().__init__(signal.Signals(signum).name)

    @property
    def exit_code(self) -> int:
        """What a shell expects of a process that a signal ended."""
        return 128 + self.signum


def raise_on_signals() -> None:
    """Turn the first SIGINT or SIGTERM into `Interrupted`; later ones do not disturb the end."""

    def interrupt(signum: int, _frame: object) -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted(signum)

    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, interrupt)
