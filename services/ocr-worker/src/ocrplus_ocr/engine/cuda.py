"""Whether CUDA can be used, and if not, why.

ONNX Runtime reads on with the CPU where CUDA fails, and says so in its own log alone: a worker that
was given a GPU would be slow beside it, unseen. So the driver is asked before, each model
afterwards, and the doctor runs one in a process of its own.
"""

import contextlib
import ctypes
import gc
import io
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final  # Any: onnxruntime is untyped

from ocrplus_ocr.engine import telemetry
from ocrplus_ocr.engine.profiles import EngineConfig, Profile

PROVIDER: Final = "CUDAExecutionProvider"
_DRIVER: Final = "libcuda.so.1"
_LEAST_DRIVER: Final = {12: "525", 13: "580"}  # the first of each CUDA version
_NO_DEVICE: Final = 100
_TRIAL_IMAGE: Final = (1, 3, 64, 64)
TRIAL_SECONDS: Final = 60.0  # a cold disk has to give a gigabyte of libraries


class CudaUnusable(Exception):
    """The GPU was asked for and cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Driver:
    """What the driver says: CUDA's version as 13.0, and how many devices there are."""

    cuda: tuple[int, int]
    devices: int


def ordinal(device: str) -> int:
    """0 of "gpu:0"."""
    return int(device.partition(":")[2] or 0)


def asked() -> Driver | str:
    """The driver's answer, or why there is none."""
    try:
        library = ctypes.CDLL(_DRIVER)
    except OSError:
        return (
            f"there is no {_DRIVER}: the container has no GPU of NVIDIA's "
            "(resource nvidia.com/gpu, runtime class), or the host no driver"
        )
    code = library.cuInit(0)
    if code == _NO_DEVICE:
        return "the driver sees no GPU: none was given to this container (CUDA_VISIBLE_DEVICES?)"
    if code:
        return f"the driver refuses ({_told(library, code)}): it and its kernel module must match"
    version, count = ctypes.c_int(), ctypes.c_int()
    for call, into in ((library.cuDriverGetVersion, version), (library.cuDeviceGetCount, count)):
        if code := call(ctypes.byref(into)):
            return f"the driver refuses ({_told(library, code)})"
    major, minor = divmod(version.value // 10, 100)
    return Driver((major, minor), count.value)


def _told(library: Any, code: int) -> str:
    text = ctypes.c_char_p()
    library.cuGetErrorString(code, ctypes.byref(text))
    return f"{code}: {(text.value or b'unknown').decode()}"


def driver_problem(device: str, answer: Driver | str, least_cuda: int = 0) -> str | None:
    """Why `device` cannot be used with CUDA `least_cuda` by what the driver said."""
    if isinstance(answer, str):
        return answer
    major, minor = answer.cuda
    if major < least_cuda:
        least = _LEAST_DRIVER.get(least_cuda)
        wanted = f"driver {least} or newer" if least else "a newer driver"
        return f"the driver is for CUDA {major}.{minor}, CUDA {least_cuda} needs {wanted}"
    if ordinal(device) >= answer.devices:
        return f"there is no {device}: the driver sees {answer.devices} of them"
    return None


def onnx_cuda() -> int:
    """CUDA's major version that this ONNX Runtime was built with; 0 where it was built without."""
    from onnxruntime.capi import build_and_package_info as built

    return int(str(getattr(built, "cuda_version", None) or "0").partition(".")[0])


def load_libraries() -> None:
    """Load CUDA's libraries, which are wheels beside ONNX Runtime and not the system's."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)  # errors: its warnings are not JSON
    with contextlib.redirect_stdout(io.StringIO()):  # what it lacks it prints
        onnxruntime.preload_dlls()


def without_cuda() -> list[str]:
    """Models of this process none of whose sessions has CUDA."""
    import onnxruntime

    kind = onnxruntime.InferenceSession
    uses: dict[str, bool] = {}
    for session in (found for found in gc.get_objects() if type(found) is kind):
        model = Path(session._model_path).parent.name
        uses[model] = uses.get(model, False) or PROVIDER in session.get_providers()
    return sorted(model for model, used in uses.items() if not used)


def on_gpu(create: Callable[[], Any]) -> Any:
    """A session that `create` makes, with CUDA.

    Raises:
        CudaUnusable: it is on the CPU, for want of memory on the GPU, say.
    """
    session = create()
    if PROVIDER not in session.get_providers():
        raise CudaUnusable("ONNX Runtime put a model on the CPU: see its error above")
    return session


def demand(device: str) -> None:
    """Hold ONNX Runtime to the GPU once its models are loaded.

    Raises:
        CudaUnusable: a model is on the CPU.
    """
    models = without_cuda()
    if models:
        reason = driver_problem(device, asked(), onnx_cuda())
        told = reason or "see its error above, and run `python -m ocrplus_ocr.doctor`"
        raise CudaUnusable(f"ONNX Runtime put {', '.join(models)} on the CPU: {told}")


def refusal(config: EngineConfig, model: Path | None = None) -> str | None:
    """Why the GPU cannot be used, by asking in a process of its own, which may hang or crash.

    With a `model` of images it is run once, which also finds what CUDA's libraries lack.
    """
    command = [sys.executable, "-P", "-m", __name__, config.device, config.profile]
    command += [str(model)] if model else []
    try:
        asked_ = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=TRIAL_SECONDS
        )
    except subprocess.TimeoutExpired:
        return f"the GPU did not answer within {TRIAL_SECONDS:g} s"
    with contextlib.suppress(ValueError):
        said: dict[str, Any] = json.loads(asked_.stdout)
        if said["problem"] or said["usable"]:
            return said["problem"] or None
    return _error_of(asked_.stderr) or f"the process that asked ended with {asked_.returncode}"


def _error_of(stderr: str) -> str:
    """The last error that ONNX Runtime or Python told, without where in the code it was."""
    lines = [line for line in stderr.splitlines() if "rror" in line or "FAIL" in line]
    last = lines[-1] if lines else ""
    for mark in ("with error: ", "[ONNXRuntimeError] : "):
        last = last.rpartition(mark)[2]
    return last.replace("\x1b[m", "").strip()


def _ask(device: str, profile: str, model: str = "") -> None:
    """What `refusal` reads: the driver's problem, else whether the model ran with CUDA."""
    telemetry.off()
    onnx = profile == Profile.GPU_ONNX
    problem = driver_problem(device, asked(), onnx_cuda() if onnx else 0)
    usable = problem is None and (not model or _ran(device, model))
    sys.stdout.write(json.dumps({"problem": problem, "usable": usable}))


def _ran(device: str, model: str) -> bool:
    import numpy as np
    import onnxruntime

    load_libraries()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model, options, [PROVIDER], [{"device_id": ordinal(device)}]
    )
    if PROVIDER not in session.get_providers():
        return False
    session.run(None, {session.get_inputs()[0].name: np.zeros(_TRIAL_IMAGE, np.float32)})
    return True


if __name__ == "__main__":
    _ask(*sys.argv[1:])
