"""How every room speaks to Celery's broker: one set of options, since any worker restores the
unacknowledged messages of all.

A message is a doorbell without content; `architecture.md` section 4 gives the reasons, and the
figures behind each option stand in `docs/adr/0001-permits-in-a-stream.md`.
"""

from typing import Any, Final

from ocrplus_contract.names import Pool
from ocrplus_contract.sentinels import Sentinels
from ocrplus_contract.settings import CommonSettings

HARD_LIMIT_SECONDS: Final = 3600
"""A task beyond this is broken: the page deadline ends a hung page long before."""

VISIBILITY_SECONDS: Final = HARD_LIMIT_SECONDS + 300


def celery_options(settings: CommonSettings) -> dict[str, Any]:
    """Options that senders and workers share."""
    broker = (settings.broker_url or settings.redis_url).get_secret_value()
    sentinels = Sentinels.of(broker)
    return {
        "broker_url": broker if sentinels is None else sentinels.broker_url,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": {
            "global_keyprefix": settings.key_prefix,
            "visibility_timeout": VISIBILITY_SECONDS,
            "unacked_restore_interval": 5,  # the default sweep took 104 s to bring a doorbell back
            "unacked_restore_throttle": 1,
            "unacked_mutex_expire": 30,  # a killed sweeper would block all sweeps for 300 s
            "socket_timeout": 30,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 10,
            "retry_on_timeout": True,
            **({} if sentinels is None else sentinels.broker_options),
        },
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_ignore_result": True,
        "result_backend": None,
        "task_create_missing_queues": True,
    }


def worker_options(settings: CommonSettings, pool: Pool) -> dict[str, Any]:
    """Options of every worker, whatever runs its tasks; a room adds its own."""
    return {
        **celery_options(settings),
        "task_default_queue": str(pool),
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,  # a killed child's doorbell is back in 10 ms
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": True,  # a message behind a busy worker is invisible work
        "worker_enable_remote_control": False,  # its reply lists have no TTL
        "worker_send_task_events": False,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
    }
