"""What `make monitoring-faults` claims, without causing anything."""

import json
from pathlib import Path

import monitoring_faults
import monitoring_scenes as scenes
import pytest
import results
import runbook_commands


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(results, "_FOLDER", tmp_path)
    monkeypatch.setattr("sys.argv", ["benchmarks/monitoring_faults.py", "--only", "some"])
    return tmp_path


@pytest.mark.parametrize(
    "fault", [f for of_it in scenes.FAULTS.values() for f in of_it], ids=lambda fault: fault.title
)
def test_a_caused_alert_has_a_first_command_that_runs_without_a_cluster(
    fault: scenes.Fault,
) -> None:
    assert runbook_commands.first_command(fault.alert).local


def test_what_was_not_run_again_is_kept_with_its_origin(folder: Path) -> None:
    room, stopped = scenes.ROOM.title, scenes.CAPTIONS_STOP.title
    record = {"command": "python whole", "date": "2026-01-02"}
    before = {"alert_after_seconds": {room: 1.0, stopped: 2.0}}
    written = folder / "monitoring_faults.json"
    written.write_text(json.dumps({**record, "metrics": before}))

    figures = monitoring_faults.figures(["captions-stopped"], {stopped: 3.0})
    results.write("monitoring_faults", figures)
    again = monitoring_faults.figures(["captions-stopped"], {stopped: 4.0})

    assert figures["alert_after_seconds"] == {stopped: 3.0, room: 1.0}
    assert figures["alerts_caused"] == figures["causes_shown_by_the_first_command"] == 2
    kept = {"broker-and-store": "`python whole` of 2026-01-02"}
    assert figures["kept_of_other_runs"] == again["kept_of_other_runs"] == kept


def test_a_run_of_all_keeps_nothing(folder: Path) -> None:
    seconds = {fault.title: 1.0 for of_it in scenes.FAULTS.values() for fault in of_it}

    figures = monitoring_faults.figures(list(scenes.FAULTS), seconds)

    assert figures["alert_after_seconds"] == seconds
    assert "kept_of_other_runs" not in figures
