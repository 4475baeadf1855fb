"""A document from its committed pages."""

from ocrplus_contract.errors import PageErrorCode
from ocrplus_contract.records import HeadingRecord, PageRecord
from ocrplus_contract.states import PageState, TextSource
from ocrplus_gateway.jobs import merged_markdown


def page(number: int, markdown: str, **more: object) -> PageRecord:
    return PageRecord(
        page=number,
        state=PageState.OK,
        markdown=markdown,
        source=TextSource.TEXT_LAYER,
        **more,  # type: ignore[arg-type]  # fields of the record
    )


def heading(text: str, size: float) -> HeadingRecord:
    return HeadingRecord(text=text, level=1, size=size)


def test_levels_of_headings_hold_over_the_document_and_are_marked() -> None:
    pages = [
        page(1, "# Report", headings=(heading("Report", 18),)),
        page(2, "# Causes", headings=(heading("Causes", 13),)),
    ]

    assert merged_markdown(pages) == (
        "<!-- heading levels: document -->\n\n"
        "<!-- page 1 -->\n\n# Report\n\n<!-- page 2 -->\n\n## Causes\n"
    )


def test_a_document_without_headings_has_no_mark() -> None:
    assert merged_markdown([page(1, "text")]) == "<!-- page 1 -->\n\ntext\n"


def test_a_paragraph_over_the_pages_end_is_whole() -> None:
    pages = [page(1, "it goes", ends_paragraph=False), page(2, "on", starts_paragraph=False)]

    assert merged_markdown(pages) == "<!-- page 1 -->\n\nit goes <!-- page 2 --> on\n"


def test_a_failed_page_keeps_its_place() -> None:
    failed = PageRecord(page=2, state=PageState.FAILED, error=PageErrorCode.TIMEOUT)

    assert merged_markdown([page(1, "text"), failed]).endswith(
        "<!-- page 2 failed: page_timeout -->\n"
    )
