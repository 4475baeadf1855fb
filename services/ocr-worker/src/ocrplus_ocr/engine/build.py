"""From the worker's settings to its engine."""

import os
import re
from typing import Final

from ocrplus_contract.settings import OcrSettings
from ocrplus_ocr import models
from ocrplus_ocr.engine import Engine
from ocrplus_ocr.engine.profiles import EngineConfig, Profile, official_models
from ocrplus_ocr.engine.rendering import RenderLimits

_THREADS_BESIDE_GPU: Final = 2  # for what the GPU does not do; they wait in a loop for more of it


def engine_config(settings: OcrSettings) -> EngineConfig:
    """The profile, device, models and threads that the settings mean."""
    device = "gpu:0" if settings.device == "gpu" else settings.device
    on_gpu = device.startswith("gpu")
    engine = settings.engine or ("paddle" if on_gpu else "onnxruntime")
    off = frozenset(filter(None, re.split(r"[\s,]+", settings.markdown_steps_off)))
    if engine == "paddle":
        return EngineConfig(Profile.GPU, device, settings.models_dir, settings.engine_threads, off)
    return EngineConfig(
        Profile.GPU_ONNX if on_gpu else Profile.CPU,
        device,
        settings.models_dir or models.default_models_dir(),
        settings.engine_threads or (_THREADS_BESIDE_GPU if on_gpu else os.cpu_count() or 1),
        off,
    )


def render_limits(settings: OcrSettings) -> RenderLimits:
    """What the rendering of a page may take. Opening a document and rendering its first page may
    both take as long by the clock: together clearly less than the page's deadline."""
    return RenderLimits(
        seconds=min(settings.render_seconds, settings.page_deadline_seconds / 4),
        megabytes=settings.render_megabytes,
    )


def missing_models(settings: OcrSettings) -> list[str]:
    """Names of models that the settings need and that are not there."""
    config = engine_config(settings)
    if config.profile is not Profile.GPU:
        assert config.models_dir is not None  # packs have a default place
        return models.missing(config.models_dir)
    if config.models_dir is None:
        return []  # PaddleOCR's own cache or hub
    folder = config.models_dir
    return sorted(name for name in official_models() if not (folder / name).is_dir())


def build_engine(settings: OcrSettings) -> Engine:
    """Build and warm the engine; takes seconds, and minutes on a cold GPU."""
    from ocrplus_ocr.engine.ppstructure import PPStructureEngine

    return PPStructureEngine(engine_config(settings), render_limits(settings))
