"""First and last lines of a page: the page's own, or running over the document."""

import random
import time
from dataclasses import replace

import pytest

from ocrplus_contract.document import settled
from ocrplus_contract.records import EdgeRecord, OpenRecord, PageRecord
from ocrplus_ocr.engine import Block, BlockKind, TextLine
from ocrplus_ocr.markdown.edges import edges
from ocrplus_ocr.markdown.furniture import mark_furniture
from ocrplus_ocr.markdown.page import LayoutBox, Page
from ocrplus_ocr.markdown.render import page_markdown

SIZE = (600.0, 800.0)
BODY = "A sentence of the page's own text."


def line(text: str, x: float, y: float, **more) -> TextLine:
    item = TextLine(text, (x, y, x + 6 * len(text), y + 10), 10, 400)
    return replace(item, **more)


def block(kind: BlockKind, *lines: TextLine) -> Block:
    box = (lines[0].box[0], lines[0].box[1], max(i.box[2] for i in lines), lines[-1].box[3])
    return Block(kind, " ".join(i.text for i in lines), box, lines)


def body(y: float = 100, **more) -> Block:
    return block(BlockKind.TEXT, *(line(BODY, 50, y + 14 * n, **more) for n in range(20)))


def page(*blocks: Block, number: int = 1, **more) -> Page:
    return Page(number, SIZE, blocks, tuple(i for b in blocks for i in b.lines), **more)


@pytest.mark.parametrize(
    ("kind", "said", "y", "left"),
    [
        (BlockKind.HEADER, "Dear Ms Smith,", 40, False),
        (BlockKind.HEADER, "which nobody had seen before.", 30, False),
        (BlockKind.FOOTER, "Amount due by 1 March: 4,300 EUR, order 77-1203.", 770, False),
        (BlockKind.FOOTER, "Yours sincerely", 770, False),
        (BlockKind.FOOTER, "303", 770, True),
        (BlockKind.FOOTER, "Confidential, page 3 of 12", 770, True),
        (BlockKind.FOOTER, "© 2024 Harbour Press. All rights reserved.", 770, True),
        (BlockKind.FOOTER, "www.harbour.example", 770, True),
        (BlockKind.HEADER, "GB/T 3620.1—2016", 40, True),
        (BlockKind.HEADER, "THE KEEPER OF THE ARCHIVE", 40, True),
        (BlockKind.HEADER, "Harbour Letters, vol. 12", 40, True),
    ],
)
def test_what_the_model_calls_a_header_is_text_where_it_is_set_as_text(
    kind: BlockKind, said: str, y: float, left: bool
) -> None:
    edge = block(kind, line(said, 50, y))

    result = mark_furniture(page(edge, body()))

    assert (said not in page_markdown(result.blocks, [])) is left


@pytest.mark.parametrize(
    "other",
    [
        {"size": 8.0},
        {"italic": True},
        {"weight": 700},
        {"box": (250.0, 40.0, 350.0, 50.0)},
    ],
)
def test_a_header_in_another_font_or_place_stays_one(other: dict[str, object]) -> None:
    header = block(BlockKind.HEADER, line("A history of the harbour", 50, 40, **other))

    assert mark_furniture(page(header, body())).blocks[0].kind is BlockKind.HEADER


def test_a_publisher_s_stamp_in_the_margin_is_furniture() -> None:
    stamp = block(BlockKind.TEXT, line("Downloaded from journal.example on July 12, 2017", 50, 10))
    deep = block(BlockKind.TEXT, line("Downloaded from journal.example on July 12, 2017", 50, 500))

    found = mark_furniture(page(stamp, body(), deep)).blocks

    assert [b.kind for b in found] == [BlockKind.HEADER, BlockKind.TEXT, BlockKind.TEXT]


