"""The corpus set a benchmark runs on: names, files, pages, kinds."""

import json
from dataclasses import dataclass
from pathlib import Path

DEFAULT = Path(__file__).parents[1].parent / "shared" / "corpus" / "dev"


@dataclass(frozen=True)
class Document:
    """One document of a set; `scanned` when its pages have no text layer."""

    name: str
    path: Path
    pages: int
    scanned: bool


def documents(folder: Path) -> list[Document]:
    """The quality documents of a set, in the manifest's order."""
    rows = json.loads((folder / "manifest.json").read_text())
    return [
        Document(
            name=row["name"],
            path=folder / row["file"],
            pages=row["pages"],
            scanned=bool(row["image_only"]),
        )
        for row in rows
        if row["part"] == "quality"
    ]
