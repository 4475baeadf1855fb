"""A model's answer, cut down to a description: one paragraph, or one table. Pure.

Not by looking for what is evil, which never ends, but by what a description is made of: words.
Everything that Markdown or HTML could make more of is taken out or escaped; what an answer says
beside its first paragraph, or its table, is dropped.
"""

import html
import re
import unicodedata
from collections.abc import Sequence
from typing import Final

_MOST_READ: Final = 64 * 1024
_READ_OF_A_CHARACTER: Final = 8  # kept: what is taken out leaves enough
_MOST_ROWS: Final = 40
_MOST_COLUMNS: Final = 12
_MOST_CELL: Final = 120
_PREAMBLE: Final = 160

_THOUGHTS: Final = re.compile(r"<(think|thinking|reasoning)>.*?(</\1>|\Z)", re.S | re.I)
_THOUGHTS_END: Final = re.compile(r"</(?:think|thinking|reasoning)>", re.I)
_ACTIVE: Final = re.compile(
    r"<(script|style|iframe|svg|template|object)\b.*?(</\1\s{0,8}>|\Z)", re.S | re.I
)
_COMMENT: Final = re.compile(r"<!--.*?(-->|\Z)", re.S)
_LINE_TAG: Final = re.compile(r"<br\s{0,8}/?>|</(p|div|tr|li|h\d)\s{0,8}>", re.I)
# Words after a "<" are no tag unless it has an attribute: "x <y and z> 3" is said of charts.
_TAG: Final = re.compile(
    r"</?[a-z][a-z0-9:-]{0,40}(?:[\s/][^<>=]{0,200}=[^<>]*|[\s/]{0,8})>"
    r"|<[!?][^<>]{0,500}>|<[a-z][a-z0-9+.-]{1,20}:[^<>\s]*>",
    re.I,
)
_IMAGE: Final = re.compile(r"!\[[^\[\]\n]{0,500}\](?:\([^)\n]{0,500}\)|\[[^\[\]\n]{0,500}\])?")
_LINK: Final = re.compile(r"\[([^\[\]\n]{0,500})\](?:\([^)\n]{0,500}\)|\[[^\[\]\n]{0,500}\])")
_DEFINITION: Final = re.compile(r"^[^\S\n]{0,3}\[[^\[\]\n]{1,500}\]:.*$", re.M)
# No \b before a scheme: there is none between Chinese, a digit or "_" and a letter, and renderers
# link what follows all the same. An address ends where ASCII does, so that words after it stay.
_ADDRESS: Final = r"(?:[!-~]+|[^\s!-~、。，；：！？）】」』》”]{0,200})"
_URL: Final = re.compile(
    rf"[a-z0-9+-]{{0,30}}[:：]//{_ADDRESS}|[a-z][a-z0-9+.-]{{1,20}}:\\\\{_ADDRESS}"
    rf"|(?:javascript|vbscript|mailto|xmpp):{_ADDRESS}|(?<![a-z])(?:data|tel):[!-~]+"
    rf"|www\.{_ADDRESS}"
    r"|(?<![a-z0-9.-])(?:[a-z0-9-]{1,63}\.){1,8}[a-z]{2,24}/[!-~]*",
    re.I,
)
_MAIL: Final = re.compile(r"(?<=\S)@(?=\S)")
_FENCE: Final = re.compile(r"^[^\S\n]{0,8}(?:```|~~~).*$", re.M)
_HEADING: Final = re.compile(r"^\s{0,3}#{1,6}(\s|$)")
_UNDERLINE: Final = re.compile(r"^[^\S\n]{0,3}(?:=+|-+|\*{3,}|_{3,})[^\S\n]{0,8}$", re.M)
_ITEM: Final = re.compile(r"^\s{0,8}(?:[-*+•]|\d{1,3}[.)])\s+")
_QUOTE: Final = re.compile(r"^[^\S\n]{0,8}(?:>[^\S\n]?)+", re.M)
_RULE_ROW: Final = re.compile(r"^ {0,4}\|? {0,4}:?-+:? {0,4}(?:\| {0,4}:?-+:? {0,4})*\|? {0,4}$")
_EMPHASIS: Final = re.compile(r"[*`]+")
_LINES: Final = re.compile(r"[_~]{2,}")
_SPECIAL: Final = re.compile(r"[\\\[\]|$]")
_HUGE_ENTITY: Final = re.compile(r"&#x?[0-9a-f]{9,};?", re.I)  # no character, and int() raises
_ENTITY: Final = re.compile(r"&(?=#?\w+;)")
_START: Final = re.compile(r"^([#>+=:\-\s]+)")
_NUMBERED: Final = re.compile(r"^(\d{1,9})([.)])(?=\s|$)")
_SENTENCE_END: Final = re.compile(r"[.!?](?=\s)|[。！？]")
_REFUSAL: Final = re.compile(
    r"^(i['’]?m sorry|i am sorry|sorry,|i can(no|['’])t |i am unable|i['’]m unable|as an ai"
    r"|很?抱歉|对不起|我无法|我不能)",
    re.I,
)
_REFUSAL_CHARACTERS: Final = 300


