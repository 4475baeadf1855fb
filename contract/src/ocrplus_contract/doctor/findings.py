"""What a check finds, and how checks are run: side by side, each with its time.

A look may hang wherever the kernel or a name server lets it, so each has a thread of its own that
nobody waits for longer than its time; what it has found by then counts.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

CHECK_SECONDS: Final = 3.0


class Status(StrEnum):
    """How it is; the later, the worse."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: how it is, why in one sentence, and what to do about it."""

    name: str
    status: Status
    reason: str
    do: str = ""


def ok(name: str, reason: str) -> Finding:
    """All is well."""
    return Finding(name, Status.OK, reason)


def warn(name: str, reason: str, do: str) -> Finding:
    """It works, and will not for ever."""
    return Finding(name, Status.WARN, reason, do)


def fail(name: str, reason: str, do: str) -> Finding:
    """It does not work, or does not keep a promise."""
    return Finding(name, Status.FAIL, reason, do)


@dataclass(frozen=True, slots=True)
class Check:
    """A look at one part; it may block. `after` names a check that must not have failed.

    `seconds` is for a look that needs longer than the others even where all is well.
    """

    name: str
    look: Callable[[], Iterable[Finding]]
    after: str = ""
    seconds: float = 0.0


def examine(checks: Sequence[Check], seconds: float = CHECK_SECONDS) -> list[Finding]:
    """What all of them find, in their order, within twice the time of one, or of the longest."""
    first = [check for check in checks if not check.after]
    found = _side_by_side(first, seconds)
    failed = {finding.name for finding in found if finding.status is Status.FAIL}
    then = [check for check in checks if check.after and check.after not in failed]
    return found + _side_by_side(then, seconds)


def _side_by_side(checks: Sequence[Check], seconds: float) -> list[Finding]:
    looks = [_Look(check) for check in checks]
    began = time.monotonic()
    return [finding for look in looks for finding in look.findings(began, seconds)]


class _Look:
    """One check under way in a thread."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._found: list[Finding] = []
        self._thread = threading.Thread(target=self._run, name=check.name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for finding in self._check.look():
                self._found.append(finding)
        except Exception as error:  # the thread's outermost: a check that fails is a finding
            kind = type(error).__name__
            self._found.append(
                fail(self._check.name, f"this check itself failed ({kind})", "report it as a bug")
            )

    def findings(self, began: float, seconds: float) -> list[Finding]:
        seconds = max(seconds, self._check.seconds)
        self._thread.join(max(0.0, began + seconds - time.monotonic()))
        found = list(self._found)
        if self._thread.is_alive():
            found.append(
                fail(
                    self._check.name,
                    f"no answer within {seconds:g} s",
                    "look whether it is stopped or overloaded, or whether a NetworkPolicy or "
                    "firewall swallows the way there",
                )
            )
        return found
