"""Log calls keep the house's form, and docs/logs.md lists the fields that there are."""

import ast
import json
import logging
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocrplus_contract import logs
from ocrplus_contract.logs.lines import COMMON

ROOT = Path(__file__).parents[2]
ROOMS = ("contract/src", "services", "operator/src")
MODULES = sorted(p for room in ROOMS for p in (ROOT / room).rglob("*.py"))
LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "log"}
BINDING = {"bind", "note", "within", "working_for"}
RENDERED = {"time", "level", "component", "logger", "message", "suppressed"}
OF_LIBRARIES = {"where", "values", "text", "bytes", "error", "traceback"}
OF_READY = {"ready", "http", "metrics"}


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        match node.func:
            case ast.Attribute(value=ast.Name(id=owner), attr=name):
                if (owner == "log" and name in LEVELS) or (owner == "logs" and name in BINDING):
                    yield name, node
            case ast.Name(id=name) if name in BINDING:
                yield name, node


def own(name: str) -> list[tuple[str, ast.Call]]:
    """Calls of a kind, with the place of each."""
    kinds = BINDING if name == "bind" else LEVELS
    return [
        (f"{path.relative_to(ROOT)}:{call.lineno}", call)
        for path in MODULES
        for kind, call in calls(path)
        if kind in kinds
    ]


def sentences(message: ast.expr) -> list[object]:
    if isinstance(message, ast.IfExp):
        return sentences(message.body) + sentences(message.orelse)
    return [message.value if isinstance(message, ast.Constant) else None]


def keys(call: ast.Call, place: str) -> set[str]:
    """The fields that a log call adds."""
    found: set[str] = set()
    for keyword in call.keywords:
        assert keyword.arg in ("extra", "exc_info"), place
        if keyword.arg == "extra":
            assert isinstance(keyword.value, ast.Dict), (
                f"{place}: extra is no dict that stands here"
            )
            for key in keyword.value.keys:
                assert isinstance(key, ast.Constant), place
                found.add(str(key.value))
    return found


def fields() -> set[str]:
    logged = {key for place, call in own("log") for key in keys(call, place)}
    bound = {
        keyword.arg
        for _, call in own("bind")
        for keyword in call.keywords
        if keyword.arg is not None
    }
    return logged | bound | {"trace"}


def test_every_message_is_a_sentence_that_stands_in_the_source() -> None:
    assert len(own("log")) > 50
    for place, call in own("log"):
        message = call.args[1:] if call.func.attr == "log" else call.args  # type: ignore[attr-defined]
        assert len(message) == 1, f"{place}: values go into fields"
        for sentence in sentences(message[0]):
            assert isinstance(sentence, str) and "%" not in sentence, place
            assert sentence[0].islower() or sentence.startswith("WorkerPool"), place


def test_no_error_is_logged_by_its_text() -> None:
    """`str(error)` may hold what a client sent; the error itself is described with care."""
    for place, call in own("log"):
        for node in ast.walk(call):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("repr", "format", "print"), place
                if node.func.id == "str":
                    assert "reason" in ast.unparse(node) or "json" in ast.unparse(node), place


def test_a_user_is_logged_hashed_only() -> None:
    for place, call in [*own("log"), *own("bind")]:
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        if "user" in given:
            assert ast.unparse(given["user"]).startswith("logs.hashed("), place
        assert "user" not in keys_of_extra(call), f"{place}: bind it"


def keys_of_extra(call: ast.Call) -> set[str]:
    extras = [k.value for k in call.keywords if k.arg == "extra" and isinstance(k.value, ast.Dict)]
    return {str(key.value) for e in extras for key in e.keys if isinstance(key, ast.Constant)}


@pytest.fixture(scope="module")
def page() -> str:
    return (ROOT / "docs" / "logs.md").read_text("utf-8")


def test_the_page_lists_every_field_and_no_other(page: str) -> None:
    rows = re.findall(r"^\| ((?:`[a-z_]+`(?:, )?)+) \|", page, re.M)
    listed = {field for row in rows for field in re.findall(r"`([a-z_]+)`", row)}

    assert listed == fields() | RENDERED | OF_LIBRARIES | OF_READY
    assert set(COMMON) <= listed


def test_the_pages_example_is_a_line_as_it_is_written(page: str) -> None:
    (example,) = re.findall(r"```json\n(.+?)\n```", page, re.S)
    assert list(json.loads(example))[:9] == [
        *("time", "level", "component", "logger", "message"),
        *("trace", "job_id", "user", "chunk"),
    ]


def sample() -> str:
    """Lines for every question of the page."""
    trace, user = "4bf92f3577b34da6a3ce929d0e0e4736", logs.hashed("ada")
    said = [
        ("info", "chunk done", {"chunk": "1-8", "seconds": 9.5}),
        ("warning", "page ended its rendering process, another one is started", {"page": 3}),
        ("error", "chunk failed", {"error": "ValueError", "traceback": "ValueError\n  a.py:1 f"}),
    ]
    lines = ["not ours"]
    for level, message, more in said:
        record = logging.makeLogRecord(
            {"name": "ocrplus_ocr", "levelname": level.upper(), "msg": message, **more}
        )
        with logs.bind(trace=trace, job_id="report", user=user):
            lines.append(logs.JsonFormatter("ocr-worker").format(record))
    return "\n".join(lines) + "\n"


def test_every_question_of_the_page_is_answered(page: str, tmp_path: Path) -> None:
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed: apt-get install jq")
    (tmp_path / "lines").write_text(sample())
    asked = [
        line for block in re.findall(r"```sh\n(.+?)```", page, re.S) for line in block.splitlines()
    ]
    assert len(asked) > 5
    ours = "logs() { jq -cR 'fromjson? // empty' lines; }\n"
    for question in asked:
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", ours + question],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), question
        assert done.stdout.strip(), f"no line answers {question}"
