"""Where lines leave the process, and what native code and children write past logging.

Celery prints a sentence on its way out, C and C++ libraries tell of broken images, a child that
dies says so on stderr. All of that goes through a pipe here: lines that are log lines already (a
child's) pass as they are, of the others their presence is told; their words only where they are
known to be a library's own.
"""

import atexit
import json
import os
import re
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

_STDOUT, _STDERR = 1, 2
_FIELDS: Final = frozenset({"time", "level", "component", "logger", "message"})
_DRAIN_SECONDS: Final = 1.0
_MOST_BYTES: Final = 1 << 20  # of one line, before it is cut
_MOST_STRAYS: Final = 20  # in a while, of an outlet: a broken picture may print thousands
_WHILE_SECONDS: Final = 30.0
_KNOWN: Final = re.compile(
    rb"worker: (?:Warm|Cold) shutdown \(MainProcess\)"
    rb"|worker: Hitting Ctrl\+C again will [a-z ,]{1,60}[!.]?"
    rb"|Waiting gracefully for cold shutdown to complete\.\.\."
    rb"|Fatal Python error: [A-Za-z ]{1,60}"
    rb"|Segmentation fault|Aborted|Killed"
    rb"|(?:free|malloc|realloc|munmap_chunk|corrupted [a-z -]{1,30})\(\): [a-z() -]{1,60}"
    rb"|malloc\(\): [a-z ()-]{1,60}|double free or corruption \([a-z!]+\)"
    rb"|terminate called after throwing an instance of '[A-Za-z0-9_:<> ]{1,100}'"
    rb"|terminate called without an active exception"
    rb"|Corrupt JPEG data: [a-z0-9 ]{1,60}"
    rb"|libpng (?:warning|error): [A-Za-z ]{1,60}"
)
"""Sentences of libraries that hold nothing of a document."""

_lock: Final = threading.RLock()  # a signal handler, or what is collected, may log meanwhile
_outlet = _STDERR


def write(line: bytes) -> None:
    """Write a whole line to where stderr was at the beginning; who reads no more is let be."""
    with _lock, suppress(OSError):
        while line:
            line = line[os.write(_outlet, line) :]


def take_over(component: str) -> None:
    """Send stdout and stderr of this process, and of those that it starts, through here; once."""
    global _outlet
    if _outlet != _STDERR:
        return
    _outlet = os.dup(_STDERR)
    stdout = os.dup(_STDOUT)
    _pipes.extend([_Pipe(component, _STDOUT, stdout), _Pipe(component, _STDERR, _outlet)])
    atexit.register(give_back)


class _Pipe:
    """One of the two: what is written to `descriptor` is read in a thread."""

    def __init__(self, component: str, descriptor: int, outlet: int) -> None:
        self._component = component
        self._descriptor = descriptor
        self._outlet = outlet
        self._strays = {True: _Strays(), False: _Strays()}  # by whether the sentence is known
        self._source, sink = os.pipe()
        os.dup2(sink, descriptor)
        os.close(sink)
        self.thread = threading.Thread(target=self._read, name=f"outlet-{descriptor}", daemon=True)
        self.thread.start()

    def give_back(self) -> None:
        os.dup2(self._outlet, self._descriptor)

    def _read(self) -> None:
        rest = b""
        while data := os.read(self._source, 1 << 16):
            *whole, rest = (rest + data).split(b"\n")
            for line in whole:
                self._pass_on(line)
            if len(rest) > _MOST_BYTES:
                self._pass_on(rest)
                rest = b""
        if rest:
            self._pass_on(rest)
        for strays in self._strays.values():
            if strays.left_out:
                write(wrapped(self._component, strays.last, self._descriptor, strays.left_out))

    def _pass_on(self, line: bytes) -> None:
        if not line.strip():
            return
        if _is_log_line(line):
            with _lock, suppress(OSError):
                os.write(self._outlet, line + b"\n")
        else:
            strays = self._strays[_KNOWN.fullmatch(line.strip()) is not None]
            if (left_out := strays.due(line)) is not None:
                write(wrapped(self._component, line, self._descriptor, left_out))


class _Strays:
    """Lines of others: the first of a while are told, the rest are counted."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._told = 0
        self.left_out = 0
        self.last = b""

    def due(self, line: bytes) -> int | None:
        """Whether this one is told, and how many before it were not; None: not told."""
        now = time.monotonic()
        if now - self._began > _WHILE_SECONDS:
            self._began, self._told = now, 0
        if self._told == _MOST_STRAYS:
            self.left_out, self.last = self.left_out + 1, line
            return None
        self._told += 1
        left_out, self.left_out = self.left_out, 0
        return left_out


_pipes: Final[list[_Pipe]] = []


def give_back() -> None:
    """At the end of the process: read what is there, then let both be as they were."""
    pipes = _pipes[:]
    _pipes.clear()
    for pipe in pipes:
        pipe.give_back()
    for pipe in pipes:  # it ends with the last child that writes to it
        pipe.thread.join(_DRAIN_SECONDS)


def _is_log_line(line: bytes) -> bool:
    if not line.startswith(b"{"):
        return False
    try:
        found = json.loads(line)
    except ValueError:
        return False
    return isinstance(found, dict) and found.keys() >= _FIELDS


def wrapped(component: str, line: bytes, descriptor: int, left_out: int = 0) -> bytes:
    """The log line that tells of a line of others, and how many of them were left out."""
    known = _KNOWN.fullmatch(line.strip())
    told = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "level": "info" if known else "warning",
        "component": component,
        "logger": "stdout" if descriptor == _STDOUT else "stderr",
        "message": "a library printed a sentence" if known else "a library printed something",
        **({"text": known[0].decode("ascii")} if known else {"bytes": len(line)}),
        **({"suppressed": left_out} if left_out else {}),
    }
    return (json.dumps(told) + "\n").encode()
