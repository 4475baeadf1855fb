"""The `ocrplus` command as a person uses it; nothing of it stays behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from ocrplus_local.broker import free_port

SAMPLES = Path(__file__).parents[2] / "examples" / "samples"
OCRPLUS = [sys.executable, "-m", "ocrplus_local"]


@pytest.fixture
def marked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """An environment that tells our processes apart, with temporary files of its own."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    marker = f"{os.getpid()}-{time.monotonic_ns()}"
    monkeypatch.setenv("XDG_DATA_HOME", marker)
    return marker


def processes(marker: str) -> list[int]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("XDG_DATA_HOME") == marker:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def assert_nothing_stays(marker: str, tmp_path: Path) -> None:
    deadline = time.monotonic() + 10
    while processes(marker) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes(marker) == []
    assert list((tmp_path / "tmp").iterdir()) == []


def test_convert_writes_markdown_and_figures_and_leaves_nothing(
    marked: str, tmp_path: Path
) -> None:
    bad = tmp_path / "broken.pdf"
    bad.write_bytes(b"%PDF-1.7 nothing follows")
    out = tmp_path / "out"

    done = subprocess.run(
        [*OCRPLUS, "convert", str(SAMPLES / "report_en.pdf"), str(bad), "-o", str(out), "--json"],
        capture_output=True,
        text=True,
        timeout=240,
    )

    ended = [line for line in map(json.loads, done.stdout.splitlines()) if line["event"] == "done"]
    by_file = {Path(line["file"]).name: line for line in ended}
    assert done.returncode == 1, done.stderr
    assert by_file["broken.pdf"]["error"]["code"] == "pdf_invalid"
    assert by_file["report_en.pdf"]["status"] == "ok"
    text = (out / "report_en.md").read_text()
    assert "](report_en_figures/p2-f1.png)" in text
    assert (out / "report_en_figures" / "p2-f1.png").stat().st_size > 1000
    assert_nothing_stays(marked, tmp_path)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing(
    marked: str, tmp_path: Path, signum: signal.Signals
) -> None:
    command = [*OCRPLUS, "convert", str(SAMPLES / "scan_en_zh.pdf"), "-o", str(tmp_path / "out")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        for line in child.stderr:
            if "warming" in line:
                break
        child.send_signal(signum)
        code = child.wait(60)

    assert code == 128 + signum
    assert_nothing_stays(marked, tmp_path)


def test_a_killed_command_takes_its_services_along(
    marked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setenv("OCRPLUS_METRICS_PORT", str(port))  # for the gateway: the worker has its own
    command = [*OCRPLUS, "serve", "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as child:
        assert child.stdout is not None
        ready = json.loads(child.stdout.readline())
        child.kill()

    assert ready["ready"] is True and ready["http"]
    assert ready["metrics"]["gateway"] == [f"http://127.0.0.1:{port}/metrics"]
    assert f":{port}/" not in ready["metrics"]["ocr-worker"][0]
    deadline = time.monotonic() + 10
    while processes(marked) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes(marked) == []


def test_wrong_usage_is_told_apart(tmp_path: Path) -> None:
    for arguments in (["convert", "none.pdf"], ["convert", __file__, "--pages", "x"], ["nothing"]):
        done = subprocess.run([*OCRPLUS, *arguments], capture_output=True, text=True, timeout=60)
        assert done.returncode == 2, arguments
        assert done.stderr
