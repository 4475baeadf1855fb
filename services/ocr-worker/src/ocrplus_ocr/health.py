"""Probe command of a pod: `python -m ocrplus_ocr.health` exits 0 while a child of this pod beats.

`--ready` asks for a warm engine too. It reads the records the children write, so it sees a hung
child, which a port that answers would not.
"""

import argparse
import sys

from ocrplus_contract import logs
from ocrplus_contract.keys import Keys
from ocrplus_contract.names import Pool
from ocrplus_contract.records import WorkerRecord
from ocrplus_contract.recovery import pod_name
from ocrplus_contract.server import connect
from ocrplus_contract.settings import OcrSettings


def main() -> int:
    """Exit code of the probe."""
    parser = argparse.ArgumentParser(prog="python -m ocrplus_ocr.health", description=__doc__)
    parser.add_argument("--ready", action="store_true", help="ask for a warm engine")
    ready = parser.parse_args().ready
    logs.configure("ocr-worker")
    settings = OcrSettings()
    client, keys = connect(settings), Keys(settings.key_prefix)
    pod = pod_name(settings.pod_name, parent_pid=1)  # in a container the worker is process 1
    records = [
        WorkerRecord.from_hash(client.hgetall(keys.worker(Pool.OCR, f"{pod}.{slot}")))
        for slot in range(settings.workers_per_replica)
    ]
    alive = [record for record in records if record is not None]
    if ready:
        # Not by state: one that drains while it warms says `drained`.
        alive = [record for record in alive if record.cold_start_seconds > 0]
    return 0 if alive else 1


if __name__ == "__main__":
    sys.exit(main())
