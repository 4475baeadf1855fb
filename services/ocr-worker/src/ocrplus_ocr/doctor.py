"""`python -m ocrplus_ocr.doctor`: what an OCR worker depends on, and what to do where it fails."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ocrplus_contract.doctor import Check, Finding, run, shared_checks
from ocrplus_contract.doctor.findings import fail, ok
from ocrplus_contract.doctor.machine import Machine
from ocrplus_contract.settings import OcrSettings
from ocrplus_ocr import models
from ocrplus_ocr.engine import cuda
from ocrplus_ocr.engine.build import engine_config, missing_models
from ocrplus_ocr.engine.profiles import Profile
from ocrplus_ocr.models import pack

_TRIED: Final = Path(pack.TEXT_DETECTION) / "inference.onnx"


def own_checks(settings: OcrSettings) -> list[Check]:
    """What only this image can look at."""
    looks = [Check("models", Models(settings).look)]
    if settings.device != "cpu":
        looks.append(Check("gpu", Gpu(settings).look, seconds=cuda.TRIAL_SECONDS))
    return looks


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


@dataclass(frozen=True, slots=True)
class Gpu:
    """The GPU of the profile: the driver answers, and a model of the pack runs on it."""

    settings: OcrSettings

    def look(self) -> Iterator[Finding]:
        """One finding."""
        config = engine_config(self.settings)
        model = None
        if config.profile is Profile.GPU_ONNX and not missing_models(self.settings):
            model = (config.models_dir or models.default_models_dir()) / _TRIED
        problem = cuda.refusal(config, model)
        if problem:
            yield fail(
                "gpu",
                problem,
                "give the pod a GPU, its node the driver and the image CUDA's libraries (extra "
                "gpu-onnx), or run on CPUs (OCRPLUS_DEVICE=cpu)",
            )
        else:
            told = "a model runs on it" if model else "the driver answers"
            yield ok("gpu", f"{config.device}: {told}")


def main(arguments: Sequence[str] | None = None) -> int:
    """0 all is well, 1 warnings, 2 something failed."""
    return run("ocr", OcrSettings, checks, arguments)


if __name__ == "__main__":
    sys.exit(main())
