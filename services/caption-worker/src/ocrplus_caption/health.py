"""Probe command of a pod: `python -m ocrplus_caption.health` exits 0 while its worker beats.

Why it exits 1 stands on stderr: the kubelet shows it.
"""

import sys

from ocrplus_contract import logs
from ocrplus_contract.names import Pool
from ocrplus_contract.probing import Probe
from ocrplus_contract.settings import CaptionWorkerSettings


def main() -> int:
    """Exit code of the probe."""
    settings = CaptionWorkerSettings()
    return Probe(settings, Pool.CAPTION, settings.pod_name, slots=1).run()


if __name__ == "__main__":
    logs.configure("caption-worker")
    sys.exit(main())
