"""A line of the log: its fields, and what it never tells."""

import asyncio
import json
import logging
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from pydantic import BaseModel, ValidationError

from ocrplus_contract import logs
from ocrplus_contract.errors import BlobsUnavailable, ErrorCode, JobRefused
from ocrplus_contract.logs import flood, lines, outlets
from ocrplus_contract.trace import TraceContext, within

SECRET = "canary-7f3a"


def record(
    message: str,
    *args: object,
    name: str = "ocrplus_test",
    path: str = __file__,
    error: BaseException | None = None,
    **extra: object,
) -> logging.LogRecord:
    caught = (type(error), error, error.__traceback__) if error is not None else None
    made = logging.LogRecord(name, logging.WARNING, path, 7, message, args, caught)
    made.__dict__.update(extra)
    return made


def line(made: logging.LogRecord) -> dict:
    return json.loads(logs.JsonFormatter("gateway").format(made))


def raised(make: Callable[[], object]) -> BaseException:
    try:
        make()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def test_a_line_has_the_common_fields_first_then_its_own() -> None:
    with logs.bind(job_id="j", user=logs.hashed("ada"), page=None):
        found = line(record("chunk done", seconds=1.5, chunk="1-4"))

    assert list(found) == [
        *("time", "level", "component", "logger", "message"),
        *("job_id", "user", "chunk", "seconds"),
    ]
    assert found["user"] != "ada" and len(found["user"]) == 12
    assert (found["level"], found["message"]) == ("warning", "chunk done")


def test_bound_fields_hold_inside_only_and_what_is_noted_reaches_the_whole_block() -> None:
    async def inner() -> None:
        with logs.bind(chunk="1-2"):
            logs.note(page=3)

    async def outer() -> list[dict]:
        with logs.bind(job_id="a"):
            await asyncio.create_task(inner())
            logs.note(code="busy")
            return [line(record("x"))]

    (found,) = asyncio.run(outer())
    logs.note(job_id="nowhere")

    assert (found["job_id"], found["code"]) == ("a", "busy")
    assert "chunk" not in found and "page" not in found
    assert "job_id" not in line(record("x"))


def test_a_line_within_a_trace_tells_it() -> None:
    context = TraceContext.new()

    with within(context, job_id="j"):
        found = line(record("x"))

    assert (found["trace"], found["job_id"]) == (context.trace_id, "j")
    with within(None, job_id="old"):
        assert "trace" not in line(record("x"))


def nested() -> None:
    try:
        json.loads("{" + SECRET)
    except ValueError as error:
        raise RuntimeError(f"cannot read {SECRET}") from error


class Model(BaseModel):
    number: int


@pytest.mark.parametrize(
    "make, kind",
    [
        (nested, "RuntimeError"),
        (lambda: Model(number=SECRET), "pydantic_core._pydantic_core.ValidationError"),
        (lambda: {}[SECRET], "KeyError"),
        (lambda: SECRET.encode().decode("utf-16"), "UnicodeDecodeError"),
        (lambda: redis.Redis.from_url(f"redis://:x/{SECRET}@h:1"), "ValueError"),
        (lambda: (_ for _ in ()).throw(ExceptionGroup(SECRET, [ValueError(SECRET)])), ""),
        (lambda: Path(f"/{SECRET}").read_text(), "FileNotFoundError: No such file or directory"),
    ],
)
def test_an_error_is_told_by_its_type_and_places_never_by_its_text(make, kind: str) -> None:
    found = line(record("it failed", error=raised(make)))

    assert SECRET not in json.dumps(found)
    assert found["error"].startswith(kind)
    assert "test_logs.py:" in found["traceback"] and found["traceback"].count("\n") > 0


def test_causes_are_told_with_where_they_came_from() -> None:
    found = line(record("it failed", error=raised(nested)))

    assert "caused by json.decoder.JSONDecodeError\n" in found["traceback"]
    assert "json/decoder.py:" in found["traceback"] and " nested" in found["traceback"]


@pytest.mark.parametrize(
    "error, told",
    [
        (JobRefused(ErrorCode.BUSY, SECRET), "ocrplus_contract.errors.JobRefused: busy"),
        (BlobsUnavailable("no bucket"), "ocrplus_contract.errors.BlobsUnavailable: no bucket"),
        (redis.ConnectionError("refused"), "redis.exceptions.ConnectionError: refused"),
        (redis.ResponseError(f"args: {SECRET}"), "redis.exceptions.ResponseError"),
        (redis.ResponseError(f"MISCONF {SECRET}"), "redis.exceptions.ResponseError: MISCONF"),
        (PermissionError(13, SECRET, SECRET), "PermissionError: Permission denied"),
        (OSError(SECRET), "OSError"),
    ],
)
def test_errors_that_are_known_to_tell_no_secret_are_told_with_their_text(error, told) -> None:
    assert lines.described(error) == told
    assert line(record("x", error=None, problem=error))["problem"] == told


