"""What kopf calls. Everything else is the operator's own: see `pool.py`.

Only events are watched (`on.event`): they put neither finalizers nor annotations on a resource.
"""

from typing import Any  # kopf passes more keywords than a handler names

import kopf

from ocrplus_operator.kube import connection
from ocrplus_operator.pool import Pools
from ocrplus_operator.resource import GROUP, PLURAL, VERSION


def registry(pools: Pools) -> kopf.OperatorRegistry:
    """The handlers of one process."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    def log_in(**_: Any) -> kopf.ConnectionInfo:
        return connection()

    @kopf.on.startup(registry=handlers)
    def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.scanning.disabled = True  # one namespace, one CRD: no rights beyond that
        settings.posting.enabled = False  # Events are written by decisions, not by log lines
        settings.batching.error_delays = (1, 3, 10)
        settings.watching.server_timeout = 240
        settings.watching.client_timeout = 270

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=handlers)
    async def pool_seen(type: str | None, body: kopf.Body, **_: Any) -> None:
        if type == "DELETED":
            await pools.gone(body["metadata"]["uid"])
        else:
            pools.changed(dict(body))

    @kopf.on.cleanup(registry=handlers)
    async def leave(**_: Any) -> None:
        await pools.close()  # kopf would wait five seconds for tasks that it does not know

    return handlers
