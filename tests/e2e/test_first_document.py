"""`helm install`, and the first document without a manual step."""

import asyncio
import base64
import json
import time
import uuid
from pathlib import Path

import pytest
from cluster_client import Door, following
from release import SAMPLES, Release, note

REPORT = next(path for path in SAMPLES if path.name == "report_en.pdf")


async def original(door: Door, pdf: Path) -> dict[str, object]:
    """Convert by the original protocol; the result's body."""
    task = uuid.uuid4().hex
    frame = {"task_id": task, "pdf_file": base64.b64encode(pdf.read_bytes()).decode()}
    async with asyncio.timeout(300), door.socket(f"o-{task[:8]}", original=True) as socket:
        await socket.send(json.dumps(frame))
        assert json.loads(await socket.recv()) == {"task_id": task, "status": "submitted"}
        message = json.loads(await socket.recv())
    assert "result" in message, message
    return dict(message["result"])


async def test_the_first_document_comes_without_a_manual_step(release: Release, door: Door) -> None:
    began = time.monotonic()
    result = await original(door, REPORT)

    note(
        "first_document",
        install_seconds=round(release.install_seconds, 1),
        document_seconds=round(time.monotonic() - began, 1),
    )
    pages = result["markdown"]
    assert isinstance(pages, list) and "report" in pages[0]["markdown"].lower()
    assert release.restarts() == {}


def test_helm_test_converts_its_own_page(release: Release) -> None:
    began = time.monotonic()
    release.helm("test", release.name, "--timeout=300s", seconds=330)
    note("first_document", helm_test_seconds=round(time.monotonic() - began, 1))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
async def test_real_documents_come_by_http_with_every_page(door: Door, sample: Path) -> None:
    async with following(door) as follower:
        task = await follower.submit(sample.read_bytes())
        await follower.all_results(300)
        async with door.http() as http:
            answer = await http.get(f"/v1/tasks/{task}/result.md", params={"user": follower.user})

    assert follower.statuses() == {"ok": 1}
    assert follower.lost == []
    assert len(answer.raise_for_status().text) > 200
    pages = [event["page"] for event in follower.pages(task)]
    assert sorted(pages) == list(range(1, len(pages) + 1))
