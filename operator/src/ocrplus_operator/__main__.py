"""`python -m ocrplus_operator` runs the operator; `… explain NAME`: why so many replicas.

Configured by the environment alone; see docs/configuration.md.
"""

import argparse
import asyncio
import logging
import sys

import kopf
from aiohttp import web
from pydantic import ValidationError

from ocrplus_contract import logs
from ocrplus_operator.errors import ApiError
from ocrplus_operator.explain import explain
from ocrplus_operator.handlers import registry
from ocrplus_operator.health import Health, Waiting
from ocrplus_operator.kube import Kube, connection
from ocrplus_operator.leader import Candidacy, Leader
from ocrplus_operator.metrics import OperatorMetrics
from ocrplus_operator.pool import Pools, ended
from ocrplus_operator.resource import pools_path
from ocrplus_operator.settings import OperatorSettings, problems_of

log = logging.getLogger("ocrplus_operator")

_FOLLOW_SECONDS = 0.2
_WAIT_SECONDS = 2.0


def main() -> int:
    """0 when ended in order, 1 when a pool cannot be explained, 2 when the settings are wrong."""
    arguments = _arguments()
    logs.configure("operator", own_outlets=arguments.command != "explain")
    try:
        settings = OperatorSettings()
        namespace = _namespace(arguments.namespace or settings.operator.namespace)
        if arguments.command == "explain":
            print(asyncio.run(explain(namespace, arguments.name)))
            return 0
    except ValidationError as error:
        log.error("settings are not usable", extra={"problem": problems_of(error)})
        return 2
    except ApiError as error:
        if arguments.command == "explain":  # said to a person
            print(f"operator: {error}", file=sys.stderr)
            return 1
        log.error("the operator cannot start", extra={"error": error})
        return 1
    logs.configure("operator", settings.log_level)
    asyncio.run(_run(settings, namespace))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ocrplus_operator", description=__doc__)
    parser.add_argument("-n", "--namespace", default="", help="namespace of the pools")
    commands = parser.add_subparsers(dest="command", metavar="[explain NAME]")
    explaining = commands.add_parser("explain", help="print a pool's last 50 decisions")
    explaining.add_argument("name", help="name of the WorkerPool")
    return parser.parse_args()


def _namespace(given: str) -> str:
    return given or connection().default_namespace or "default"


async def _run(settings: OperatorSettings, namespace: str) -> None:
    metrics, own = OperatorMetrics(), settings.operator
    async with Kube() as kube:
        pools = Pools(kube, settings, metrics)
        leader = Leader(kube, Candidacy(namespace, own.lease_name, own.identity, own.lease_seconds))
        health = Health(pools, leader, metrics)
        runner = web.AppRunner(health.app(), access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, settings.host, settings.metrics_port)
        await site.start()
        tasks = [asyncio.create_task(leader.run()), asyncio.create_task(_follow(leader, pools))]
        port = runner.addresses[0][1]
        url = f"http://{settings.host}:{port}/metrics"
        logs.announce("operator", metrics=url)
        try:
            await _resource_known(kube, namespace, health.waiting)
            await kopf.operator(
                registry=registry(pools),
                namespaces=[namespace],
                standalone=True,
                settings=kopf.OperatorSettings(),
            )
        finally:
            pools.leads.clear()
            await pools.close()
            await ended(*tasks)
            await runner.cleanup()


async def _resource_known(kube: Kube, namespace: str, waiting: Waiting) -> None:
    """Wait until the CRD is installed: kopf would never look for it again."""
    while True:
        try:
            await kube.get(pools_path(namespace))
            waiting.reason = ""
            return
        except ApiError as error:
            waiting.reason = str(error)
            log.warning("WorkerPools cannot be listed yet", extra={"error": error})
        await asyncio.sleep(_WAIT_SECONDS)


async def _follow(leader: Leader, pools: Pools) -> None:
    """Let the pools act while, and only while, this replica leads."""
    while True:
        if leader.leads:
            pools.leads.set()
        else:
            pools.leads.clear()
        await asyncio.sleep(_FOLLOW_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
