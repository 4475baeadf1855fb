"""Probe command of a pod: `python -m ocrplus_ocr.health` exits 0 while a child of this pod beats.

`--ready` asks for a warm engine too. It reads the records the children write, so it sees a hung
child, which a port that answers would not. Why it exits 1 stands on stderr: the kubelet shows it.
"""

import argparse
import sys
from collections.abc import Sequence

from ocrplus_contract import logs
from ocrplus_contract.names import Pool
from ocrplus_contract.probing import Probe
from ocrplus_contract.settings import OcrSettings


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code of the probe."""
    parser = argparse.ArgumentParser(prog="python -m ocrplus_ocr.health", description=__doc__)
    parser.add_argument("--ready", action="store_true", help="ask for a warm engine")
    ready = parser.parse_args(arguments).ready
    settings = OcrSettings()
    probe = Probe(settings, Pool.OCR, settings.pod_name, settings.workers_per_replica)
    return probe.run(warm=ready)


if __name__ == "__main__":
    logs.configure("ocr-worker")
    sys.exit(main())