class Odd:
    def __repr__(self) -> str:
        return SECRET


def test_of_what_is_no_plain_value_only_the_type_is_told() -> None:
    found = line(record("x", n=float("nan"), a=Odd(), b=b"canary", c=[1, Odd()], d={"e": Odd()}))

    assert (found["a"], found["b"], found["c"], found["d"]) == (
        "Odd",
        "bytes",
        [1, "Odd"],
        {"e": "Odd"},
    )


def deep(left: int) -> None:
    if left:
        deep(left - 1)
    raise ValueError(SECRET)


def test_a_line_stays_so_short_that_a_pipe_takes_it_in_one_piece() -> None:
    error = raised(lambda: deep(100))
    for _ in range(10):
        cause, error = error, raised(lambda: deep(100))
        error.__cause__ = cause

    found = line(record("it failed", error=error))

    assert len(json.dumps(found)) < 4096 and "more" in found["traceback"]


def test_a_library_tells_its_template_numbers_and_types() -> None:
    said = record("page %s took %d", SECRET, 7, name="paddlex", data={"x": SECRET})

    found = line(said)  # the template stands in this file

    assert found["message"] == "page %s took %d"
    assert found["values"] == [None, 7]
    assert SECRET not in json.dumps(found)


def test_of_a_librarys_mapping_only_what_its_template_names_is_told() -> None:
    whole = line(record("options: %s", {SECRET: 3}, name="paddlex"))
    named = line(record("took %(n)d of %(of)s", {"n": 3, "of": SECRET, SECRET: 3}, name="x"))

    assert (whole["message"], "values" in whole) == ("options: %s", False)
    assert named["values"] == {"n": 3}
    assert SECRET not in json.dumps([whole, named])


def test_a_librarys_text_that_stands_in_no_source_is_not_told() -> None:
    found = line(record(f"{'cannot read'} {SECRET}", name="paddlex"))

    assert found["message"] == "a library said something"
    assert found["where"].endswith("test_logs.py:7")
    assert SECRET not in json.dumps(found)


def test_what_celery_tells_of_processes_is_told_and_an_error_among_it_by_its_type() -> None:
    template, died = "Process %r pid:%r exited with %r", "signal 9 (SIGKILL)"

    process = line(record(template, "ForkPoolWorker-1", 12, died, name="celery.pool"))
    error = line(record(template, ValueError(SECRET), 1, 2, name="celery.worker.request"))

    assert process["values"] == ["ForkPoolWorker-1", 12, died]
    assert error["values"] == ["ValueError", 1, 2]


def test_a_warning_is_told_by_place_and_category() -> None:
    text = warnings.formatwarning(f"got {SECRET}", UserWarning, "/x/y/module.py", 12)

    found = line(record("%s", text, name="py.warnings"))

    assert (found["message"], found["where"]) == ("a library warned", "module.py:12 UserWarning")
    assert SECRET not in json.dumps(found)


@pytest.fixture
def clock() -> list[float]:
    return [0.0]


def told(counted: flood.Flood, made: logging.LogRecord, bound: dict) -> list[int | None]:
    return [getattr(due, "suppressed", None) for due in counted.passed(made, bound)]


def test_the_same_warning_is_told_once_then_counted(clock: list[float]) -> None:
    counted = flood.Flood(lambda: clock[0])

    first = [told(counted, record("away"), {}) for _ in range(50)]
    clock[0] = 31
    later = told(counted, record("other"), {})

    assert first == [[None], *[[]] * 49]
    assert later == [49, None], "the count comes with whatever is told next"


def test_what_was_counted_is_told_at_the_end(clock: list[float]) -> None:
    counted = flood.Flood(lambda: clock[0])
    for _ in range(3):
        told(counted, record("away"), {})

    assert [due.suppressed for due in counted.left()] == [2]


def test_lines_of_different_jobs_are_different_and_a_traced_one_may_come_again(clock) -> None:
    counted = flood.Flood(lambda: clock[0])

    jobs = [told(counted, record("page failed", job_id=f"j{n}"), {}) for n in range(100)]
    traced = [told(counted, record("refused"), {"trace": f"{n}"}) for n in range(30)]

    assert jobs == [[None]] * 100
    assert traced == [[None]] * 20 + [[]] * 10


