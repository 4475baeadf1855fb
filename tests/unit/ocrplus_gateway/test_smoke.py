"""What `helm test` runs: its page, its token, its waiting."""

import time
from pathlib import Path

import pypdfium2
import pytest

from ocrplus_gateway import smoke


def test_the_built_in_page_says_the_words_that_are_looked_for() -> None:
    document = pypdfium2.PdfDocument(smoke.page())

    assert len(document) == 1
    assert smoke.WORDS in document[0].get_textpage().get_text_range()


def test_each_page_is_another_one_so_that_no_cache_answers() -> None:
    assert smoke.page() != smoke.page()


def test_a_token_for_every_user_is_preferred_to_one_of_somebody_else(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("# keys\nadas ada\nall *\n")

    assert smoke.read_token(file) == "all"


def test_a_bare_token_is_a_token(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("eyJhbGciOi.x.y\n")

    assert smoke.read_token(file) == "eyJhbGciOi.x.y"


def test_an_empty_file_of_tokens_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("\n")

    with pytest.raises(SystemExit, match="holds no token"):
        smoke.read_token(tmp_path / "tokens")


def test_a_gateway_that_is_not_there_is_a_reason_not_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["smoke", "ws://127.0.0.1:9", "--seconds=0.1"])
    began = time.monotonic()

    assert smoke.main() == 1
    assert "readyz" in capsys.readouterr().err
    assert time.monotonic() - began < 10
