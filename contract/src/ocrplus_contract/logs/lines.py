"""What a line tells of a record: sentences that stand in a source, and values known to be safe.

What a library says may hold a document's words, a file's name, a URL with its password: of its
lines the template is told, numbers, and types; of its errors the type and where they came from.
"""

import ast
import linecache
import logging
import math
import os
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from enum import Enum
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Final

COMMON: Final = ("trace", "job_id", "user", "chunk", "page", "figure")
"""Fields that say whose a line is, wherever that is known; they come first."""

_OURS: Final = "ocrplus"
_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {
    "message",
    "asctime",
    "color_message",
}
_TRUSTED: Final = (
    "celery.apps",
    "celery.beat",
    "celery.bootsteps",
    "celery.concurrency",
    "celery.pool",
    "celery.worker",
    "multiprocessing",
)
"""Libraries whose texts tell of processes and connections (their passwords hidden), not of work:
a doorbell has no content."""
_SAFE_ERRORS: Final = frozenset(
    {
        "billiard.exceptions.SoftTimeLimitExceeded",
        "billiard.exceptions.TimeLimitExceeded",
        "billiard.exceptions.WorkerLostError",
        "builtins.TimeoutError",
        "redis.exceptions.AuthenticationError",
        "redis.exceptions.BusyLoadingError",
        "redis.exceptions.ConnectionError",
        "redis.exceptions.MaxConnectionsError",
        "redis.exceptions.OutOfMemoryError",
        "redis.exceptions.ReadOnlyError",
        "redis.exceptions.TimeoutError",
    }
)
"""Errors of others whose text says host, port and signal at most."""
_SERVER_CODE: Final = re.compile(r"[A-Z]{3,16}(?= )")  # what a server's refusal begins with
_MOST_TEXT: Final = 300
_MOST_FRAMES: Final = 12
_MOST_ERRORS: Final = 4  # of a chain
_MOST_TRACE: Final = 3000  # with the rest of its line it is written in one piece


def fields_of(record: logging.LogRecord, bound: Mapping[str, Any]) -> dict[str, Any]:
    """A line's fields, from `message` on."""
    extra = {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
    if record.name.partition(".")[0].startswith(_OURS):
        message, told = str(record.msg), extra
    elif record.name == "py.warnings":
        message, told = "a library warned", {"where": _warned_at(record)}
    else:
        message, told = _said_by_library(record)
    if "suppressed" in extra:
        told = {**told, "suppressed": extra["suppressed"]}
    told = {**bound, **told}
    line: dict[str, Any] = {"message": message}
    line.update((name, told.pop(name)) for name in COMMON if name in told)
    line.update(told)
    line = {name: plain(value) for name, value in line.items()}
    if record.exc_info and record.exc_info[1] is not None:
        line.setdefault("error", described(record.exc_info[1]))
        line["traceback"] = "\n".join(frames_of(record.exc_info[1]))[:_MOST_TRACE]
    return line


def plain(value: Any) -> Any:
    """A value as JSON has it; of what is no plain value, the type."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, BaseException):
        return described(value)
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(one) for one in value]
    return type(value).__name__


def described(error: BaseException) -> str:
    """An error's type, with its text where that is known to tell nothing of documents and secrets:
    our own say what may be told in `log_text`, a system's error is its number's sentence.
    """
    kind = type(error)
    text = getattr(error, "log_text", None)
    if text is None and _name_of(kind) in _SAFE_ERRORS:
        text = str(error)
    elif text is None and isinstance(error, OSError) and error.errno is not None:
        text = os.strerror(error.errno)
    elif text is None and kind.__module__ == "redis.exceptions":
        code = _SERVER_CODE.match(str(error))
        text = code[0] if code else None
    name = kind.__name__ if kind.__module__ == "builtins" else _name_of(kind)
    return f"{name}: {text}"[:_MOST_TEXT] if text else name


def frames_of(error: BaseException) -> Iterator[str]:
    """Where an error came from and what caused it: files, lines, functions; no text."""
    for number, (one, why) in enumerate(_chain(error)):
        if number == _MOST_ERRORS:
            return
        yield f"{why}{described(one)}"
        yield from _frames(one.__traceback__)


def _chain(error: BaseException) -> Iterator[tuple[BaseException, str]]:
    seen: set[int] = set()
    waiting: list[tuple[BaseException | None, str]] = [(error, "")]
    while waiting:
        one, why = waiting.pop(0)
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one, why
        if isinstance(one, BaseExceptionGroup):
            waiting += [(inner, "one of them: ") for inner in one.exceptions]
        if one.__cause__ is not None:
            waiting.append((one.__cause__, "caused by "))
        elif not one.__suppress_context__:
            waiting.append((one.__context__, "while handling "))


def _frames(trace: TracebackType | None) -> Iterator[str]:
    frames = [(frame.f_code, line) for frame, line in traceback.walk_tb(trace)]
    if len(frames) > _MOST_FRAMES:
        yield f"  … {len(frames) - _MOST_FRAMES} more"
    for code, line in frames[-_MOST_FRAMES:]:
        yield f"  {_module_path(code.co_filename)}:{line} {code.co_name}"


def _name_of(kind: type[BaseException]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


@lru_cache(maxsize=512)
def _module_path(file: str) -> str:
    """A source file's path as its imports say it."""
    roots = [root for root in sys.path if root and file.startswith(root.rstrip("/") + "/")]
    return file[len(max(roots, key=len).rstrip("/")) + 1 :] if roots else Path(file).name


def _said_by_library(record: logging.LogRecord) -> tuple[str, dict[str, Any]]:
    """The template, if it stands in the source as it is, else where it was said."""
    where = f"{_module_path(record.pathname)}:{record.lineno}"
    told: dict[str, Any] = {"where": where}
    template = record.msg if isinstance(record.msg, str) else ""
    if template not in _constants(record.pathname):
        template = ""
    values = _values(template, record.args, record.name.startswith(_TRUSTED))
    if values:
        told["values"] = values
    return template.strip() or "a library said something", told


def _values(template: str, args: Any, trusted: bool) -> Any:
    """Of a template's values the numbers, and the texts of libraries that are trusted.

    A mapping is one value where the template names none of its keys: those may be anybody's words.
    """
    if isinstance(args, Mapping):
        named = {
            name: _value(value, trusted)
            for name, value in args.items()
            if isinstance(name, str) and f"%({name})" in template
        }
        return {name: value for name, value in named.items() if value is not None}
    return [_value(value, trusted) for value in args or ()]


def _value(value: Any, trusted: bool) -> Any:
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, BaseException):
        return described(value)
    return value[:_MOST_TEXT] if trusted and isinstance(value, str) else None


@lru_cache(maxsize=64)
def _constants(file: str) -> frozenset[str]:
    """Every text that stands in a source file; an f-string does not, only its parts."""
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except (SyntaxError, ValueError):
        return frozenset()
    texts = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return frozenset(text for text in texts if isinstance(text, str))


def _warned_at(record: logging.LogRecord) -> str:
    """File, line and category: `path:line: Category: text`, of which the text is left out."""
    file, _, rest = record.getMessage().partition(":")
    line, _, rest = rest.partition(":")
    category = rest.partition(":")[0].strip()
    return f"{_module_path(file)}:{line} {category if category.isidentifier() else ''}".strip()