def description(answer: str, most_characters: int) -> str | None:
    """The description in an answer, as Markdown of one paragraph or table; None where none is."""
    text = _plain(_read(answer)[: _READ_OF_A_CHARACTER * most_characters])
    blocks = [block for part in re.split(r"\n\s*\n", text) if (block := _without_headings(part))]
    for block in blocks:
        table = _table(block, most_characters)
        if table:
            return table
    paragraph = _first_paragraph(blocks)
    return _bounded(_inline(paragraph), most_characters) or None


def is_refusal(text: str) -> bool:
    """Whether a short answer says that there will be none."""
    return len(text) < _REFUSAL_CHARACTERS and _REFUSAL.match(text.strip()) is not None


def _read(answer: str) -> str:
    """What is said to a reader: no thoughts, scripts or invisible characters, no runs of blanks."""
    text = answer[:_MOST_READ]
    for _ in range(3):  # entities of entities
        text = html.unescape(_HUGE_ENTITY.sub("", text))
    text = "".join(c for c in text if c in "\n\t" or unicodedata.category(c)[0] != "C")
    text = _THOUGHTS.sub(" ", text)
    text = _THOUGHTS_END.split(text)[-1]  # of thoughts that began in the prompt
    text = _COMMENT.sub(" ", _ACTIVE.sub(" ", text))
    return re.sub(r"\n\s*\n", "\n\n", re.sub(r"[^\S\n]+", " ", text)).strip()


def _plain(text: str) -> str:
    """Text without markup and links."""
    text = _TAG.sub(" ", _LINE_TAG.sub("\n", text))
    text = _IMAGE.sub(" ", _DEFINITION.sub("", text))
    for _ in range(3):  # links around links
        text = _LINK.sub(r"\1", text)
    return _QUOTE.sub("", _FENCE.sub("", _without_addresses(text)))


def _without_addresses(text: str) -> str:
    """A blank in an address's place: what stood around it must not become another."""
    return _MAIL.sub(" (at) ", _URL.sub(" ", text))


def _without_headings(block: str) -> str:
    lines = [line for line in block.splitlines() if not _HEADING.match(line)]
    return (
        _UNDERLINE.sub("", "\n".join(lines)).strip() if not _is_table(lines) else "\n".join(lines)
    )


def _first_paragraph(blocks: Sequence[str]) -> str:
    """The first block that says something; "Here is a description:" does not."""
    for number, block in enumerate(blocks):
        said = " ".join(_ITEM.sub("", line).strip() for line in block.splitlines()).strip()
        is_preamble = len(said) < _PREAMBLE and said.endswith((":", "："))
        if said and not (is_preamble and number + 1 < len(blocks)):
            return said
    return ""


def _is_table(lines: Sequence[str]) -> bool:
    return any("|" in line and _RULE_ROW.match(line) for line in lines)


def _table(block: str, most_characters: int) -> str | None:
    """A pipe table with at least a head and a row, made anew cell by cell."""
    lines = [line for line in block.splitlines() if line.strip()]
    rule = next((i for i, line in enumerate(lines) if "|" in line and _RULE_ROW.match(line)), 0)
    if rule == 0:
        return None
    body = [line for line in lines[rule + 1 :] if "|" in line]
    rows = [_cells(lines[rule - 1]), *map(_cells, body[:_MOST_ROWS])]
    columns = min(_MOST_COLUMNS, len(rows[0]))
    if columns < 2 or len(rows) < 2:
        return None
    out = [_row(rows[0], columns), "|" + " --- |" * columns]
    length = sum(map(len, out))
    for row in rows[1:]:
        line = _row(row, columns)
        length += len(line)
        if length > 2 * most_characters:  # numbers take more room than they say
            break
        out.append(line)
    return "\n".join(out) if len(out) > 2 else None


def _cells(line: str) -> list[str]:
    return re.split(r"(?<!\\)\|", line.strip().removeprefix("|").removesuffix("|"))


def _row(cells: Sequence[str], columns: int) -> str:
    padded = [*cells, *[""] * columns][:columns]
    return f"| {' | '.join(_inline(cell)[:_MOST_CELL].rstrip(chr(92)) for cell in padded)} |"


def _inline(text: str) -> str:
    """Words on one line, of which Markdown makes nothing else."""
    words = _LINES.sub("", _EMPHASIS.sub("", text.replace("\\|", "|")))
    # Again: emphasis may have stood in the middle of an address.
    line = _START.sub("", " ".join(_without_addresses(words).split()))
    line = _SPECIAL.sub(lambda match: "\\" + match[0], line)
    line = _ENTITY.sub("&amp;", line).replace("<", "&lt;").replace(">", "&gt;")
    return _NUMBERED.sub(r"\1\\\2", line)


def _bounded(text: str, most: int) -> str:
    """Cut at the end of a sentence, else of a word."""
    if len(text) <= most:
        return text
    head = text[:most]
    ends = [match.end() for match in _SENTENCE_END.finditer(head)]
    if ends and ends[-1] >= most // 3:
        return head[: ends[-1]]
    return head.rpartition(" ")[0].rstrip("\\&") + " …" if " " in head else head.rstrip("\\&") + "…"
