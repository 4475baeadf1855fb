"""What the OCR worker's doctor says of its models."""

from pathlib import Path

from ocrplus_contract.doctor import Finding
from ocrplus_contract.settings import OcrSettings
from ocrplus_ocr.doctor import Models
from ocrplus_ocr.models import default_models_dir


def models(folder: Path, **given: str) -> Finding:
    (finding,) = Models(OcrSettings(models_dir=folder, **given)).look()
    return finding


def linked(pack: Path, to: Path) -> Path:
    """A pack of links to the files of another."""
    for file in pack.rglob("*"):
        if file.is_file():
            target = to / file.relative_to(pack)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(file)
    return to


def test_a_sound_pack_and_one_with_a_flipped_byte(tmp_path: Path) -> None:
    pack = linked(default_models_dir(), tmp_path / "pack")
    sound = models(pack)
    file = min(pack.rglob("*.onnx"), key=lambda path: path.stat().st_size)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.unlink()
    file.write_bytes(data)

    flipped = models(pack)

    assert sound.status == "ok"
    assert flipped.status == "fail"
    assert f"{file.relative_to(pack)} has changed" in flipped.reason


def test_models_that_are_not_there_are_named(tmp_path: Path) -> None:
    none = models(tmp_path)
    official = models(tmp_path, device="gpu")

    assert none.status == official.status == "fail"
    assert "PP-OCRv6_small_det" in none.reason
    assert "PP-DocLayout_plus-L" in official.reason
