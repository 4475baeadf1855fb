"""A GPU that cannot be used is named, and never replaced by the CPU unseen."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest

from ocrplus_contract.settings import OcrSettings
from ocrplus_ocr.doctor import Gpu
from ocrplus_ocr.engine import cuda
from ocrplus_ocr.engine.cuda import Driver, driver_problem
from ocrplus_ocr.engine.profiles import EngineConfig, Profile
from ocrplus_ocr.models import default_models_dir, pack

ASKED = {"OCRPLUS_DEVICE": "gpu", "OCRPLUS_ENGINE": "onnxruntime"}
MODEL = default_models_dir() / pack.TABLE_KIND / "inference.onnx"
FALLEN_BACK = (
    "\x1b[1;31m2026-11-26 02:31:25 [E:onnxruntime:Default, provider_bridge_ort.cc:2458 operator()] "
    "provider_bridge_ort.cc:2043 Get() [ONNXRuntimeError] : 1 : FAIL : Failed to load library "
    "/capi/libonnxruntime_providers_cuda.so with error: libcublasLt.so.13: cannot open shared "
    "object file: No such file or directory\n\x1b[m\n"
    "[W:onnxruntime:Default, onnxruntime_pybind_state.cc:1295] Failed to create it.\x1b[m"
)


def no_driver() -> bool:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return True
    return False


without_gpu = pytest.mark.skipif(not no_driver(), reason="this machine has NVIDIA's driver")


@pytest.mark.parametrize(
    ("answer", "device", "least", "told"),
    [
        (Driver((13, 0), 1), "gpu:0", 13, None),
        (Driver((13, 2), 8), "gpu:7", 13, None),
        (Driver((12, 8), 1), "gpu:0", 0, None),
        (Driver((12, 8), 1), "gpu:0", 13, "for CUDA 12.8, CUDA 13 needs driver 580 or newer"),
        (Driver((13, 0), 1), "gpu:1", 13, "there is no gpu:1: the driver sees 1 of them"),
        ("nothing answers", "gpu:0", 13, "nothing answers"),
    ],
)
def test_what_the_driver_says_is_judged(
    answer: Driver | str, device: str, least: int, told: str | None
) -> None:
    problem = driver_problem(device, answer, least)

    assert problem is None if told is None else told in str(problem)


def test_the_library_that_is_missing_is_taken_from_onnx_runtimes_log() -> None:
    told = cuda._error_of(FALLEN_BACK)

    assert told == "libcublasLt.so.13: cannot open shared object file: No such file or directory"


def test_a_model_on_the_cpu_is_not_taken_for_one_on_the_gpu() -> None:
    session = onnxruntime.InferenceSession(str(MODEL), providers=["CPUExecutionProvider"])

    with pytest.raises(cuda.CudaUnusable, match=f"put .*{pack.TABLE_KIND}.* on the CPU"):
        cuda.demand("gpu:0")
    assert session.get_providers() == ["CPUExecutionProvider"]


@without_gpu
def test_the_doctor_names_a_missing_driver() -> None:
    (finding,) = Gpu(OcrSettings(device="gpu", engine="onnxruntime")).look()

    assert finding.status == "fail"
    assert "there is no libcuda.so.1" in finding.reason


@without_gpu
@pytest.mark.parametrize("profile", [Profile.GPU, Profile.GPU_ONNX])
def test_each_profile_that_needs_a_driver_asks_it(profile: Profile) -> None:
    told = cuda.refusal(EngineConfig(profile, "gpu:0", Path("pack")))

    assert "there is no libcuda.so.1" in str(told)


@without_gpu
def test_a_worker_without_its_gpu_says_so_and_ends() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "ocrplus_ocr"],
        env={**os.environ, **ASKED},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 2
    assert "there is no libcuda.so.1" in ended.stderr + ended.stdout
