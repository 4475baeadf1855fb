"""No process of ours lets ONNX Runtime tell its makers anything."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ocrplus_ocr.models import default_models_dir, pack

MODEL = default_models_dir() / pack.TABLE_KIND / "inference.onnx"
LOADED = "import onnxruntime, sys; onnxruntime.InferenceSession(sys.argv[1])"
BUILT = """
from ocrplus_contract.settings import OcrSettings
from ocrplus_ocr.engine.build import build_engine
build_engine(OcrSettings()).close()
"""


def kept_by_microsoft(home: Path, code: str) -> list[Path]:
    """What a process with this home has left in the cache for telemetry."""
    own = {"HOME": str(home), "OCRPLUS_MODELS_DIR": str(default_models_dir())}
    unset = ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")
    env = {name: value for name, value in os.environ.items() if name not in unset}
    command = [sys.executable, "-c", code, str(MODEL)]
    subprocess.run(command, env={**env, **own}, check=True, capture_output=True, timeout=120)
    return list(home.glob(".cache/Microsoft/**/deviceid"))


def test_the_engine_leaves_no_id(tmp_path: Path) -> None:
    plain, ours = tmp_path / "plain", tmp_path / "ours"
    plain.mkdir()
    ours.mkdir()
    if not kept_by_microsoft(plain, LOADED):
        pytest.skip("this ONNX Runtime keeps no id by itself")

    assert kept_by_microsoft(ours, BUILT) == []
