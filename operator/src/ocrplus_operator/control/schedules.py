"""Floors by the clock on the wall: from each time that a cron line names, for a duration.

cronsim walks a zone's wall clock as Debian's cron does, so that 07:00 in Berlin stays 07:00 when
the clocks change.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from ocrplus_operator.control.spec import Schedule

_LONGEST_SECONDS: Final = 366 * 86400.0


def check(schedule: Schedule) -> None:
    """Raise ValueError, in words for a condition, where a schedule can never be read."""
    try:
        CronSim(schedule.cron, datetime(2026, 1, 1, tzinfo=UTC))
    except CronSimError as exc:
        raise ValueError(f"cron {schedule.cron!r}: {exc}") from exc
    try:
        ZoneInfo(schedule.time_zone)
    except (KeyError, ValueError, OSError) as exc:
        raise ValueError(f"time zone {schedule.time_zone!r} is not known") from exc
    if not 0 < schedule.duration_seconds <= _LONGEST_SECONDS:
        raise ValueError(f"duration {schedule.duration_seconds:g} s is not within 0 and a year")


def active(schedule: Schedule, now: float) -> bool:
    """Whether one of the schedule's times lies in the `duration_seconds` before now."""
    moment = datetime.fromtimestamp(now, ZoneInfo(schedule.time_zone))
    # arithmetic on the absolute line: on the wall's, an hour is lost or won at a change of clocks
    begin = (moment.astimezone(UTC) - timedelta(seconds=schedule.duration_seconds)).astimezone(
        moment.tzinfo
    )
    try:
        return next(CronSim(schedule.cron, begin)).astimezone(UTC) <= moment.astimezone(UTC)
    except StopIteration:
        return False


def floor(schedules: Iterable[Schedule], now: float) -> int:
    """The highest floor that stands now; 0 without any."""
    return max((s.min_replicas for s in schedules if active(s, now)), default=0)
