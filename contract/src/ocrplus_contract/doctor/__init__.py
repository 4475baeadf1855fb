"""Checks a deployment with the settings of this environment, and says what to do.

Each image runs what it can reach: `python -m ocrplus_gateway.doctor`, `… ocrplus_ocr.doctor`,
`… ocrplus_caption.doctor` inside a pod, `ocrplus doctor` for all of them. Nothing is changed but
a key and a blob of its own, which it takes away again. No secret is ever shown.
"""

from ocrplus_contract.doctor.findings import Check, Finding, Status, examine
from ocrplus_contract.doctor.reporting import run
from ocrplus_contract.doctor.shared import shared_checks

__all__ = ["Check", "Finding", "Status", "examine", "run", "shared_checks"]
