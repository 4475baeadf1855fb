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


def answered(gateway: Gateway, body: bytes, *headers: str) -> tuple[int, str]:
    """Status and code of the answer to a client that sends everything before it listens."""
    where = urlsplit(gateway.http)
    head = [
        "POST /v1/tasks?user=u&task_id=t HTTP/1.1",
        "Host: x",
        *headers,
        "Connection: close",
    ]
    with socket.create_connection((where.hostname, where.port), 20) as connection:
        connection.sendall("\r\n".join([*head, "", ""]).encode())
        connection.sendall(body)
        answer = b""
        while block := connection.recv(65536):
            answer += block
    status, _, text = answer.partition(b"\r\n\r\n")
    return int(status.split()[1]), json.loads(text)["error"]["code"]


@pytest.mark.parametrize("size", [LIMIT + 1, LIMIT + LIMIT // 2])
def test_a_client_that_sends_it_all_first_still_sees_the_answer(
    gateway: Gateway, size: int
) -> None:
    told = answered(gateway, b"x" * size, f"Content-Length: {size}")
    chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (size, b"x" * size)
    untold = answered(gateway, chunk, "Transfer-Encoding: chunked")

    assert told == untold == (413, "too_large")


def test_a_client_that_asks_first_is_answered_before_it_sends(gateway: Gateway) -> None:
    asks = ("Expect: 100-continue", f"Content-Length: {LIMIT + 1}")
    assert answered(gateway, b"", *asks) == (413, "too_large")
