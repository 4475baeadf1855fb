"""`python -m ocrplus_contract.reload MODULE`: run a service, and anew when its code changes.

For `skaffold dev` only. It stands here because every image has this room. The packages are copied
to a folder that a pod may write (its root is read-only), which shadows the image's own; what is
synchronised into that folder restarts the service within a second, and no image is built.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

FOLDER: Final = Path("/tmp/src")

_LOOK_SECONDS: Final = 0.5
_END_SECONDS: Final = 20.0
_PREFIX: Final = "ocrplus_"


def main() -> int:
    """Run until SIGTERM or until the service ends by itself; its exit code."""
    if len(sys.argv) != 2:
        print("usage: python -m ocrplus_contract.reload MODULE", file=sys.stderr)
        return 2
    copy_packages(Path(__file__).parents[1], FOLDER)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    return follow([sys.executable, "-m", sys.argv[1]], FOLDER)


def copy_packages(site: Path, folder: Path) -> None:
    """Copy this project's packages, so that they can be written to; those there already stay."""
    for package in site.glob(f"{_PREFIX}*"):
        if package.is_dir() and not (folder / package.name).exists():
            shutil.copytree(package, folder / package.name)


def follow(command: list[str], folder: Path) -> int:
    """Run a command with `folder` first on its path, again after every change below it."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    while True:
        seen = stamps(folder)
        child = subprocess.Popen(command, env=environment)
        try:
            while child.poll() is None and stamps(folder) == seen:
                time.sleep(_LOOK_SECONDS)
            if child.returncode == 0 or (child.returncode and stamps(folder) == seen):
                return child.returncode
        finally:
            end(child)
        print(f"reload: the code has changed, {command[-1]} starts anew", flush=True)


def stamps(folder: Path) -> Mapping[Path, int]:
    """When each source file was last written."""
    found = {}
    for path in folder.rglob("*"):
        if path.suffix in (".py", ".lua", ".toml"):
            found[path] = path.stat().st_mtime_ns
    return found


def end(child: "subprocess.Popen[bytes]") -> None:
    """Stop a child in order, then by force."""
    child.terminate()
    try:
        child.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


if __name__ == "__main__":
    sys.exit(main())
