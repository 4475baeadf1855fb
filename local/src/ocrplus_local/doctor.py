"""`ocrplus doctor`: every room's checks at once, with the settings of this environment."""

from collections.abc import Callable
from typing import TypeVar

from ocrplus_caption import doctor as caption
from ocrplus_contract.doctor import Check, Finding, examine
from ocrplus_contract.doctor.reporting import settings_or_findings, tell
from ocrplus_contract.settings import (
    CaptionWorkerSettings,
    CommonSettings,
    GatewaySettings,
    OcrSettings,
)
from ocrplus_gateway import doctor as gateway
from ocrplus_ocr import doctor as ocr

Settings = TypeVar("Settings", bound=CommonSettings)


def run(*, as_json: bool) -> int:
    """0 all is well, 1 warnings, 2 something failed."""
    rooms = (
        _room(GatewaySettings, gateway.checks),
        _room(OcrSettings, ocr.own_checks),
        _room(CaptionWorkerSettings, caption.own_checks),
    )
    # What all rooms share is wrong in each of them: once is enough.
    wrong = list(dict.fromkeys(finding for found, _ in rooms for finding in found))
    return tell(wrong + examine([check for _, some in rooms for check in some]), as_json=as_json)


def _room(
    settings: type[Settings], checks: Callable[[Settings], list[Check]]
) -> tuple[list[Finding], list[Check]]:
    read = settings_or_findings(settings)
    return (read, []) if isinstance(read, list) else ([], checks(read))
