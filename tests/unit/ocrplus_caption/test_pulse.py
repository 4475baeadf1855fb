"""What a caption worker tells at its heartbeat."""

import redis.asyncio
import redis_server

from ocrplus_caption.metrics import CaptionMetrics
from ocrplus_caption.pulse import Pulse
from ocrplus_contract.caption_settings import CaptionSettings
from ocrplus_contract.keys import Keys
from ocrplus_contract.ledger import Ledger


async def test_a_worker_with_nothing_to_do_tells_the_breaker_that_all_share(
    valkey: redis_server.Server,
) -> None:
    """Else one that is idle since before the model went away would say that all is well."""
    valkey.client.flushall()
    metrics = CaptionMetrics(CaptionSettings())

    def told() -> dict[str, float | None]:
        sample = metrics.registry.get_sample_value
        return {
            state: sample("ocrplus_caption_breaker_state", {"state": state})
            for state in ("closed", "open")
        }

    async with redis.asyncio.Redis(port=valkey.port) as client:
        pulse = Pulse(
            client, Ledger(), "w.0", lease_seconds=60, captioner="c", metrics=metrics, concurrency=1
        )
        seen = []
        for state in ("open", "closed"):
            valkey.client.hset(Keys().breaker(), "state", state)
            await pulse.beat()
            seen.append(told())

    assert seen == [{"closed": 0, "open": 1}, {"closed": 1, "open": 0}]
