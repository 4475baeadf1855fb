"""One JSON object a line on stderr, the same fields in every process (docs/logs.md).

Never document text, names, tokens, nor what a library says of them: a message is a sentence that
stands in the source, values are fields. `lines` makes a line of a record, `flood` counts what
repeats, `outlets` catches what goes past logging.

The operator shares no code with the services: it has this package again, held equal by a test.
"""

import hashlib
import json
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final

from ocrplus_contract.logs import outlets
from ocrplus_contract.logs.flood import Flood
from ocrplus_contract.logs.lines import fields_of

_BOUND: Final[ContextVar[dict[str, Any] | None]] = ContextVar("ocrplus_log_fields", default=None)
_QUIET: Final = ("uvicorn.error", "kopf", "paddlex", "openai", "httpx", "httpx2", "httpcore2")
"""Libraries that tell of requests, events and pages at info, and at debug of what is in them."""
_DOORBELLS: Final = ("celery.worker.strategy", "celery.app.trace", "multiprocessing")


@contextmanager
def bind(**fields: Any) -> Iterator[None]:
    """Every line that is logged inside has these fields; None for one that is not known."""
    known = {name: value for name, value in fields.items() if value is not None}
    token = _BOUND.set({**(_BOUND.get() or {}), **known})
    try:
        yield
    finally:
        _BOUND.reset(token)


def note(**fields: Any) -> None:
    """Add to the innermost `bind` around here what became known: for all of it from now on, where
    it was begun too. Outside of one there is nothing to add to.
    """
    known = {name: value for name, value in fields.items() if value is not None}
    if (bound := _BOUND.get()) is not None:
        bound.update(known)


def hashed(user: str) -> str:
    """A short stand-in for a user id: tells users apart, names nobody."""
    return hashlib.sha256(user.encode("utf-8", "replace")).hexdigest()[:12]


class JsonFormatter(logging.Formatter):
    """Renders a record, the bound fields and those of its `extra`."""

    def __init__(self, component: str) -> None:
        super().__init__()
        self._component = component

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "component": self._component,
            "logger": record.name,
            **fields_of(record, (_BOUND.get() or {})),
        }
        return json.dumps(line, ensure_ascii=False)


class _Handler(logging.Handler):
    """Writes lines to where stderr was when the process began; floods are counted."""

    def __init__(self, component: str) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter(component))
        self._flood = Flood()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            for due in self._flood.passed(record, (_BOUND.get() or {})):
                outlets.write((self.format(due) + "\n").encode("utf-8", "replace"))
        except Exception:  # as logging's own handlers: a log must not end what it tells of
            outlets.write(b'{"level":"error","message":"a line could not be written"}\n')

    def flush(self) -> None:
        for due in self._flood.left():
            outlets.write((self.format(due) + "\n").encode("utf-8", "replace"))

    def close(self) -> None:
        self.flush()
        super().close()


def configure(component: str, level: str = "info", *, own_outlets: bool = False) -> None:
    """Send every logger of the process to stderr as JSON, and all that ends it or warns.

    `own_outlets`: of a process that is started by itself, and answers for what its children and
    native code write to stdout and stderr. May be called again, when the level is known.
    """
    root = logging.getLogger()
    if own_outlets:
        outlets.take_over(component)
    for handler in root.handlers[:]:
        root.removeHandler(handler)
        handler.close()
    root.addHandler(_Handler(component))
    root.setLevel(level.upper())
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable
    take_in(*_QUIET, *_DOORBELLS)


def take_in(*libraries: str) -> None:
    """Have libraries say no more than warnings, and by no handlers of their own."""
    for name in libraries:
        logger = logging.getLogger(name)
        for handler in logger.handlers[:]:
            logger.removeHandler(handler)
        logger.propagate = True
        logger.setLevel(max(logging.getLogger().level, logging.WARNING))


def finish() -> None:
    """Write what is owed, before a signal ends the process without a word to who waits for that."""
    for handler in logging.getLogger().handlers:
        handler.flush()
    outlets.give_back()


def announce(component: str, **facts: Any) -> None:
    """Say on stdout that the process is ready, in a line that programs read and logs take."""
    line = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "level": "info",
        "component": component,
        "logger": "ocrplus.ready",
        "message": "ready",
        "ready": component,
        **facts,
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


log: Final = logging.getLogger(__name__)


def _uncaught(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    if issubclass(kind, KeyboardInterrupt):
        log.warning("interrupted from the keyboard")
    else:
        log.critical("the process ends by an error", exc_info=(kind, error, trace))


def _uncaught_in_thread(hook: threading.ExceptHookArgs) -> None:
    if hook.exc_value is not None and not issubclass(hook.exc_type, SystemExit):
        log.error("a thread ended by an error", exc_info=hook.exc_value)


def _unraisable(hook: "sys.UnraisableHookArgs") -> None:
    if hook.exc_value is not None:
        log.error("an error could not be raised", exc_info=hook.exc_value)
