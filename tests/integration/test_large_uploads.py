"""A document above the limit is answered, whatever its sender is still busy with."""

import json
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import gateway_process
import pytest
import redis_server
from gateway_process import Gateway

LIMIT = 4 << 20


@pytest.fixture(scope="module")
def gateway(
    valkey: redis_server.Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    blobs = tmp_path_factory.mktemp("blobs")
    limit = {"OCRPLUS_MAX_PDF_BYTES": str(LIMIT)}
    with gateway_process.gateway(valkey.url, blobs, **limit) as running:
        yield running


def answered(gateway: Gateway, size: int, *headers: str, body: bool = True) -> tuple[int, str]:
    """Status and code of the answer to a client that sends everything before it listens."""
    where = urlsplit(gateway.http)
    head = [
        "POST /v1/tasks?user=u&task_id=t HTTP/1.1",
        "Host: x",
        f"Content-Length: {size}",
        *headers,
        "Connection: close",
    ]
    with socket.create_connection((where.hostname, where.port), 20) as connection:
        connection.sendall("\r\n".join([*head, "", ""]).encode())
        if body:
            connection.sendall(b"x" * size)
        answer = b""
        while block := connection.recv(65536):
            answer += block
    status, _, text = answer.partition(b"\r\n\r\n")
    return int(status.split()[1]), json.loads(text)["error"]["code"]


def test_a_client_that_sends_it_all_first_still_sees_the_answer(gateway: Gateway) -> None:
    assert answered(gateway, LIMIT + LIMIT // 2) == (413, "too_large")


def test_a_client_that_asks_first_is_answered_before_it_sends(gateway: Gateway) -> None:
    asks = "Expect: 100-continue"
    assert answered(gateway, LIMIT + 1, asks, body=False) == (413, "too_large")
