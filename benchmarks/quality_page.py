"""A page to look at: picture, truth and our Markdown of each document side by side."""

import difflib
import html
import json
from pathlib import Path
from typing import Any

_STYLE = """
body{font:14px/1.45 system-ui,sans-serif;margin:1rem}h2{margin:2.5rem 0 .3rem}
.row{display:grid;grid-template-columns:1fr 1fr 1fr;gap:1rem;align-items:start}
pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#f6f6f6;padding:.6rem;margin:0}
img{max-width:100%;border:1px solid #ccc}.gone{background:#ffd9d9}.new{background:#d9f2d9}
td,th{padding:.1rem .5rem;text-align:right}td:first-child{text-align:left}
"""
_SHOWN = ("overall", "text", "order", "table", "heading", "figure", "formula", "tests")


def write(folder: Path, out: Path, scores: list[dict[str, Any]]) -> Path:
    """Write `out/index.html`; pictures and Markdown are there already."""
    rows = {row["name"]: row for row in json.loads((folder / "manifest.json").read_text())}
    parts = [f"<!doctype html><meta charset=utf-8><title>Quality</title><style>{_STYLE}</style>"]
    parts.append("<h1>Quality</h1>" + _table(scores))
    for score in scores:
        row = rows[score["name"]]
        parts.append(f"<h2 id='{score['name']}'>{score['name']}</h2><p>{html.escape(row['kind'])}")
        parts.append("<div class=row>" + _pictures(out, row) + _texts(folder, out, row) + "</div>")
        for failed in score.get("tests_failed") or ():
            parts.append(f"<br>failed test: {html.escape(str(failed))}")
    page = out / "index.html"
    page.write_text("\n".join(parts), "utf-8")
    return page


def _table(scores: list[dict[str, Any]]) -> str:
    head = "".join(f"<th>{name}</th>" for name in _SHOWN)
    body = "".join(
        f"<tr><td><a href='#{s['name']}'>{s['name']}</a></td>"
        + "".join(f"<td>{s[m]:.3f}</td>" if s.get(m) is not None else "<td>" for m in _SHOWN)
        for s in scores
    )
    return f"<table><tr><th>{head}</tr>{body}</table>"


def _pictures(out: Path, row: dict[str, Any]) -> str:
    numbers = range(1, row["pages"] + 1)
    names = [f"{row['name']}/page_{number}.jpg" for number in numbers]
    return "<div>" + "".join(f"<img src='{n}'>" for n in names if (out / n).exists()) + "</div>"


def _texts(folder: Path, out: Path, row: dict[str, Any]) -> str:
    """Truth and ours; lines that the other one lacks are marked."""
    ours = (out / f"{row['name']}.md").read_text("utf-8").splitlines()
    if "truth" not in row:
        tests = (folder / row["tests"]).read_text("utf-8").splitlines()
        return _pre(tests, set(), "gone") + _pre(ours, set(), "new")
    truth = (folder / row["truth"]).read_text("utf-8").splitlines()
    matcher = difflib.SequenceMatcher(None, truth, ours, autojunk=False)
    gone, new = set(), set()
    for tag, a0, a1, b0, b1 in matcher.get_opcodes():
        if tag != "equal":
            gone |= set(range(a0, a1))
            new |= set(range(b0, b1))
    return _pre(truth, gone, "gone") + _pre(ours, new, "new")


def _pre(lines: list[str], marked: set[int], mark: str) -> str:
    shown = (
        f"<span class={mark}>{html.escape(line)}</span>" if n in marked else html.escape(line)
        for n, line in enumerate(lines)
    )
    return "<pre>" + "\n".join(shown) + "</pre>"
