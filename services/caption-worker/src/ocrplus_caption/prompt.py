"""What the model is asked, put together from a prompt file and what is known of the figure. Pure.

The page's words come along as data between marks that they cannot contain. A prompt file is never
changed once released: its name is in every result, and part of the cache's keys.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from string import Template
from typing import Final, Literal

Language = Literal["zh", "en"]

_CONTEXT_CHARACTERS: Final = 600
_CAPTION_CHARACTERS: Final = 300
_PICTURE: Final = re.compile(r"!\[[^\]]*\]\([^)]*\)")
_MARKS: Final = re.compile(r"[<>]")
_CJK: Final = re.compile(r"[㐀-鿿豈-﫿]")
_LETTER: Final = re.compile(r"[^\W\d_]")


class UnknownPrompt(Exception):
    """There is no prompt file of this name."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt file: the system's words, what to ask by kind of figure, all by language."""

    version: str
    system: Mapping[str, str]
    question: Mapping[str, str]
    kinds: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Context:
    """What is known of a figure besides its pixels."""

    kind: str
    language: Language
    printed: str | None
    before: str
    after: str


@cache
def load(version: str) -> Prompt:
    """Read a prompt file.

    Raises:
        UnknownPrompt: there is none.
    """
    file = resources.files("ocrplus_caption") / "prompts" / f"{version}.toml"
    try:
        data = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError as error:
        raise UnknownPrompt(version) from error
    return Prompt(version, data["system"], data["question"], data["kinds"])


def ask(prompt: Prompt, context: Context) -> tuple[str, str]:
    """The system's and the user's words."""
    kind = prompt.kinds.get(context.kind, prompt.kinds["figure"])
    text = Template(prompt.question[context.language]).substitute(
        kind=kind[context.language].strip(),
        printed=_data(context.printed or "", _CAPTION_CHARACTERS) or "–",
        before=_data(context.before[-_CONTEXT_CHARACTERS:], _CONTEXT_CHARACTERS) or "–",
        after=_data(context.after, _CONTEXT_CHARACTERS) or "–",
    )
    return prompt.system[context.language].strip(), text.strip()


def context_of(
    markdown: str, figure: str, *, kind: str, printed: str | None, wanted: str
) -> Context:
    """What a page's Markdown says around one of its figures."""
    before, mark, after = markdown.partition(f"](figures/{figure}.png)")
    if not mark:
        before, after = "", markdown
    before = before.rpartition("![")[0] if mark else before
    return Context(
        kind=kind,
        language=_language(markdown, printed or "", wanted),
        printed=printed,
        before=_PICTURE.sub("", before).strip(),
        after=_PICTURE.sub("", after).strip(),
    )


def _language(markdown: str, printed: str, wanted: str) -> Language:
    if wanted == "zh":
        return "zh"
    if wanted == "en":
        return "en"
    text = _PICTURE.sub("", markdown) + printed
    chinese, letters = len(_CJK.findall(text)), len(_LETTER.findall(text))
    return "zh" if chinese * 4 > letters else "en"  # a character says as much as some letters


def _data(text: str, most: int) -> str:
    """Somebody's words as data: on one line, without what could end the marks around them."""
    return _MARKS.sub(" ", " ".join(text.split()))[:most]
