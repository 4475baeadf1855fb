"""The corpus set a benchmark runs on: names, files, pages, kinds."""

import json
from dataclasses import dataclass
from pathlib import Path

DEFAULT = Path(__file__).parents[1].parent / "shared" / "corpus" / "dev"


@dataclass(frozen=True)
class Document:
    """One document of a set; `kind` is scanned, born_digital, or mixed (pages of both)."""

    name: str
    path: Path
    pages: int
    kind: str


def documents(folder: Path) -> list[Document]:
    """The quality documents of a set, in the manifest's order."""
    rows = json.loads((folder / "manifest.json").read_text())
    return [
        Document(
            name=row["name"],
            path=folder / row["file"],
            pages=row["pages"],
            kind=_kind(row["text_layer_pages"], row["pages"]),
        )
        for row in rows
        if row["part"] == "quality"
    ]


def _kind(text_layer_pages: int, pages: int) -> str:
    if text_layer_pages == pages:
        return "born_digital"
    return "mixed" if text_layer_pages else "scanned"
