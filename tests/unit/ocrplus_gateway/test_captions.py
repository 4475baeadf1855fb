from ocrplus_contract.captions import CaptionReason, CaptionRecord, CaptionState
from ocrplus_contract.names import TaskId
from ocrplus_contract.records import FigureRecord, PageRecord
from ocrplus_contract.states import PageState
from ocrplus_gateway.captions import content_of, figures_of, with_captions


def page(markdown: str, *figures: str) -> PageRecord:
    records = tuple(FigureRecord(id=f, kind="chart", box=(0, 0, 9, 9)) for f in figures)
    return PageRecord(page=3, state=PageState.OK, markdown=markdown, figures=records)


def caption(figure: str, state: CaptionState, **more: object) -> CaptionRecord:
    return CaptionRecord.model_validate({"page": 3, "figure": figure, "state": state, **more})


def text(markdown: str, *captions: CaptionRecord) -> str:
    return with_captions([page(markdown, "p3-f1", "p3-f2")], captions)[0].markdown


def test_a_description_is_a_quote_right_after_its_picture() -> None:
    said = caption("p3-f1", CaptionState.OK, caption="A chart.")

    assert text("Before.\n\n![Fig. 1](figures/p3-f1.png)\n\nFig. 1", said) == (
        "Before.\n\n![Fig. 1](figures/p3-f1.png)\n\n> A chart.\n\nFig. 1"
    )


def test_a_table_stays_inside_the_quote() -> None:
    table = "| a | b |\n| --- | --- |\n| 1 | 2 |"

    assert text("![](figures/p3-f1.png)", caption("p3-f1", CaptionState.OK, caption=table)) == (
        "![](figures/p3-f1.png)\n\n> | a | b |\n> | --- | --- |\n> | 1 | 2 |"
    )


def test_what_has_none_says_why() -> None:
    late = caption("p3-f1", CaptionState.PENDING)
    failed = caption("p3-f2", CaptionState.FAILED, reason=CaptionReason.TIMEOUT)

    shown = text("![](figures/p3-f1.png)\n\n![](figures/p3-f2.png)", late, failed)

    assert "<!-- figure p3-f1 has no description: caption_late -->" in shown
    assert "<!-- figure p3-f2 has no description: caption_timeout -->" in shown


def test_of_a_job_that_goes_on_nothing_is_late() -> None:
    pending = caption("p3-f1", CaptionState.PENDING)
    failed = caption("p3-f2", CaptionState.FAILED, reason=CaptionReason.TIMEOUT)
    markdown = "![](figures/p3-f1.png)\n\n![](figures/p3-f2.png)"
    read = page(markdown, "p3-f1", "p3-f2")

    (shown,) = with_captions([read], [pending, failed], ended=False)
    figures = figures_of(read, [pending, failed], TaskId("t"), ended=False)

    assert "caption_late" not in shown.markdown and "caption_timeout" in shown.markdown
    assert [(f["state"], f["reason"]) for f in figures] == [
        ("pending", None),
        ("failed", "caption_timeout"),
    ]


def test_words_that_look_like_a_picture_are_no_place_for_it() -> None:
    said = caption("p3-f1", CaptionState.OK, caption="A chart.")

    assert "> A chart." not in text("See ![x](figures/p3-f1.png) there.", said)


def test_without_captions_pages_stay_as_they_are() -> None:
    read = [page("![](figures/p3-f1.png)", "p3-f1")]

    assert with_captions(read, []) == read
    assert figures_of(read[0], [], TaskId("t"))[0]["state"] is None


def test_the_content_cache_tells_captioners_apart() -> None:
    names = {
        content_of("f", {"captions": "off"}),
        content_of("f", {"captions": "on", "asked": "a 1"}),
        content_of("f", {"captions": "on", "asked": "b 1"}),
    }

    assert len(names) == 3 and "f" in names
