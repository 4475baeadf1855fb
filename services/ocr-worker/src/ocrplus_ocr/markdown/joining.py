"""Lines of one paragraph as one text. Pure."""

from collections.abc import Iterable


def joined(lines: Iterable[str]) -> str:
    """The lines in one, with a space between them except beside Chinese or Japanese."""
    text = ""
    for line in lines:
        joint = "" if not text or is_cjk(text[-1]) or is_cjk(line[:1]) else " "
        text += joint + line
    return text


def is_cjk(character: str) -> bool:
    """Whether a character is written without spaces around it."""
    return bool(character) and "\u2e80" <= character <= "\uffef"