@pytest.mark.parametrize(
    ("text", "x", "left_out"),
    [
        ("arXiv:0709.4466v1 [cs.IT] 27 Sep 2007", 20, True),
        ("NIH-PA Author Manuscript", 45, True),
        ("Harbour", 15, True),
        ("Measured at noon, from left to right", 45, False),
    ],
)
def test_what_is_turned_at_the_page_s_side_is_a_stamp_far_out_or_by_its_words(
    text: str, x: float, left_out: bool
) -> None:
    turned = line(text, 0, 0, box=(x, 200.0, x + 10, 420.0), turn=3)

    found = mark_furniture(page(block(BlockKind.TEXT, turned), body())).blocks

    assert (found[0].kind is BlockKind.HEADER) is left_out


def test_a_turned_page_s_first_line_is_no_stamp() -> None:
    lines = [
        line(BODY, 0, 0, box=(20.0 + 14 * n, 200.0, 30.0 + 14 * n, 420.0), turn=3) for n in range(9)
    ]
    first, rest = block(BlockKind.TEXT, lines[0]), block(BlockKind.TEXT, *lines[1:])

    found = mark_furniture(
        page(first, rest, body(size=10.0)),
    ).blocks

    assert found[0].kind is BlockKind.HEADER
    assert mark_furniture(page(first, rest)).blocks[0].kind is BlockKind.TEXT


def test_a_header_beside_its_number_or_over_a_rule_stays_one() -> None:
    header = block(BlockKind.HEADER, line("A history of the harbour", 50, 40))
    number = block(BlockKind.PAGE_NUMBER, line("12", 540, 40))
    rule = (50.0, 60.0, 550.0, 60.5)

    assert mark_furniture(page(header, number, body())).blocks[0].kind is BlockKind.HEADER
    assert mark_furniture(page(header, body(), rules=(rule,))).blocks[0].kind is BlockKind.HEADER


def test_in_a_scan_a_header_has_to_read_as_a_sentence() -> None:
    def kind_of(text: str) -> BlockKind:
        scanned = {"size": 0.0, "weight": 0}
        header = block(BlockKind.HEADER, line(text, 50, 40, **scanned))
        return mark_furniture(page(header, body(**scanned))).blocks[0].kind

    assert kind_of("A history of the harbour") is BlockKind.HEADER
    assert kind_of("Dear Ms Smith,") is BlockKind.TEXT
    assert kind_of("which nobody had seen before") is BlockKind.TEXT


def test_a_page_tells_its_first_and_last_lines() -> None:
    header = block(BlockKind.HEADER, line("Harbour Press", 250, 20))
    first = block(BlockKind.TEXT, line("A history of the harbour", 50, 50))
    rest = block(
        BlockKind.TEXT, *(line("which goes on and on and", 50, 100 + 14 * n) for n in range(9))
    )
    last = block(BlockKind.TEXT, line("303", 290, 720))

    found = edges(page(header, first, rest, last))

    assert [(e.text, e.top, e.markdown) for e in found] == [
        ("Harbour Press", True, ""),
        ("A history of the harbour", True, "A history of the harbour"),
        ("303", False, "303"),
    ]
    assert [e.open for e in found] == [False, True, True]


def records(*tops: str, place: float = 0.9, top: bool = False) -> list[PageRecord]:
    made = []
    for number, text in enumerate(tops, start=1):
        edge = EdgeRecord(text=text, top=top, at=place, markdown=text)
        parts = [text, BODY] if top else [BODY, text]
        made.append(PageRecord(page=number, state="ok", markdown="\n\n".join(parts), edges=(edge,)))
    return made


def dropped(pages: list[PageRecord]) -> list[bool]:
    return [page.markdown == BODY for page in settled(pages)]


