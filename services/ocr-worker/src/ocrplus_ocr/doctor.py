"""`python -m ocrplus_ocr.doctor`: what an OCR worker depends on, and what to do where it fails."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ocrplus_contract.doctor import Check, Finding, run, shared_checks
from ocrplus_contract.doctor.findings import fail, ok
from ocrplus_contract.doctor.machine import Machine
from ocrplus_contract.settings import OcrSettings
from ocrplus_ocr import models
from ocrplus_ocr.engine.build import engine_config, missing_models
from ocrplus_ocr.engine.profiles import Profile


def own_checks(settings: OcrSettings) -> list[Check]:
    """What only this image can look at."""
    return [Check("models", Models(settings).look)]


def checks(settings: OcrSettings) -> list[Check]:
    """Everything that this image can look at."""
    machine = Machine(scratch_bytes=256 << 20)  # a document, and the pages that are rendered ahead
    shared = shared_checks(settings, lease_seconds=settings.lease_seconds, machine=machine)
    return [*shared, *own_checks(settings)]


@dataclass(frozen=True, slots=True)
class Models:
    """The models of the profile: there, and unchanged where a manifest says what they were."""

    settings: OcrSettings

    def look(self) -> Iterator[Finding]:
        """One finding."""
        config = engine_config(self.settings)
        where = config.models_dir
        missing = missing_models(self.settings)
        if missing:
            yield fail(
                "models",
                f"{where} lacks {', '.join(missing)}",
                "run `ocrplus models assemble`, or correct OCRPLUS_MODELS_DIR or its volume",
            )
        elif config.profile is Profile.GPU:
            told = f"{where} has them all" if where else "PaddleOCR fetches them to its own cache"
            yield ok("models", f"{told} (official models: there is no digest to hold them to)")
        elif problems := models.verify(where or models.default_models_dir()):
            yield fail(
                "models",
                f"{where}: {'; '.join(problems[:3])}",
                "assemble the pack anew (`ocrplus models assemble`), or mount a sound copy",
            )
        else:
            yield ok("models", f"{where} is complete, every file has its digest")


def main(arguments: Sequence[str] | None = None) -> int:
    """0 all is well, 1 warnings, 2 something failed."""
    return run("ocr", OcrSettings, checks, arguments)


if __name__ == "__main__":
    sys.exit(main())
