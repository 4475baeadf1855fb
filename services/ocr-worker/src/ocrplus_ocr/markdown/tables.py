"""A table model's HTML as Markdown: a pipe table where no cell spans, else lean, safe HTML."""

import html
import re
from html.entities import html5
from typing import Final, Literal

_TAG: Final = re.compile(
    r"</?(?:table|thead|tbody|tr|td|th)\b((?:\s+(?:colspan|rowspan)=\"?\d+\"?)*)[^<>]*>", re.I
)
_WRAPPER: Final = re.compile(r"</?(?:html|body)>|<div[^>]*>|</div>|<img[^>]*>", re.I)
_CELL: Final = re.compile(r"<t([dh])([^<>]*)>(.*?)</t\1>", re.I | re.S)
_ROW: Final = re.compile(r"<tr[^<>]*>(.*?)</tr>", re.I | re.S)
_ANY_TAG: Final = re.compile(r"<[^<>]*>")
_MOST_SPAN: Final = 200
_SPAN: Final = re.compile(r"(colspan|rowspan)=\"?(\d+)\"?", re.I)


_TAG_START: Final = re.compile(r"<(?=[A-Za-z/!?])")
_ENTITY: Final = re.compile(r"&(?=(#\d{1,7};|#[xX][0-9a-fA-F]{1,6};|[A-Za-z][A-Za-z0-9]{1,31};))")
_DEFINITION: Final = re.compile(
    r"^([ \t]*(?:(?:[-+*>]|\d{1,9}[.)])[ \t]+)*)(?=\[(?:\\.|[^\[\]\\]){1,999}\]:)", re.M | re.S
)
"""Where `[label]: target` begins, in a list or not."""


def escape(text: str) -> str:
    """Text that cannot be taken for HTML, an entity or a link by whoever renders the Markdown.

    A bracket is escaped only where one after it could close a link: ordinary text stays as it is.
    """
    text = _ENTITY.sub(_plain_ampersand, text)
    text = _DEFINITION.sub(r"\1\\", _TAG_START.sub("&lt;", text))
    last = max(text.rfind("]("), text.rfind("]["))
    if last < 0:
        return text
    head, tail = _escaped(text[:last], "["), text[last:]
    begun_before = text.count("]", 0, last + 1) > text.count("[", 0, last)  # on the page before
    return re.sub(r"\](?=[(\[])", r"\\]", head + tail) if begun_before else head + tail


def _plain_ampersand(found: re.Match[str]) -> str:
    name = found.group(1)
    return "&amp;" if name[0] == "#" or name in html5 else "&"


def _escaped(text: str, sign: str) -> str:
    """The sign with a backslash before it; backslashes that the text has there stay visible."""
    return re.sub(rf"(\\*){re.escape(sign)}", lambda found: f"{found.group(1) * 2}\\{sign}", text)


def table_markdown(table_html: str, style: Literal["auto", "html", "markdown"] = "auto") -> str:
    """Markdown of one table; "" where there is no row."""
    rows = _rows(_WRAPPER.sub("", table_html))
    if not rows:
        return ""
    spanned = any(spans for row in rows for _, spans in row)
    if style == "html" or (style == "auto" and spanned):
        return _as_html(rows)
    return _as_pipes(_grid(rows))


def has_rows(table_html: str) -> bool:
    """Whether the table model made anything of a table."""
    return any(text for row in _rows(_WRAPPER.sub("", table_html)) for text, _ in row)


def text_of_html(table_html: str) -> str:
    """The words of a table, without its tags."""
    return html.unescape(_ANY_TAG.sub(" ", table_html))


Cell = tuple[str, str]
"""Text, and its spans as HTML attributes ("" for none)."""


def _rows(source: str) -> list[list[Cell]]:
    rows = []
    for row in _ROW.findall(source):
        cells = [(_cell_text(body), _spans(head)) for _, head, body in _CELL.findall(row)]
        if cells:
            rows.append(cells)
    return rows


def _cell_text(body: str) -> str:
    text = html.unescape(_TAG.sub(" ", body))
    return " ".join(text.split())


def _spans(head: str) -> str:
    spans = [(name.lower(), int(size)) for name, size in _SPAN.findall(head)]
    return "".join(f' {name}="{size}"' for name, size in spans if size > 1)


def _grid(rows: list[list[Cell]]) -> list[list[str]]:
    """Every cell in its own place; what spans stands once, at its top left."""
    grid: list[dict[int, str]] = [{} for _ in rows]
    for number, row in enumerate(rows):
        column = 0
        for text, spans in row:
            while column in grid[number]:
                column += 1
            size = {name: min(int(value), _MOST_SPAN) for name, value in _SPAN.findall(spans)}
            width, height = size.get("colspan", 1), size.get("rowspan", 1)
            for below in grid[number : number + height]:
                below.update(dict.fromkeys(range(column, column + width), ""))
            grid[number][column] = text
            column += width
    return [[cells.get(i, "") for i in range(max(cells, default=-1) + 1)] for cells in grid]


def _as_html(rows: list[list[Cell]]) -> str:
    body = "".join(
        "<tr>"
        + "".join(f"<td{spans}>{html.escape(text, quote=False)}</td>" for text, spans in row)
        + "</tr>"
        for row in rows
    )
    return f"<table>{body}</table>"


def _as_pipes(rows: list[list[str]]) -> str:
    columns = max(len(row) for row in rows)

    def line(cells: list[str]) -> str:
        padded = [_escaped(escape(cell), "|") for cell in cells]
        padded += [""] * (columns - len(cells))
        return f"| {' | '.join(padded)} |"

    head, *body = rows
    return "\n".join([line(head), "|" + " --- |" * columns, *map(line, body)])
