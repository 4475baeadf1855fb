"""When a rate of the wire counts, and what of a benchmark is written down."""

import importlib
import os
import sys
from typing import Any

import delivery
import pytest
import results
import wire


def seconds(*p99s: float, events: int = 8000) -> list[dict[str, Any]]:
    return [{"events": events, "p99_ms": p99} for p99 in p99s]


def test_a_rate_passes_with_one_bad_second_and_not_with_two() -> None:
    assert wire.judged(8000, seconds(900, 20, 30, 99))[1]
    assert not wire.judged(8000, seconds(900, 20, 30, 101))[1]
    assert not wire.judged(8000, seconds(20, 20, 20, 20, events=7800))[1]
    assert wire.judged(8000, seconds(900, 20, 30, 99))[0]["worst_ms"] == 900


def test_one_core_is_enough_to_test_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as small:
        small.setattr(os, "cpu_count", lambda: 1)
        assert importlib.reload(wire).CORES == 1
    importlib.reload(wire)


@pytest.mark.parametrize(("only", "written"), [(["--only", "cuts"], []), ([], ["delivery"])])
def test_only_a_whole_run_of_delivery_is_written(
    monkeypatch: pytest.MonkeyPatch, only: list[str], written: list[str]
) -> None:
    names: list[str] = []
    monkeypatch.setattr(sys, "argv", ["delivery.py", *only])
    monkeypatch.setattr(delivery, "NGINX", sys.executable)
    monkeypatch.setattr(delivery, "_run", lambda *_: {"faults": []})
    monkeypatch.setattr(results, "write", lambda name, _: names.append(name))

    assert delivery.main() == 0
    assert names == written
