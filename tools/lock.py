"""Write the pins of each image: `make lock`. pip's own resolver does the work.

Each file of `constraints/` holds what one set of extras resolves to. The gpu file is the engine's
pins plus Paddle's GPU build, which its own index serves and no resolver finds here.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
SETS: Final[dict[str, str]] = {
    "gateway": "gateway,s3,traces",
    "ocr-worker-cpu": "cpu,s3,traces",
    "ocr-worker-gpu-onnx": "gpu-onnx,s3,traces",
    "ocr-worker-gpu": "engine,s3,traces",
    "caption-worker": "caption,s3,traces",
    "operator": "operator",
    "models": "models",
    "images": "images",
    "local": "local",
    "dev": "dev",
}
BY_HAND: Final[dict[str, str]] = {
    "ocr-worker-gpu": "paddlepaddle-gpu==3.2.2  # why: the newest without the oneDNN crash of "
    "3.3; from Paddle's own index",
}
# What redis-py asks for before Python 3.11.3 (Debian 12): images are built without a resolver.
OLD_PYTHON: Final = 'async-timeout==5.0.1; python_full_version < "3.11.3"'
# Newer ones ask for a patch release of Python 3.11 that Debian 12 (3.11.2) does not have.
CAPS: Final = ("soupsieve<3",)

OWN: Final = ("ocrplus", "async-timeout")


def pins(extra: str) -> list[str]:
    """`name==version` of everything that an extra needs, sorted."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run"]
    command += ["--ignore-installed", "--report", "-", f"{ROOT}[{extra}]", *CAPS]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    found = [(item["metadata"]["name"], item["metadata"]["version"]) for item in report["install"]]
    return sorted(f"{name.lower()}=={version}" for name, version in found if name not in OWN)


def main() -> None:
    for name, extra in SETS.items():
        lines = [f"# Pins of ocrplus[{extra}] on Python 3.11, Linux x86-64. Made by `make lock`."]
        if name in BY_HAND:
            lines.append(BY_HAND[name])
        lines.append(OLD_PYTHON)
        path = ROOT / "constraints" / f"{name}.txt"
        path.write_text("\n".join([*lines, *pins(extra)]) + "\n")
        print(path.name)


if __name__ == "__main__":
    main()
