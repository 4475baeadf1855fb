from pathlib import Path
from xml.etree import ElementTree

import pytest
from autoscaling import BASELINE, LEAN, SPEC, Runs, measured, missed, run, shares
from autoscaling_cluster import Cluster, Setting, figures
from autoscaling_operator import Operator, decision_milliseconds
from autoscaling_queue import Chunk, Fair, Fifo
from autoscaling_replay import drawn, recorded, replay
from autoscaling_traces import Document, draw

from ocrplus_operator.control.law import decide
from ocrplus_operator.control.spec import Objective


@pytest.mark.parametrize(
    ("arm", "expected"),
    [
        ("keda", (6.901, 91.617, 101.009, 3.367, 32, 34)),
        ("kpa", (14.625, 76.025, 104.386, 2.390, 75, 53)),
        ("rayserve", (3.604, 31.156, 63.908, 5.127, 5, 18)),
        ("oracle", (3.223, 13.904, 26.862, 2.170, 150, 75)),
    ],
)
def test_peers_behave_as_in_the_study_that_set_the_goals(
    arm: str, expected: tuple[float, ...]
) -> None:
    found = run(draw("bigdoc", 3), arm, 3)

    names = ("p50", "p95", "p99", "gpu_hours", "scale_events", "pod_starts")
    assert [found[n] for n in names] == pytest.approx(expected, abs=5e-4)


def test_a_seed_is_always_the_same_trace() -> None:
    for name in ("bigdoc", "sparse", "backfill"):
        trace = draw(name, 5)
        assert trace == draw(name, 5)
        assert all(sum(p for p, _ in d.chunks) == d.pages for d in trace.documents)
        assert [d.at for d in trace.documents] == sorted(d.at for d in trace.documents)


def test_the_simulator_runs_the_operators_own_law(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counted(*args: object) -> object:
        calls.append(args)
        return decide(*args)  # type: ignore[arg-type]

    monkeypatch.setattr("autoscaling_operator.decide", counted)

    found = run(draw("bigdoc", 0), "ocrplus", 0)

    assert len(calls) >= 2400  # every three seconds of two hours
    assert found["killed_chunks"] == found["interrupted_chunks"] == 0


def test_every_document_is_finished_under_every_order() -> None:
    trace = draw("bigdoc", 1)
    for fair in (False, True):
        cluster = Cluster(trace, Operator(SPEC), 1, Setting(fair=fair))
        cluster.run()
        work = sum(seconds for d in trace.documents for _, seconds in d.chunks)
        assert figures(trace, cluster)["work_hours"] == pytest.approx(work / 3600)
        assert all(f > d.at for f, d in zip(cluster.finished, trace.documents, strict=True))


def test_the_time_of_a_decision_is_measured() -> None:
    assert 0 < decision_milliseconds(10, repeat=3) < decision_milliseconds(1000, repeat=3)


def test_profiles_differ_from_the_default_only_where_they_say() -> None:
    assert SPEC.objective == Objective()
    assert LEAN.objective.headroom == 0.5


def test_shares_are_of_the_baseline_and_misses_are_told() -> None:
    arms = (BASELINE, "ocrplus")
    by_trace = measured(range(1), arms, ("bigdoc",), Runs(None), jobs=1)

    table = shares(by_trace, arms)

    assert table[BASELINE]["p95"] == pytest.approx(1)
    assert table["ocrplus"]["p95"] == pytest.approx(
        by_trace["bigdoc"]["ocrplus"]["p95"] / by_trace["bigdoc"][BASELINE]["p95"]
    )
    worse = {"ocrplus": {**table["ocrplus"], "p95": 0.7}}
    assert any(line.startswith("ocrplus: p95 0.700 > 0.6") for line in missed(worse))


def test_a_run_that_was_kept_is_not_repeated(tmp_path: Path) -> None:
    kept = Runs(tmp_path / "runs")
    kept.add(("bigdoc", 0, BASELINE), {"p95": 5.0})

    again = measured(range(1), (BASELINE,), ("bigdoc",), Runs(tmp_path / "runs"), jobs=1)

    assert again == {"bigdoc": {BASELINE: {"p95": 5.0}}}


# ------------------------------------------------------------------ orders of taking


def document(user: int, chunks: int) -> Document:
    return Document(0.0, 16 * chunks, ((16, 10.0),) * chunks, user)


def chunks(number: int, count: int) -> list[Chunk]:
    return [Chunk(number, 16, 10.0) for _ in range(count)]


def test_first_come_first_served_keeps_the_order_of_arrival() -> None:
    queue = Fifo()
    queue.admit(document(0, 2), chunks(0, 2))
    queue.admit(document(1, 1), chunks(1, 1))

    assert [queue.take().document for _ in range(3)] == [0, 0, 1]
    assert (len(queue), queue.pages) == (0, 0)


def test_users_take_turns_by_the_pages_they_were_served() -> None:
    queue = Fair()
    queue.admit(document(0, 4), chunks(0, 4))
    queue.admit(document(1, 2), chunks(1, 2))

    assert [queue.take().document for _ in range(6)] == [0, 1, 0, 1, 0, 0]


def test_heads_of_a_users_documents_come_before_tails() -> None:
    queue = Fair()
    queue.admit(document(0, 3), chunks(0, 3))
    queue.admit(document(0, 2), chunks(1, 2))

    assert [queue.take().document for _ in range(5)] == [0, 1, 0, 0, 1]


# ------------------------------------------------------------------ recordings and pictures


def test_recorded_arrivals_are_replayed_and_drawn(tmp_path: Path) -> None:
    path = tmp_path / "monday.csv"
    path.write_text("at,pages\n1767571260,3\n1767571200,40\n1767571300,500\n")

    trace = recorded(path, 0.6)
    runs = {name: replay(trace, name, 0) for name in ("ocrplus", "keda", "oracle")}
    picture = ElementTree.fromstring(drawn(trace, runs))

    assert [(d.at, d.pages) for d in trace.documents] == [(0.0, 40), (60.0, 3), (100.0, 500)]
    lines = [e for e in picture.iter() if e.tag.endswith("polyline")]
    assert len(lines) == 9  # three laws in each of queue, workers, latency
    assert all(len(e.attrib["points"].split()) > 1 for e in lines)


def test_an_empty_recording_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.csv"
    path.write_text("at,pages\n")

    with pytest.raises(SystemExit, match="no documents"):
        recorded(path, 0.6)
