"""A real gateway answers as its own OpenAPI document says, whatever it is asked."""

from collections.abc import Iterator
from typing import Any

import gateway_process
import httpx
import pytest
import redis_server
import schemathesis
from documents import text_document
from gateway_process import Gateway, play_worker
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

schemathesis.serializer.alias("application/pdf", "application/octet-stream")

EXAMPLES = 10
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
ROUTES = [
    ("POST", "/v1/tasks"),
    ("GET", "/v1/tasks"),
    ("GET", "/v1/tasks/{task_id}"),
    ("DELETE", "/v1/tasks/{task_id}"),
    ("GET", "/v1/tasks/{task_id}/events"),
    ("GET", "/v1/tasks/{task_id}/result"),
    ("GET", "/v1/tasks/{task_id}/result.md"),
    ("GET", "/v1/tasks/{task_id}/result.zip"),
    ("GET", "/v1/tasks/{task_id}/pages/{page}"),
    ("GET", "/v1/tasks/{task_id}/figures/{name}"),
    ("POST", "/v1/tickets"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
]


@pytest.fixture(scope="module")
def gateway(
    valkey: redis_server.Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    with gateway_process.gateway(valkey.url, tmp_path_factory.mktemp("blobs")) as running:
        yield running


@pytest.fixture
def report(gateway: Gateway, valkey: redis_server.Server) -> dict[str, str]:
    """A task whose result is there, as parameters of paths."""
    with valkey.client as client:
        query = {"task_id": "report"}
        httpx.post(gateway.http + "/v1/tasks", params=query, content=text_document(2))
        play_worker(client)
    return {"task_id": "report", "page": "1", "name": "p1-f1.png"}


@pytest.fixture(scope="module")
def schema(gateway: Gateway) -> Any:
    return schemathesis.openapi.from_url(gateway.http + "/openapi.json")


def test_these_are_all_the_routes(schema: Any) -> None:
    told = [
        (method.upper(), path)
        for path, operations in schema.raw_schema["paths"].items()
        for method in operations
    ]
    assert sorted(told) == sorted(ROUTES)


def asked(operation: Any, mode: GenerationMode) -> set[int]:
    """Ask with generated requests, each answer held to the document; the statuses that came."""
    statuses = set()

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: schemathesis.Case) -> None:
        statuses.add(case.call_and_validate(checks=CHECKS, timeout=10).status_code)

    ask()
    return statuses


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_requests_as_documented_get_documented_answers(schema: Any, method: str, path: str) -> None:
    assert asked(schema[path][method], GenerationMode.POSITIVE)


@pytest.mark.parametrize(("method", "path"), [r for r in ROUTES if r[1].startswith("/v1/")])
def test_wrong_requests_get_documented_answers(schema: Any, method: str, path: str) -> None:
    assert asked(schema[path][method], GenerationMode.NEGATIVE)


@pytest.mark.parametrize("path", [path for method, path in ROUTES if method == "GET"])
def test_what_is_there_is_answered_as_documented(
    schema: Any, report: dict[str, str], path: str
) -> None:
    case = schema[path]["GET"].Case(
        path_parameters={name: value for name, value in report.items() if f"{{{name}}}" in path}
    )

    answer = case.call_and_validate(checks=CHECKS, timeout=10)

    assert answer.status_code == (404 if "figures" in path else 200)  # it has no figure


def test_a_document_is_accepted_and_forgotten_as_documented(schema: Any) -> None:
    submit = schema["/v1/tasks"]["POST"].Case(
        query={"task_id": "new"}, body=text_document(1), media_type="application/pdf"
    )
    task = {"task_id": "new"}

    accepted = submit.call_and_validate(checks=CHECKS)
    early = schema["/v1/tasks/{task_id}/result"]["GET"].Case(path_parameters=task)
    forget = schema["/v1/tasks/{task_id}"]["DELETE"].Case(path_parameters=task)

    assert accepted.status_code == 202
    assert early.call_and_validate(checks=CHECKS).status_code == 202
    assert forget.call_and_validate(checks=CHECKS).status_code == 204
    assert forget.call_and_validate(checks=CHECKS).status_code == 404


@pytest.mark.parametrize(
    ("path", "methods"),
    [("/v1/tasks", "GET, POST"), ("/v1/tasks/report", "DELETE, GET"), ("/healthz", "GET")],
)
def test_a_wrong_method_is_told_the_right_ones(gateway: Gateway, path: str, methods: str) -> None:
    answer = httpx.put(gateway.http + path)

    assert answer.status_code == 405
    assert ", ".join(sorted(answer.headers["allow"].split(", "))) == methods
    assert answer.json()["error"]["code"] == "not_found"


def test_a_form_is_one_however_its_type_is_spelt(gateway: Gateway) -> None:
    form = httpx.Request(
        "POST", gateway.http, data={"task_id": "spelt"}, files={"file": text_document(1)}
    )
    kind = form.headers["content-type"].replace("multipart/form-data", "Multipart/Form-Data")

    answer = httpx.post(
        gateway.http + "/v1/tasks", content=form.read(), headers={"content-type": kind}
    )

    assert (answer.status_code, answer.json()["task_id"]) == (202, "spelt")