@pytest.mark.parametrize(
    "texts",
    [
        ("301", "302", "303"),
        ("301", "302"),
        ("– 4 –", "– 5 –", "– 6 –"),
        ("iv", "v", "vi"),
        ("Page 7 of 9", "Page 8 of 9", "Page 9 of 9"),
        ("A History 12", "A History 13", "A History 14"),
        ("A History 12", "The Keeper 13", "A History 14", "The Keeper 15"),
    ],
)
def test_what_runs_over_the_pages_goes(texts: tuple[str, ...]) -> None:
    assert all(dropped(records(*texts)))


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (("A History", "A History", "A History"), [1]),
        (("A History", "The Keeper", "A History", "The Keeper"), [1, 2]),
        (("The Shipping Company of Harbour Ltd.",) * 3, [1]),
        (("Signature of the tenant",) * 3, [1]),
        (("Signature of the tenant",) * 2, [1, 2]),
        (("Chapter 3 Bridges",) * 3, [1]),
    ],
)
def test_what_only_comes_again_is_said_once(texts: tuple[str, ...], said: list[int]) -> None:
    stays = [not gone for gone in dropped(records(*texts))]

    assert [page for page, kept in enumerate(stays, start=1) if kept] == said


@pytest.mark.parametrize("left_out", [0, 1, 2])
def test_a_line_that_a_page_left_out_by_how_it_is_set_goes_from_all(left_out: int) -> None:
    pages = records("A History", "A History", "A History")
    edge = pages[left_out].edges[0].model_copy(update={"markdown": ""})
    pages[left_out] = pages[left_out].model_copy(update={"markdown": BODY, "edges": (edge,)})

    assert all(dropped(pages))


@pytest.mark.parametrize(
    ("said", "x", "y", "left"),
    [
        ("7", 297, 770, True),
        ("vi", 294, 770, True),
        ("- 7 -", 50, 770, True),
        ("Page 7", 50, 770, True),
        ("7 / 12", 50, 770, True),
        ("civil", 285, 770, False),
        ("1984", 288, 770, False),
        ("7", 297, 390, False),  # right under the text
        ("7", 200, 770, False),
        ("7", 50, 770, True),
        ("7", 248, 770, True),  # at the text's right
        ("7", 248, 700, False),  # there stands a sum
        ("7", 297, 700, True),
    ],
)
def test_a_number_on_a_document_of_one_page_goes_where_page_numbers_stand(
    said: str, x: float, y: float, left: bool
) -> None:
    whole = mark_furniture(page(body(), block(BlockKind.TEXT, line(said, x, y))))
    record = PageRecord(
        page=1, state="ok", markdown=page_markdown(whole.blocks, []), edges=edges(whole)
    )

    assert (said not in settled([record])[0].markdown.split("\n\n")) is left


def test_a_number_beside_a_header_is_the_page_s() -> None:
    header = block(BlockKind.HEADER, line("A history of the harbour", 200, 90))
    number = block(BlockKind.TEXT, line("303", 540, 91))

    found = mark_furniture(page(header, number, body(130))).blocks

    assert found[1].kind is BlockKind.PAGE_NUMBER


def test_a_number_of_many_pages_is_left_to_their_run() -> None:
    first, second, third = records("7", "12", "3")
    set_as_one = third.edges[0].model_copy(update={"page_number": True})
    third = third.model_copy(update={"edges": (set_as_one,)})

    assert dropped([first, second, third]) == [False, False, True], "page 3 says 3"


@pytest.mark.parametrize(
    "texts",
    [
        ("303",),
        ("303", "17", "88"),
        ("1984", "1984", "1984"),
        ("Dear Ms Smith,", "Yours sincerely,", "Best regards,"),
        ("Carried forward 4,300", "Carried forward 5,120", "Carried forward 6,004"),
        ("A History", "another line", "a third", "a fourth", "A History"),
        ("* * *", "* * *", "* * *"),
        ("Dear customer,", "Dear customer,", "Dear customer,"),
        ("Name of the applicant:", "Name of the applicant:", "Name of the applicant:"),
        tuple(f"Problem {n}. Prove the following claim." for n in (1, 2, 3)),
    ],
)
def test_what_is_a_page_s_own_stays(texts: tuple[str, ...]) -> None:
    assert not any(dropped(records(*texts)))


def test_a_line_that_stands_elsewhere_on_each_page_stays() -> None:
    pages = [
        *records("Total", place=0.9),
        *(p.model_copy(update={"page": 2}) for p in records("Total", place=0.86)),
        *(p.model_copy(update={"page": 3}) for p in records("Total", place=0.88)),
    ]

    assert not any(dropped(pages))


