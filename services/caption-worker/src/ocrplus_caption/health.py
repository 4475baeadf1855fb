"""Probe command of a pod: `python -m ocrplus_caption.health` exits 0 while its worker beats."""

import sys

from ocrplus_contract import logs
from ocrplus_contract.keys import Keys
from ocrplus_contract.names import Pool
from ocrplus_contract.records import WorkerRecord
from ocrplus_contract.recovery import pod_name
from ocrplus_contract.server import connect
from ocrplus_contract.settings import CaptionWorkerSettings


def main() -> int:
    """Exit code of the probe."""
    logs.configure("caption-worker")
    settings = CaptionWorkerSettings()
    client, keys = connect(settings), Keys(settings.key_prefix)
    pod = pod_name(settings.pod_name, parent_pid=1)  # in a container the worker is process 1
    record = WorkerRecord.from_hash(client.hgetall(keys.worker(Pool.CAPTION, f"{pod}.0")))
    return 0 if record is not None else 1


if __name__ == "__main__":
    sys.exit(main())
