"""Build the images: `make images`, with docker, podman or buildah, whichever is there.

`--builder` also takes a script that is called with the tag and `buildah bud`'s arguments: so the
images reach a node without a registry. Seconds and sizes go to `benchmarks/results/images.json`,
each image's bill of materials to `dist/sbom`.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
SBOM: Final = "/opt/application/sbom.cdx.json"
BUILD_SECONDS: Final = 3600
LOOK_SECONDS: Final = 300


@dataclass(frozen=True, slots=True)
class Image:
    """One image: its repository, the folder of its Dockerfile, the target if it has several."""

    repository: str
    folder: str
    target: str = ""

    @property
    def name(self) -> str:
        """What a person calls it."""
        return f"{self.repository}-{self.target}" if self.target else self.repository

    def tag(self, tag: str) -> str:
        """Its full name."""
        return f"ocrplus/{self.repository}:{tag}{'-' if self.target else ''}{self.target}"


IMAGES: Final = (
    Image("gateway", "services/gateway"),
    Image("operator", "operator"),
    Image("caption-worker", "services/caption-worker"),
    Image("ocr-worker", "services/ocr-worker", "cpu"),
    Image("ocr-worker", "services/ocr-worker", "gpu-onnx"),
    Image("ocr-worker", "services/ocr-worker", "gpu"),
)
# Paddle's own index is not everywhere to be reached.
USUAL: Final = tuple(image.name for image in IMAGES if image.target != "gpu")


@dataclass(frozen=True, slots=True)
class Builder:
    """A program that builds images, or a script that wraps buildah."""

    command: str

    @property
    def engine(self) -> str:
        """The program that holds the images afterwards."""
        return self.command if self.command in ("docker", "podman") else "buildah"

    def build(self, image: Image, tag: str, extra: list[str]) -> float:
        """Build it; seconds that took."""
        name = image.tag(tag)
        arguments = ["-f", f"{image.folder}/Dockerfile", *labels(), *extra]
        arguments += ["--target", image.target] if image.target else []
        if self.engine == "buildah":  # its own format drops health checks
            arguments += ["--format", "docker"]
        if self.engine == self.command:
            verb = "bud" if self.engine == "buildah" else "build"
            command = [self.command, verb, "-t", name, *arguments, "."]
        else:
            command = ["bash", self.command, name, *arguments, "."]
        began = time.monotonic()
        subprocess.run(command, cwd=ROOT, check=True, timeout=BUILD_SECONDS)
        return time.monotonic() - began

    def megabytes(self, name: str) -> float:
        """Size of all layers, unpacked."""
        if self.engine != "buildah":
            return int(self._said("image", "inspect", "-f", "{{.Size}}", name)) / 1e6
        size, unit = json.loads(self._said("images", "--json", name))[0]["size"].split()
        factor: float = {"KB": 1e-3, "MB": 1, "GB": 1e3}[unit]
        return float(size) * factor

    def file(self, name: str, path: str) -> str:
        """Text of a file of an image."""
        if self.engine != "buildah":
            return self._said("run", "--rm", "--network", "none", "--entrypoint", "cat", name, path)
        container = self._said("from", "--pull-never", name).strip()
        try:
            return self._said("run", "--isolation", "chroot", container, "--", "cat", path)
        finally:
            self._said("rm", container)

    def revision(self, name: str) -> str:
        """The commit that an image was built from."""
        where = ".Config" if self.engine != "buildah" else ".OCIv1.Config"
        look = ["image", "inspect"] if self.engine != "buildah" else ["inspect", "--type", "image"]
        label = "org.opencontainers.image.revision"
        return self._said(*look, "-f", f'{{{{index {where}.Labels "{label}"}}}}', name).strip()

    def _said(self, *arguments: str) -> str:
        command = [self.engine, *arguments]
        return subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=LOOK_SECONDS
        ).stdout


def labels() -> list[str]:
    """The OCI labels that only the moment of building knows."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    revision = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    known = {
        "version": version,
        "revision": revision or "unknown",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return [
        part
        for name, value in known.items()
        for part in ("--label", f"org.opencontainers.image.{name}={value}")
    ]


def found_builder() -> str | None:
    """The first that is installed."""
    return next((name for name in ("docker", "podman", "buildah") if shutil.which(name)), None)


def measured(builder: Builder, image: Image, name: str) -> dict[str, Any]:
    """Size and contents of a built image; its bill of materials goes to `dist/sbom`."""
    text = builder.file(name, SBOM)
    folder = ROOT / "dist" / "sbom"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{image.name}.cdx.json").write_text(text)
    parts: list[dict[str, str]] = json.loads(text)["components"]
    system = sum(part.get("purl", "").startswith("pkg:deb/") for part in parts)
    return {
        "built": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC of {builder.revision(name)[:10]}",
        "megabytes": builder.megabytes(name),
        "python_packages": len(parts) - system,
        "debian_packages": system,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--builder", default=found_builder(), help="docker, podman, buildah or a script"
    )
    parser.add_argument("--tag", default="dev")
    parser.add_argument("--record", action="store_true", help="write the figures to the results")
    known = [image.name for image in IMAGES]
    parser.add_argument("--only", nargs="+", default=USUAL, choices=known, metavar="IMAGE")
    arguments, extra = parser.parse_known_args()
    if arguments.builder is None:
        print("skipped: neither docker, podman nor buildah is installed")
        return 0
    builder, figures = Builder(arguments.builder), {}
    for image in IMAGES:
        if image.name in arguments.only:
            seconds = builder.build(image, arguments.tag, extra)
            figures[image.name] = {"build_seconds": seconds} | measured(
                builder, image, image.tag(arguments.tag)
            )
            print(image.tag(arguments.tag), json.dumps(figures[image.name]))
    if arguments.record:
        sys.path.insert(0, str(ROOT / "benchmarks"))
        import results

        results.write(
            "images", results.read("images") | figures
        )  # what was not built keeps its own
    return 0


if __name__ == "__main__":
    sys.exit(main())