def test_a_number_that_the_pages_have_left_out_speaks_for_one_that_was_kept() -> None:
    first, second = records("301", "302")
    left_out = first.edges[0].model_copy(update={"markdown": ""})
    first = first.model_copy(update={"markdown": BODY, "edges": (left_out,)})

    assert dropped([first, second]) == [True, True]


def test_a_paragraph_goes_on_over_a_running_header() -> None:
    first, second = records("A History 1", "A History 2", top=True)
    rest = OpenRecord(text="A sentence")
    edge = second.edges[0].model_copy(update={"open": True, "paragraph": rest})
    second = second.model_copy(update={"edges": (edge,)})

    whole = settled([first.model_copy(update={"ends_paragraph": False}), second])

    assert [page.markdown for page in whole] == [BODY, BODY]
    assert [page.starts_paragraph for page in whole] == [True, False]
    assert [page.open_start for page in whole] == [None, rest]


def test_words_like_a_running_line_within_the_page_stay() -> None:
    pages = records("A History 1", "A History 2", "A History 3")
    twice = pages[0].model_copy(update={"markdown": f"A History 1\n\n{BODY}\n\nA History 1"})

    assert settled([twice, *pages[1:]])[0].markdown == f"A History 1\n\n{BODY}"


@pytest.mark.parametrize("text", ["A History", "{0}", "1 2 3 4 5 6 7 8 {0}", "Part {0} of {1}"])
def test_the_edges_of_a_book_are_settled_in_no_time(text: str) -> None:
    chance = random.Random(1)
    book = []
    for number in range(1, 2001):
        found = tuple(
            EdgeRecord(
                text=text.format(chance.randrange(9999), chance.randrange(9999)),
                top=top,
                at=chance.random(),
                markdown="x",
            )
            for top in (True, False) * 4
        )
        book.append(PageRecord(page=number, state="ok", markdown=BODY, edges=found))
    began = time.process_time()

    settled(book)

    assert time.process_time() - began < 2


@pytest.mark.parametrize("texts", [("Step 1", "Step 2", "Step 3"), ("Thank you",) * 3])
def test_a_page_that_says_nothing_else_keeps_its_running_line(texts: tuple[str, ...]) -> None:
    pages = [
        PageRecord(
            page=number,
            state="ok",
            markdown=text,
            edges=(EdgeRecord(text=text, top=True, at=0.1, markdown=text),),
        )
        for number, text in enumerate(texts, start=1)
    ]

    assert tuple(page.markdown for page in settled(pages)) == texts


def test_numbers_of_questions_in_the_margin_are_said() -> None:
    numbers = block(BlockKind.TEXT, *(line(f"{n}.", 30, 100 + 14 * n) for n in range(1, 9)))
    result = mark_furniture(page(numbers, body()))

    assert [b.kind for b in result.blocks] == [BlockKind.TEXT, BlockKind.TEXT]


@pytest.mark.parametrize(("score", "kind"), [(0.6, BlockKind.TEXT), (0.4, BlockKind.HEADER)])
def test_a_header_that_the_model_takes_for_text_too_is_said(score: float, kind: BlockKind) -> None:
    number = block(BlockKind.HEADER, line("No. 2024-0117", 440, 40, size=14))
    told = (
        LayoutBox(BlockKind.HEADER, number.box, 0.9),
        LayoutBox(BlockKind.TEXT, number.box, score),
    )

    found = mark_furniture(page(number, body(), layout=told)).blocks

    assert found[0].kind is kind


def test_on_a_page_of_few_words_no_header_stands_in_its_middle() -> None:
    title = block(BlockKind.TITLE, line("A History", 200, 200))
    author = block(BlockKind.HEADER, line("Jane Carter", 200, 450))
    press = block(BlockKind.FOOTER, line("Lancaster", 200, 770))

    found = mark_furniture(page(title, author, press)).blocks

    assert [b.kind for b in found] == [BlockKind.TITLE, BlockKind.TEXT, BlockKind.FOOTER]
