"""What the gateway's metrics see."""

import time

from ocrplus_contract.names import Pool
from ocrplus_gateway.events import Event
from ocrplus_gateway.loop import LoopWatch
from ocrplus_gateway.metrics import GatewayMetrics


def event(kind: str, task: str, seconds: int, more: str = "") -> Event:
    text = f'{{"epoch":"ab","seq":1,"type":"{kind}","task_id":"{task}"{more}}}'
    return Event.parse(f"{seconds * 1000}-0", text.encode())


def test_jobs_nobody_saw_end_make_room_and_those_that_go_on_stay() -> None:
    metrics = GatewayMetrics()
    metrics.observe("u", event("submitted", "long", 1))
    for number in range(9_999):
        metrics.observe("u", event("submitted", f"left{number}", 2))
    metrics.observe("u", event("page", "long", 3))

    for number in range(100):
        metrics.observe("u", event("submitted", f"new{number}", 4))
    for task in ("long", "new0", "new99", "left0"):
        metrics.observe("u", event("result", task, 10, ',"status":"ok","pages":1'))

    sample = metrics.registry.get_sample_value
    assert sample("ocrplus_gateway_job_seconds_count", {"size": "small"}) == 3
    assert sample("ocrplus_gateway_job_seconds_sum", {"size": "small"}) == 9 + 6 + 6
    assert sample("ocrplus_gateway_job_ends_total", {"status": "ok"}) == 3


def test_what_the_ledger_has_counted_is_not_there_until_it_was_read() -> None:
    """From zero to what was before a gateway's start would be told as an increase."""
    metrics = GatewayMetrics()
    told = [sample.name for family in metrics.registry.collect() for sample in family.samples]

    metrics.counts.expired[Pool.OCR] = 4
    metrics.captions.late = 7

    sample = metrics.registry.get_sample_value
    assert sample("ocrplus_queue_leases_expired_total", {"pool": "ocr"}) == 4
    assert sample("ocrplus_caption_late_total", {}) == 7
    assert not {name for name in told if "leases_expired" in name or "poisoned" in name}
    assert not {name for name in told if "given_up" in name or "caption_late" in name}


def test_what_was_made_before_a_socket_opened_is_not_told_as_slow_delivery() -> None:
    metrics, now = GatewayMetrics(), int(time.time())

    metrics.delivered(event("page", "t", now - 3600), since=now - 60)
    metrics.delivered(event("page", "t", now - 30), since=now - 60)

    def count(kind: str) -> float | None:
        return metrics.registry.get_sample_value(
            "ocrplus_gateway_delivery_seconds_count", {"kind": kind}
        )

    assert (count("replayed"), count("live")) == (1, 1)


async def test_a_stall_of_the_loop_tells_while_it_lasts_and_some_time_after() -> None:
    watch = LoopWatch()
    tick = watch.tick()
    waiting = tick.send(None)  # the loop has begun to sleep and nobody wakes it
    time.sleep(0.2)  # noqa: ASYNC251  # the stall

    assert watch.worst() >= 0.14

    waiting.cancel()
    tick.close()
