import shutil

import pytest
from hostile_answers import HOSTILE, SAID, browsed, is_plain, rendered
from hypothesis import given
from hypothesis import strategies as st

from ocrplus_caption.cleaning import description, is_refusal

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def quoted(text: str) -> str:
    return "\n".join(f"> {line}" for line in text.splitlines())


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_answer_is_cut_down_to_words(name: str) -> None:
    text = description(HOSTILE[name], 1200)

    assert text is not None and SAID in text
    assert is_plain(rendered(quoted(text)))
    assert "evil.test" not in text and "alert(1)" not in text.replace("\\", "")
    assert len(text) <= 2600
    assert "\n" not in text or text.startswith("| ")


def test_what_follows_the_first_paragraph_is_dropped() -> None:
    for name in ("heading", "instructions", "quote_breakout"):
        assert description(HOSTILE[name], 1200) == f"{SAID}."


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: apt-get install chromium")
def test_a_browser_asks_for_nothing_and_shows_no_dialog() -> None:
    cleaned = [rendered(quoted(description(answer, 1200) or "")) for answer in HOSTILE.values()]

    clean = browsed(cleaned)
    raw = browsed([rendered(answer) for answer in HOSTILE.values()])

    assert (clean.requests, clean.dialog) == ([], False)
    assert raw.requests and raw.dialog, "the check itself sees both"


def test_a_chart_may_be_a_table() -> None:
    answer = (
        "```markdown\n| Quarter | Ships |\n|:--|--:|\n| First | **301** |\n| Second | 3\\|4 |\n```"
    )

    assert description(answer, 1200) == (
        "| Quarter | Ships |\n| --- | --- |\n| First | 301 |\n| Second | 3\\|4 |"
    )


def test_a_preamble_is_not_a_description() -> None:
    answer = "Sure! Here is the description:\n\n**Figure**: ships *per quarter*."

    assert description(answer, 1200) == "Figure: ships per quarter."


def test_a_list_becomes_one_paragraph() -> None:
    assert description("- a pump\n- a valve", 1200) == "a pump a valve"


def test_thoughts_are_not_said() -> None:
    assert description("<think>the user wants</think>\n\nA pump.", 1200) == "A pump."
    assert description("<think>the user wants", 1200) is None


def test_a_long_answer_ends_at_a_sentence() -> None:
    text = description("One sentence here. " * 100, 200)

    assert text is not None and len(text) <= 200 and text.endswith("here.")


def test_chinese_is_kept_and_cut_at_its_own_stops() -> None:
    assert description("该图显示每季度船舶数量。第三季度最高。" * 40, 60).endswith("。")


@pytest.mark.parametrize("empty", ["", "   ", "###", "<b></b>", "![x](y)", "---"])
def test_nothing_is_no_description(empty: str) -> None:
    assert description(empty, 1200) is None


def test_refusals_are_told_from_descriptions() -> None:
    assert is_refusal("I'm sorry, but I can't help with that.")
    assert is_refusal("抱歉，我无法描述这张图片。")
    assert not is_refusal("A sign that says: I'm sorry.")


@given(st.text(alphabet=st.sampled_from(list("<>[]()!|\\`*_#&;-=~$:/. \nax1\"'{}@")), max_size=300))
def test_whatever_comes_is_a_paragraph_or_a_table(answer: str) -> None:
    text = description(answer, 200)

    if text is not None:
        assert is_plain(rendered(quoted(text))), text
