"""A document's trace: from its client's header, or new; told in answers, kept with the job."""

import asyncio
import base64
import json
from collections.abc import Iterator

import gateway_process
import httpx
import pytest
import redis
import redis_server
import websockets
from documents import text_document
from gateway_process import Gateway
from ledger_steps import KEYS

from ocrplus_contract.names import TaskId, UserId
from ocrplus_contract.trace import TraceContext

GIVEN = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", sampled=True)
PDF = text_document(1)


@pytest.fixture(scope="module")
def gateway(
    valkey: redis_server.Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    blobs = tmp_path_factory.mktemp("blobs")
    with gateway_process.gateway(valkey.url, blobs, OCRPLUS_AUTH__ORIGINS="") as running:
        yield running


def kept(store: redis.Redis, user: str, task: str) -> TraceContext | None:
    return TraceContext.parse(
        (store.hget(KEYS.job(UserId(user), TaskId(task)), "traceparent") or b"").decode()
    )


def told(answer: httpx.Response) -> TraceContext:
    context = TraceContext.parse(answer.headers["traceresponse"])
    assert context is not None
    return context


def test_an_upload_goes_on_with_its_clients_trace(gateway: Gateway, store: redis.Redis) -> None:
    answer = httpx.post(
        f"{gateway.http}/v1/tasks",
        params={"user": "a", "task_id": "t"},
        content=PDF,
        headers={"traceparent": GIVEN.traceparent},
    )

    assert told(answer) == GIVEN == kept(store, "a", "t")


@pytest.mark.parametrize("header", [{}, {"traceparent": "00-nonsense"}])
def test_an_upload_without_a_trace_begins_one(
    gateway: Gateway, store: redis.Redis, header: dict[str, str]
) -> None:
    params = {"user": "b", "task_id": "t"}

    answer = httpx.post(f"{gateway.http}/v1/tasks", params=params, content=PDF, headers=header)

    assert answer.status_code == 202
    assert told(answer) == kept(store, "b", "t")


@pytest.mark.parametrize(
    "method, path, status",
    [
        ("GET", "/v1/tasks/none", 404),
        ("GET", "/nowhere", 404),
        ("GET", "/v1/tasks?limit=many", 400),
        ("POST", "/v1/tasks", 422),
        ("GET", "/ws/a/b", 404),
    ],
)
def test_every_error_tells_the_trace_of_its_request(
    gateway: Gateway, store: redis.Redis, method: str, path: str, status: int
) -> None:
    headers = {"traceparent": GIVEN.traceparent}

    answer = httpx.request(method, gateway.http + path, headers=headers)

    assert answer.status_code == status
    assert (answer.json()["trace"], told(answer)) == (GIVEN.trace_id, GIVEN)


def test_how_a_task_failed_is_told_with_the_trace_that_it_was_read_in(
    gateway: Gateway, store: redis.Redis
) -> None:
    params = {"user": "c", "task_id": "t"}
    submitted = httpx.post(f"{gateway.http}/v1/tasks", params=params, content=PDF)
    store.hset(KEYS.job(UserId("c"), TaskId("t")), mapping={"state": "failed", "error": "internal"})

    answer = httpx.get(f"{gateway.http}/v1/tasks/t/result", params={"user": "c"})

    assert answer.json()["trace"] == told(submitted).trace_id != told(answer).trace_id


async def test_a_refused_socket_tells_its_trace(gateway: Gateway) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(
            gateway.ws + ".none", additional_headers={"traceparent": GIVEN.traceparent}
        )

    response = refused.value.response
    assert response.headers["traceresponse"] == GIVEN.traceparent
    assert json.loads(response.body)["trace"] == GIVEN.trace_id


async def test_each_submission_on_a_socket_has_a_trace_of_its_own_or_the_clients(
    gateway: Gateway, store: redis.Redis
) -> None:
    encoded = base64.b64encode(PDF).decode()
    address = gateway.ws + "d"
    async with websockets.connect(
        address,
        subprotocols=["ocrplus.v2"],
        additional_headers={"traceparent": GIVEN.traceparent},
    ) as socket:
        for task, more in (
            ("one", {}),
            ("two", {}),
            ("three", {"traceparent": GIVEN.traceparent}),
            ("four", {"traceparent": "nonsense"}),
        ):
            frame = {"type": "submit", "task_id": task, "pdf_file": encoded, **more}
            await socket.send(json.dumps(frame))
        async with asyncio.timeout(20):
            while not all(kept(store, "d", task) for task in ("one", "two", "three", "four")):
                await asyncio.sleep(0.05)

    traces = [kept(store, "d", task).trace_id for task in ("one", "two", "three", "four")]
    assert traces[2] == GIVEN.trace_id and len(set(traces)) == 4


async def test_an_error_on_a_socket_tells_the_trace_of_its_command(gateway: Gateway) -> None:
    async with websockets.connect(gateway.ws + "e", subprotocols=["ocrplus.v2"]) as socket:
        await socket.send(json.dumps({"type": "hello"}))
        await socket.recv()
        frame = {"type": "submit", "task_id": "t", "traceparent": GIVEN.traceparent}
        await socket.send(json.dumps({**frame, "pdf_file": "AAAA"}))
        async with asyncio.timeout(10):
            error = json.loads(await socket.recv())

    assert (error["code"], error["trace"]) == ("pdf_invalid", GIVEN.trace_id)
