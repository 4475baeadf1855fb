"""`python -m ocrplus_gateway`: one gateway process, configured by the environment alone."""

import asyncio
import ipaddress
import json
import os
import socket
import sys

import uvicorn
from prometheus_client import start_http_server
from pydantic import ValidationError

from ocrplus_contract import logs, tracing
from ocrplus_contract.blobs import open_store
from ocrplus_contract.server import connect
from ocrplus_contract.settings import GatewaySettings
from ocrplus_gateway.app import Parts, build_parts, create_app
from ocrplus_gateway.barrier import BarrierProtocol
from ocrplus_gateway.loop import tune_garbage_collection
from ocrplus_gateway.memory import allow_files, return_large_blocks
from ocrplus_gateway.metrics import GatewayMetrics


class _AnnouncedServer(uvicorn.Server):
    """Says so on stdout once it accepts connections; closes WebSockets in slices at its end."""

    ready_line = ""
    parts: Parts
    drain_seconds = 0.0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(self.ready_line, flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # While it drains the listener stays: readiness is off, who comes all the same is sent away.
        await self.parts.sessions.drain(self.drain_seconds)
        await super().shutdown(sockets)
        await asyncio.to_thread(tracing.stop)  # here: the signal that ended us is raised anew


def main() -> int:
    """Serve until SIGTERM; 2 when the settings are not usable."""
    try:
        settings = GatewaySettings()
    except ValidationError as error:
        print(f"gateway: {error}", file=sys.stderr)
        return 2
    if not _loopback(settings.host) and "OCRPLUS_AUTH__MODE" not in os.environ:
        print(
            f"gateway: {settings.host} can be reached by others and nobody has to authenticate: "
            "set OCRPLUS_AUTH__MODE (none, if that is meant)",
            file=sys.stderr,
        )
        return 2
    try:
        open_store(settings, connect(settings))
    except ValueError as wrong:
        print(f"gateway: {wrong}", file=sys.stderr)
        return 2
    logs.configure("gateway", settings.log_level)
    tracing.configure("gateway")
    return_large_blocks()
    allow_files(settings.max_connections)
    return _serve(settings)


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _serve(settings: GatewaySettings) -> int:
    metrics = GatewayMetrics()
    exporter, _thread = start_http_server(settings.metrics_port, settings.host, metrics.registry)
    listener = socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((settings.host, settings.port))
    parts = build_parts(settings, metrics)
    config = uvicorn.Config(
        create_app(parts),
        ws=BarrierProtocol,
        http="httptools",
        loop="uvloop",
        ws_max_size=settings.max_frame_bytes,
        ws_per_message_deflate=False,
        ws_ping_interval=settings.ping_seconds,
        ws_ping_timeout=settings.pong_seconds,
        backlog=4096,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(settings.shutdown_seconds),
    )
    server = _AnnouncedServer(config)
    server.parts, server.drain_seconds = parts, settings.shutdown_seconds / 2
    server.ready_line = json.dumps(
        {
            "ready": "gateway",
            "http": f"http://{settings.host}:{listener.getsockname()[1]}",
            "metrics": f"http://{settings.host}:{exporter.server_port}/metrics",
        }
    )
    tune_garbage_collection(metrics)
    server.run([listener])
    return 0


if __name__ == "__main__":
    sys.exit(main())
