from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from ocrplus_operator.control.schedules import active, check, floor
from ocrplus_operator.control.spec import Schedule

OFFICE = Schedule("0 7 * * 1-5", 12 * 3600, 2, "Europe/Berlin")


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin")).timestamp()


@pytest.mark.parametrize(
    ("moment", "stands"),
    [
        ("2026-01-05T06:59:59", False),
        ("2026-01-05T07:00:00", True),
        ("2026-01-05T18:59:59", True),
        ("2026-01-05T19:00:00", False),
        ("2026-01-04T12:00:00", False),  # a Sunday
        ("2026-07-06T07:00:00", True),  # summer time
        ("2026-07-06T06:59:00", False),
    ],
)
def test_office_hours_stand_by_the_clock_on_the_wall(moment: str, stands: bool) -> None:
    assert active(OFFICE, at(moment)) is stands


def test_a_night_over_a_change_of_clocks_lasts_its_duration() -> None:
    night = Schedule("0 0 * * *", 6 * 3600, 1, "Europe/Berlin")

    assert active(night, at("2026-03-29T06:59:00"))  # 02:00 to 03:00 did not exist
    assert not active(night, at("2026-03-29T07:01:00"))
    assert not active(night, at("2026-10-25T05:01:00"))  # 02:00 to 03:00 came twice


def test_the_highest_floor_counts_and_none_is_zero() -> None:
    always = Schedule("* * * * *", 120, 1)

    assert floor((OFFICE, always), at("2026-01-05T08:00:00")) == 2
    assert floor((OFFICE, always), at("2026-01-05T05:00:00")) == 1
    assert floor((), at("2026-01-05T08:00:00")) == 0


@pytest.mark.parametrize(
    ("schedule", "word"),
    [
        (Schedule("0 25 * * *", 60, 1), "cron"),
        (Schedule("every day", 60, 1), "cron"),
        (Schedule("0 7 * * *", 60, 1, "Europe/Atlantis"), "time zone"),
        (Schedule("0 7 * * *", 60, 1, "../etc/passwd"), "time zone"),
        (Schedule("0 7 * * *", 0, 1), "duration"),
        (Schedule("0 7 * * *", 1e15, 1), "duration"),
    ],
)
def test_what_can_never_be_read_is_refused_in_words(schedule: Schedule, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        check(schedule)


def test_a_good_schedule_is_not_refused() -> None:
    check(OFFICE)
