"""A collector in this process: takes spans over real OTLP/HTTP and reads them by the protocol's own
classes. It can be told to take nothing, or to hang.
"""

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

Mode = Literal["ok", "refuse", "hang"]


@dataclass(frozen=True)
class Received:
    """One span, as it came."""

    name: str
    trace: str
    span: str
    parent: str
    began: float
    ended: float
    service: str
    attributes: dict[str, Any]
    error: str

    @property
    def seconds(self) -> float:
        return self.ended - self.began


@dataclass
class Collector:
    """What came in so far."""

    url: str = ""
    mode: Mode = "ok"
    spans: list[Received] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    requests: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def env(self) -> dict[str, str]:
        """What sends a process's spans here, soon."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}

    def of_job(self, task: str) -> list[Received]:
        """The spans that name a job."""
        return [span for span in self.spans if span.attributes.get("ocrplus.job") == task]

    def wait_for(
        self, enough: Callable[[list[Received]], Any], seconds: float = 10
    ) -> list[Received]:
        """Everything, once it is enough."""
        deadline = time.monotonic() + seconds
        while not enough(self.spans):
            if time.monotonic() > deadline:
                raise TimeoutError(sorted(f"{s.service} {s.name}" for s in self.spans))
            time.sleep(0.05)
        return list(self.spans)

    def take(self, body: bytes) -> None:
        """Read one request."""
        self.raw.append(body)
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            who = _attributes(resource.resource.attributes)["service.name"]
            for scope in resource.scope_spans:
                self.spans.extend(_received(span, who) for span in scope.spans)


def _received(span: Any, who: str) -> Received:
    return Received(
        name=span.name,
        trace=span.trace_id.hex(),
        span=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        began=span.start_time_unix_nano / 1e9,
        ended=span.end_time_unix_nano / 1e9,
        service=who,
        attributes=_attributes(span.attributes),
        error=span.status.message if span.status.code == 2 else "",
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


@contextmanager
def collecting(mode: Mode = "ok") -> Iterator[Collector]:
    """A collector on a free port of the loopback."""
    collector = Collector(mode=mode)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.requests += 1
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if collector.mode == "hang":
                collector.ended.wait(60)
                return
            if collector.mode == "refuse" or self.path != "/v1/traces":
                self.send_error(503)
                return
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            collector.take(body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            with suppress(ConnectionError):
                self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    collector.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        collector.ended.set()
        server.shutdown()
        server.server_close()
        thread.join(10)
