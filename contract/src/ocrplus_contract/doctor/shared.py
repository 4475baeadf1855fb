"""What every image can look at: server, broker, work, documents, this machine."""

from ocrplus_contract.doctor.findings import Check
from ocrplus_contract.doctor.machine import Machine
from ocrplus_contract.doctor.server import Server
from ocrplus_contract.doctor.storage import Storage
from ocrplus_contract.doctor.work import Work
from ocrplus_contract.keys import Keys
from ocrplus_contract.settings import CommonSettings


def shared_checks(
    settings: CommonSettings,
    *,
    lease_seconds: float,
    machine: Machine,
    writes_blobs: bool = True,
) -> list[Check]:
    """The checks of every room."""
    keys = Keys(settings.key_prefix)
    server = broker = Server(settings.redis_url.get_secret_value(), keys)
    checks = [Check(server.name, server.look)]
    if settings.broker_url is not None:
        url = settings.broker_url.get_secret_value()
        broker = Server(url, keys, "broker", "OCRPLUS_BROKER_URL")
        checks.append(Check(broker.name, broker.look))
    storage = Storage(settings, server.client, writes_blobs)
    needs = server.name if settings.blob_url.startswith("redis") else ""
    return [
        *checks,
        Check("work", Work(server, broker, lease_seconds).look, after=server.name),
        Check("blobs", storage.look, after=needs),
        Check("machine", machine.look),
    ]
