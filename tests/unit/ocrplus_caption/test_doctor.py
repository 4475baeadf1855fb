"""What the caption worker's doctor says of the model's endpoint."""

import socket
import time
from typing import Any

import pytest
import redis_server
import vlm_server

from ocrplus_caption.doctor import Breaker, Endpoint
from ocrplus_contract.doctor import Check, Finding, Status, examine
from ocrplus_contract.doctor.server import Server
from ocrplus_contract.keys import Keys
from ocrplus_contract.settings import CaptionWorkerSettings

CANARY = "canary-5f0c"


def endpoint(url: str | None, **caption: Any) -> dict[str, Finding]:
    given: dict[str, Any] = {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": url and CANARY}
    settings = CaptionWorkerSettings(**given, caption=caption)
    found = {f.name: f for f in examine([Check("vlm", Endpoint(settings).look)])}
    assert CANARY not in repr(found)
    return found


def bad(found: dict[str, Finding]) -> dict[str, Status]:
    return {name: f.status for name, f in found.items() if f.status is not Status.OK}


def test_an_endpoint_that_is_well_is_asked_nothing_that_costs() -> None:
    with vlm_server.running() as vlm:
        found = endpoint(vlm.base_url)
        calls = vlm.stats()["calls"]

    assert bad(found) == {} and {"vlm", "vlm.model", "vlm.pace"} == found.keys()
    assert calls == 0


@pytest.mark.parametrize(
    ("behaviour", "caption", "wrong", "says"),
    [
        ({"mode": "unauthorized"}, {}, {"vlm": "fail"}, "does not accept the key"),
        ({"mode": "error"}, {}, {"vlm": "fail"}, "answers 500"),
        ({"mode": "shapeless"}, {}, {"vlm": "fail"}, "is no such endpoint"),
        ({"mode": "hang"}, {}, {"vlm": "fail"}, "does not answer within"),
        ({}, {"model": "other"}, {"vlm.model": "fail"}, "does not list other"),
        ({"told_per_minute": 60}, {}, {"vlm.pace": "warn"}, "it takes 60 requests a minute"),
    ],
)
def test_what_is_wrong_with_it_is_told(
    behaviour: dict[str, Any], caption: dict[str, Any], wrong: dict[str, str], says: str
) -> None:
    began = time.monotonic()
    with vlm_server.running(**behaviour) as vlm:
        found = endpoint(vlm.base_url, **caption)

    assert bad(found) == wrong
    assert says in found[next(iter(wrong))].reason
    assert time.monotonic() - began < 6


def test_a_wrong_path_lists_no_models() -> None:
    with vlm_server.running() as vlm:
        assert bad(endpoint(f"{vlm.url}/control")) == {"vlm": "warn"}


def test_nobody_there_and_one_who_never_answers() -> None:
    nobody = endpoint(f"http://user:{CANARY}@127.0.0.1:1/v1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hangs = endpoint(f"http://127.0.0.1:{silent.getsockname()[1]}/v1")

    assert "nobody listens there" in nobody["vlm"].reason
    assert "does not answer" in hangs["vlm"].reason


def test_captions_that_are_off_are_no_fault() -> None:
    assert bad(endpoint(None)) == {}


def test_an_open_breaker_is_told(valkey: redis_server.Server) -> None:
    breaker = Breaker(Server(valkey.url, Keys("doctor:")))
    key = Keys("doctor:").breaker()
    states = []
    for state in ("", "closed", "open"):
        if state:
            valkey.client.hset(key, "state", state)
        states += [finding.status for finding in breaker.look()]

    assert states == ["ok", "ok", "warn"]
