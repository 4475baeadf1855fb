"""What the gateway's histograms see."""

from ocrplus_gateway.events import Event
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
        metrics.observe("u", event("result", task, 10, ',"pages":1'))

    sample = metrics.registry.get_sample_value
    assert sample("ocrplus_gateway_job_seconds_count", {"size": "small"}) == 3
    assert sample("ocrplus_gateway_job_seconds_sum", {"size": "small"}) == 9 + 6 + 6
