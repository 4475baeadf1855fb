"""`python -m ocrplus_gateway`: one gateway process, configured by the environment alone."""

import asyncio
import ipaddress
import logging
import os
import socket
import sys
from collections.abc import Mapping
from typing import Final

import uvicorn
from prometheus_client import start_http_server
from pydantic import ValidationError

from ocrplus_contract import logs, tracing
from ocrplus_contract.blobs import open_store
from ocrplus_contract.server import connect
from ocrplus_contract.settings import GatewaySettings, problems_of
from ocrplus_gateway.app import Parts, build_parts, create_app
from ocrplus_gateway.barrier import BarrierProtocol
from ocrplus_gateway.heads import HeadProtocol
from ocrplus_gateway.loop import tune_garbage_collection
from ocrplus_gateway.memory import allow_files, return_large_blocks
from ocrplus_gateway.metrics import GatewayMetrics
from ocrplus_gateway.taking import watched

log = logging.getLogger("ocrplus_gateway")


_NO_HANDSHAKE: Final = "ASGI callable returned without completing handshake."


class _AnnouncedServer(uvicorn.Server):
    """Says so on stdout once it accepts connections; closes WebSockets in slices at its end."""

    addresses: Mapping[str, str]
    parts: Parts
    drain_seconds = 0.0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            logs.announce("gateway", **self.addresses)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # While it drains the listener stays: readiness is off, who comes all the same is sent away.
        await self.parts.sessions.drain(self.drain_seconds)
        await super().shutdown(sockets)
        await asyncio.to_thread(tracing.stop)  # here: the signal that ended us is raised anew
        logs.finish()


def main() -> int:
    """Serve until SIGTERM; 2 when the settings are not usable."""
    logs.configure("gateway", own_outlets=True)
    try:
        settings = GatewaySettings()
    except ValidationError as error:
        log.error("settings are not usable", extra={"problem": problems_of(error)})
        return 2
    logs.configure("gateway", settings.log_level)
    tracing.configure("gateway")
    problem = _open_to_others(settings) or _store_unknown(settings)
    if problem:
        log.error("the gateway cannot start", extra={"problem": problem})
        return 2
    return_large_blocks()
    allow_files(settings.max_connections)
    return _serve(settings)


def _open_to_others(settings: GatewaySettings) -> str | None:
    """Why a port beyond this machine is not opened without a word about who may use it."""
    if _loopback(settings.host) or "OCRPLUS_AUTH__MODE" in os.environ:
        return None
    return (
        f"{settings.host} can be reached by others and nobody has to authenticate: set "
        "OCRPLUS_AUTH__MODE (none, if that is meant)"
    )


def _store_unknown(settings: GatewaySettings) -> str | None:
    try:
        open_store(settings, connect(settings))
    except ValueError as wrong:
        return str(wrong)
    return None


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
        ws=watched(BarrierProtocol, settings.send_seconds),
        http=watched(HeadProtocol, settings.send_seconds),
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
    server.addresses = {
        "http": f"http://{settings.host}:{listener.getsockname()[1]}",
        "metrics": f"http://{settings.host}:{exporter.server_port}/metrics",
    }
    # It says so of every socket that was refused with an answer.
    logging.getLogger("uvicorn.error").addFilter(lambda record: record.msg != _NO_HANDSHAKE)
    tune_garbage_collection(metrics)
    server.run([listener])
    return 0


if __name__ == "__main__":
    sys.exit(main())
