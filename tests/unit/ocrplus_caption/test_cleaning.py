import shutil
import time

import pytest
from hostile_answers import HOSTILE, SAID, browsed, is_plain, linked, rendered
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
    assert linked(text) == []
    assert "evil.test" not in text and "alert(1)" not in text.replace("\\", "")
    assert len(text) <= 2600
    assert "\n" not in text or text.startswith("| ")


@pytest.mark.parametrize(
    "address",
    [
        "详见http://evil.test",
        "见www.evil.test",
        "见https://evil.test/路径",
        "https://例え.test/x",
        "_http://evil.test",
        "5http://evil.test",
        "_www.evil.test",
        "见mailto:evil@evil.test",
        "见evil-@evil.test",
        "中javascript:alert(1)",
        "http:/**/evil.test",
        "ww`w.evil.test",
        "evil*@*evil.test",
        "[http:](x)//evil.test",
        "http:<b></b>//evil.test",
        "HTTP&colon;//evil.test",
        "HTTP：//evil.test",
        "hthttp://x tp://evil.test",
    ],
)
def test_no_renderer_makes_a_link_of_what_is_left(address: str) -> None:
    for answer in (f"{SAID} {address} as said.", f"| a | b |\n|---|---|\n| {SAID} | {address} |"):
        text = description(answer, 1200)

        assert text is not None and SAID in text
        assert linked(text) == [] and "javascript:" not in text


def test_words_around_an_address_stay() -> None:
    assert description("A chart.http://evil.test/x Red.", 1200) == "A chart. Red."
    assert description("详见http://evil.test，第三季度最高。", 1200) == "详见 ，第三季度最高。"
    assert (
        description("Flow is 0.5/0.7 of the rated one.", 1200)
        == "Flow is 0.5/0.7 of the rated one."
    )


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


def test_thoughts_that_began_in_the_prompt_are_not_said() -> None:
    assert description("First I look.\n\nA chart?</think>\n\nA pump.", 1200) == "A pump."
    assert description("Hm.</think>One.</think> A pump. <think>Or not", 1200) == "A pump."


def test_less_than_is_no_tag() -> None:
    assert (
        description("Values with x <y are blue. The rest is red.", 1200)
        == "Values with x &lt;y are blue. The rest is red."
    )
    assert description("Where x <y and y> 3.", 1200) == "Where x &lt;y and y&gt; 3."


@pytest.mark.parametrize(
    "start, repeated, end",
    [
        ("A chart.", "\n", ""),
        ("A chart.", "\n", "x"),
        ("A chart.", " \n", "x"),
        ("", " ", "|x\n|-|\n"),
        ("| a | b |\n|", "-", "x"),
        ("| a | b |\n|", "-|", "x"),
        ("", " ", "```"),
        ("", "\t\u3000", "> x"),
        ("", "-a", ""),
        ("", "a.", ""),
        ("", "a-", "://"),
        ("", "a@", ""),
        ("", "[", ""),
        ("", "[\n", ""),
        ("", "[a](", ""),
        ("", "[a]", ""),
        ("", "![", ""),
        ("", "<a ", ""),
        ("", "<a =", ""),
        ("", "<!", ""),
        ("", "<br ", ""),
        ("<script>", "</script ", ""),
        ("", "</think>", ""),
        ("", "&amp;", ""),
        ("", "_~*", ""),
        ("", ">", "x"),
        ("", "=", "x"),
        ("", "1.2", ""),
        ("", "http:", ""),
        ("", "见", "http://evil.test"),
    ],
)
def test_64_kilobytes_of_anything_cost_little(start: str, repeated: str, end: str) -> None:
    answer = start + repeated * ((65_536 - len(start + end)) // len(repeated)) + end

    began = time.process_time()
    description(answer, 1200)

    assert time.process_time() - began < 0.2


def test_a_number_of_no_character_is_left_out() -> None:
    assert description(f"A pump.&#{'1' * 5000}; Red.", 1200) == "A pump. Red."
    assert description(f"A pump.&amp;#x{'f' * 5000}; Red.", 1200) == "A pump. Red."


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
        assert linked(text) == []
