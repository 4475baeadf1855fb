"""What the event of a page tells of its headings and of how whole it is."""

import json

from ocrplus_contract.messages import EVENT
from ocrplus_contract.names import TaskId
from ocrplus_contract.records import HeadingRecord, PageRecord


def event(record: PageRecord) -> dict[str, object]:
    body = {"epoch": "e", "seq": 1, **json.loads(record.event_body(TaskId("t")))}
    EVENT.validate_python(body)
    return body


def test_a_page_tells_its_own_levels_and_its_coverage() -> None:
    record = PageRecord(
        page=1,
        state="ok",
        markdown="### Causes",
        headings=(HeadingRecord(text="Causes", level=3),),
        coverage=0.5,
        excused=0.125,
        repeated=0.25,
    )

    told = event(record)

    assert told["levels"] == "page"
    assert told["headings"] == [{"text": "Causes", "level": 3}]
    assert (told["coverage"], told["incomplete"]) == (0.5, True)
    assert told["excused"] == 0.125
    assert (told["repeated"], told["doubled"]) == (0.25, True)


def test_a_whole_page_is_neither_incomplete_nor_doubled() -> None:
    told = event(PageRecord(page=1, state="ok", markdown="all", coverage=0.999, repeated=0.001))

    assert (told["incomplete"], told["doubled"]) == (False, False)


def test_headings_travel_by_reference_with_their_text() -> None:
    headings = tuple(HeadingRecord(text=f"Part {n}", level=2) for n in range(500))

    told = event(PageRecord(page=1, state="ok", markdown="x" * 5000, headings=headings))

    assert told["markdown"] is None
    assert told["headings"] is None


def test_a_failed_page_is_not_measured() -> None:
    told = event(PageRecord(page=1, state="failed", error="page_poison"))

    assert (told["coverage"], told["repeated"], told["incomplete"]) == (None, None, False)
