"""`ocrplus models`: the CPU model pack, assembled once and checked."""

import sys
from pathlib import Path

from ocrplus_contract.settings import OcrSettings


def folder() -> Path:
    """Where the pack lies: OCRPLUS_MODELS_DIR, else the user's cache folder."""
    from ocrplus_ocr.models import default_models_dir

    return OcrSettings().models_dir or default_models_dir()


class Unavailable(Exception):
    """The pack is not there and cannot be assembled; the message says what to do."""


def ensure() -> None:
    """Assemble the pack if the CPU profile needs it and it is not there.

    Raises:
        Unavailable: the wheels could not be fetched.
    """
    from ocrplus_ocr.engine.build import missing_models
    from ocrplus_ocr.models import WheelsUnusable, assemble

    settings = OcrSettings()
    if settings.models_dir is None and missing_models(settings):
        print("assembling the OCR models (once)", file=sys.stderr, flush=True)
        try:
            assemble(folder())
        except WheelsUnusable as unusable:
            raise Unavailable(str(unusable)) from unusable


def run(action: str, target: Path | None, wheels: Path | None) -> int:
    """Do one of assemble, verify, list; the exit code."""
    from ocrplus_ocr import models

    where = target or folder()
    if action == "assemble":
        try:
            print(models.assemble(where, wheels))
        except models.WheelsUnusable as unusable:
            print(f"ocrplus models: {unusable}", file=sys.stderr)
            return 1
        return 0
    problems = models.verify(where)
    if action == "verify":
        for problem in problems:
            print(problem, file=sys.stderr)
        print(f"{where}: {'not usable' if problems else 'complete and unchanged'}")
        return 1 if problems else 0
    if problems:
        print(f"{where}: no complete model pack; run `ocrplus models assemble`", file=sys.stderr)
        return 1
    print(models.as_table(models.describe(where)))
    return 0
