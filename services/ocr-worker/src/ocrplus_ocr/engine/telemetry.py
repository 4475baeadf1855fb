"""ONNX Runtime tells its makers nothing.

Its builds send telemetry over HTTPS unless they are told not to, and keep an id for it in the
user's cache: not from a machine that reads other people's documents.
"""

import os


def off() -> None:
    """Call it before the first import of `onnxruntime`, here or in a child."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
