"""The original submit frame, taken apart without parsing it whole."""

import base64
import json
import time
from pathlib import Path

import pytest

from ocrplus_contract.errors import ErrorCode, JobRefused
from ocrplus_gateway.frames import split_frame, write_decoded

DATA = bytes(range(256)) * 2000
ENCODED = base64.b64encode(DATA).decode()


async def decoded(text: str, target: Path, most_bytes: int = 1 << 20) -> bytes:
    frame, span = split_frame(text)
    if span is None:
        text, span = frame["pdf_file"], (0, len(frame["pdf_file"]))
    await write_decoded(text, span, target, most_bytes)
    return target.read_bytes()


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"task_id": "t", "pdf_file": ENCODED}),
        json.dumps({"pdf_file": ENCODED, "task_id": "t"}),
        json.dumps({"task_id": "t", "pdf_file": ENCODED}, indent=4),
        json.dumps({"task_id": "t", "pdf_file": ENCODED}).replace("/", "\\/"),
        json.dumps(
            {
                "task_id": "t",
                "pdf_file": "\n".join(ENCODED[i : i + 76] for i in range(0, len(ENCODED), 76)),
            }
        ),
        json.dumps({"note": '"pdf_file": "AAAA"', "task_id": "t", "pdf_file": ENCODED}),
        json.dumps({"task_id": "t", "pdf_file": ENCODED[:40]}),
    ],
    ids=["plain", "order", "spaces", "escaped", "wrapped", "decoy", "small"],
)
async def test_every_way_to_write_a_frame_gives_the_same_bytes(text: str, tmp_path: Path) -> None:
    frame, _ = split_frame(text)

    assert frame["task_id"] == "t"
    assert DATA.startswith(await decoded(text, tmp_path / "out"))


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '{"a": 1} x'])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(JobRefused) as refused:
        split_frame(text)
    assert refused.value.code is ErrorCode.BAD_JSON


async def test_what_is_no_base64_is_refused(tmp_path: Path) -> None:
    text = json.dumps({"task_id": "t", "pdf_file": "%" * 100_000})
    with pytest.raises(JobRefused) as refused:
        await decoded(text, tmp_path / "out")
    assert refused.value.code is ErrorCode.BAD_MESSAGE


async def test_a_document_above_the_limit_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    text = json.dumps({"task_id": "t", "pdf_file": ENCODED})
    with pytest.raises(JobRefused) as refused:
        await decoded(text, tmp_path / "out", most_bytes=1000)
    assert refused.value.code is ErrorCode.TOO_LARGE
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("filling", [" ", '"pdf_file" ', "a"])
def test_a_huge_frame_without_a_document_is_refused_at_once(filling: str) -> None:
    text = '{"pdf_file"' + filling * (40_000_000 // len(filling)) + "}"
    began = time.perf_counter()

    with pytest.raises(JobRefused) as refused:
        split_frame(text)

    assert refused.value.code is ErrorCode.BAD_MESSAGE
    assert time.perf_counter() - began < 0.1  # searched to its end: 0.3 s
