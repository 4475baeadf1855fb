"""`ocrplus doctor`: every room's checks at once; nothing secret is shown, whatever is wrong."""

import json
import time
from typing import Any

import pytest
import redis_server
import vlm_server

from ocrplus_local import __main__ as command
from ocrplus_local import doctor

CANARY = "canary-5f0c-of-sufficient-length"


def run(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    code = doctor.run(as_json=True)
    said = capsys.readouterr()
    assert CANARY not in said.out + said.err
    told = json.loads(said.out)
    found = {check["name"]: check for check in told["checks"]}
    assert len(found) == len(told["checks"])
    return code, found


def test_every_room_is_looked_at_once(
    valkey: redis_server.Server,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    valkey.client.flushall()
    monkeypatch.setenv("OCRPLUS_REDIS_URL", valkey.url)
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    with vlm_server.running() as vlm:
        monkeypatch.setenv("OPENAI_BASE_URL", vlm.base_url)
        code, found = run(capsys)

    assert {"redis", "queue.ocr", "blobs", "machine.files", "auth", "models", "vlm"} <= set(found)
    assert found["models"]["status"] == found["vlm.model"]["status"] == "ok"
    assert (found["gateways"]["status"], code) == ("fail", 2)


def test_whatever_is_wrong_is_told_in_time_and_without_a_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OCRPLUS_REDIS_URL", f"redis://:{CANARY}@127.0.0.1:1/0")
    monkeypatch.setenv("OCRPLUS_BROKER_URL", f"redis://:{CANARY}@127.0.0.1:2/0")
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://user:{CANARY}@127.0.0.1:1/v1")
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    monkeypatch.setenv("OCRPLUS_AUTH__MODE", "token")
    monkeypatch.setenv("OCRPLUS_AUTH__TOKENS", f"{CANARY} ada too\n")
    began = time.monotonic()
    code, found = run(capsys)

    assert time.monotonic() - began < 8
    assert code == 2
    failed = {name for name, check in found.items() if check["status"] == "fail"}
    assert {"redis", "broker", "vlm", "auth"} <= failed
    assert all(check["do"] for check in found.values() if check["status"] != "ok")


def test_what_all_rooms_share_is_wrong_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OCRPLUS_NO_SUCH", CANARY)

    code, found = run(capsys)

    assert code == 2 and list(found) == ["settings"]


def test_the_command_says_what_its_exit_codes_mean(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["doctor", "--help"])

    assert "0 all is well · 1 warnings · 2 something failed" in capsys.readouterr().out