def test_a_flood_of_many_kinds_takes_no_memory(clock: list[float]) -> None:
    counted = flood.Flood(lambda: clock[0])

    for number in range(20_000):
        told(counted, record("page failed", job_id=f"j{number}"), {})

    assert len(counted._kinds) < 1000


@pytest.mark.parametrize(
    "printed, text",
    [
        (b"worker: Warm shutdown (MainProcess)", "worker: Warm shutdown (MainProcess)"),
        (b"Corrupt JPEG data: 12 extraneous bytes", "Corrupt JPEG data: 12 extraneous bytes"),
        (b"double free or corruption (!prev)", "double free or corruption (!prev)"),
        (f"{SECRET} worker: Warm shutdown (MainProcess)".encode(), None),
        (f'{{"text": "{SECRET}"}}'.encode(), None),
        (b"\xff\xfe", None),
    ],
)
def test_of_what_is_printed_past_the_log_only_known_sentences_are_told(printed, text) -> None:
    found = json.loads(outlets.wrapped("gateway", printed, 2))

    assert found.get("text") == text and (text is not None or found["bytes"] == len(printed))
    assert SECRET not in json.dumps(found)


NOISY = """
import logging, os, subprocess, sys, threading, warnings
from ocrplus_contract import logs
logs.configure("test", own_outlets=True)
logs.configure("test")
log = logging.getLogger("ocrplus_noisy")
log.info("begun")
print("printed canary-7f3a")
print("without an end canary-7f3a", end="", file=sys.stderr)
sys.stderr.flush()
os.write(2, b"\\nnative canary-7f3a\\n\\n")
subprocess.run(["sh", "-c", "echo a child says canary-7f3a; echo and canary-7f3a >&2"])
warnings.warn("canary-7f3a")
thread = threading.Thread(target=lambda: {{}}["canary-7f3a"])
thread.start(); thread.join()
class Bad:
    def __del__(self): raise ValueError("canary-7f3a")
bad = Bad(); del bad
logs.announce("test", http="http://x")
for _ in range(5): log.warning("away")
{end}
"""


@pytest.mark.parametrize("end", ['raise RuntimeError("canary-7f3a")', "sys.exit(3)"])
def test_a_whole_process_writes_nothing_but_lines(end: str) -> None:
    code = NOISY.format(end=end)

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )

    found = [json.loads(text) for text in (done.stderr + done.stdout).splitlines()]
    assert all(
        list(one)[:5] == ["time", "level", "component", "logger", "message"] for one in found
    )
    messages = [one["message"] for one in found]
    assert messages.count("a library printed something") == 5
    assert {"begun", "a library warned", "a thread ended by an error", "ready"} <= set(messages)
    assert "an error could not be raised" in messages
    assert [one.get("suppressed") for one in found if one["message"] == "away"] == [None, 4]
    assert ("the process ends by an error" in messages) == (done.returncode == 1)
    assert [json.loads(text)["message"] for text in done.stdout.splitlines()] == ["ready"]
    assert SECRET not in done.stderr + done.stdout


def test_a_library_that_prints_thousands_of_lines_is_counted() -> None:
    code = """
import os
from ocrplus_contract import logs
logs.configure("test", own_outlets=True)
for _ in range(3000): os.write(2, b"canary-7f3a\\n")
os.write(2, b"Segmentation fault\\n")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )

    found = [json.loads(text) for text in done.stderr.splitlines()]
    told = [one for one in found if "bytes" in one]
    assert (len(told), len(found)) == (21, 22)
    assert len(told) - 1 + told[-1]["suppressed"] == 3000
    assert [one["text"] for one in found if "text" in one] == ["Segmentation fault"]


@pytest.mark.parametrize("before", ["pass/", "1234/", "1234#", ""])
def test_validation_errors_of_settings_do_not_repeat_what_was_given(monkeypatch, before) -> None:
    from ocrplus_contract.settings import GatewaySettings, problems_of

    monkeypatch.setenv(
        "OCRPLUS_REDIS_URL", f"redis://:{before}{SECRET}@host:{'' if before else 'x'}"
    )
    monkeypatch.setenv("OCRPLUS_PORT", SECRET)
    monkeypatch.setenv("OCRPLUS_AUTH__MODE", SECRET)
    with pytest.raises(ValidationError) as wrong:
        GatewaySettings()

    text = problems_of(wrong.value)
    assert SECRET not in text and SECRET not in str(wrong.value)
    assert "redis_url: Value error, is no URL" in text and "port: Input should be" in text
