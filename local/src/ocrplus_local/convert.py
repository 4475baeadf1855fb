"""`ocrplus convert`: documents in, Markdown and figures out, with progress per page."""

import json
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import quote

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ocrplus_contract.lines import with_pictures
from ocrplus_local.client import Client, ServiceError, TaskView

EXIT_OK: Final = 0
EXIT_DOCUMENT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_PAGES_FAILED: Final = 3

_POLL_SECONDS: Final = 0.15
_AT_ONCE: Final = 4


@dataclass
class Conversion:
    """One document on its way."""

    source: Path
    stem: str
    task: str = field(default_factory=lambda: uuid.uuid4().hex)
    view: TaskView | None = None
    error: ServiceError | None = None
    written: Path | None = None


class Display(Protocol):
    """Where progress is shown."""

    def changed(self, conversion: Conversion) -> None:
        """A document moved on."""
        ...

    def ended(self, conversion: Conversion) -> None:
        """A document is written, or has failed."""
        ...


def distinct_stems(sources: Sequence[Path]) -> list[str]:
    """Output names of the sources: their stems, numbered where two are the same."""
    taken: set[str] = set()
    stems = []
    for source in sources:
        stem, number = source.stem, 2
        while stem.lower() in taken:  # some file systems do not tell A from a
            stem, number = f"{source.stem}-{number}", number + 1
        taken.add(stem.lower())
        stems.append(stem)
    return stems


def relink(markdown: str, stem: str) -> tuple[str, list[str]]:
    """Point figure links at the folder beside the file; the text and the figures' names."""
    names: list[str] = []

    def point(picture: str, figure: str) -> str:
        names.append(f"{figure}.png")
        return picture.replace("](figures/", f"]({quote(stem)}_figures/")

    return with_pictures(markdown, point), list(dict.fromkeys(names))


def convert(
    client: Client,
    sources: Sequence[Path],
    out: Path,
    options: dict[str, str],
    display: Display,
    *,
    check: Callable[[], None] = lambda: None,
) -> int:
    """Convert documents, a few at a time; the exit code. `check` raises when the service died."""
    out.mkdir(parents=True, exist_ok=True)
    waiting = [
        Conversion(source, stem)
        for source, stem in zip(sources, distinct_stems(sources), strict=True)
    ]
    everything, running = list(waiting), list[Conversion]()
    try:
        while waiting or running:
            check()
            while waiting and len(running) < _AT_ONCE:
                running.append(_submit(client, waiting.pop(0), options, display))
            for conversion in list(running):
                if _advance(client, conversion, out, display):
                    running.remove(conversion)
            if running:
                time.sleep(_POLL_SECONDS)
    finally:
        for conversion in running:  # interrupted: the service need not go on
            client.forget(conversion.task)
    return exit_code(everything)


def exit_code(conversions: Sequence[Conversion]) -> int:
    """0 all converted, 1 a document failed, 3 some pages failed."""
    if any(conversion.written is None for conversion in conversions):
        return EXIT_DOCUMENT_FAILED
    if any(conversion.view and conversion.view.failed_pages for conversion in conversions):
        return EXIT_PAGES_FAILED
    return EXIT_OK


def _submit(
    client: Client, conversion: Conversion, options: dict[str, str], display: Display
) -> Conversion:
    try:
        conversion.view = client.submit(conversion.source, conversion.task, options)
    except ServiceError as error:
        conversion.error = error
    display.changed(conversion)
    return conversion


def _advance(client: Client, conversion: Conversion, out: Path, display: Display) -> bool:
    """Look after one document; True when it has ended."""
    try:
        if conversion.error is None and not _look(client, conversion, out, display):
            return False
    except ServiceError as error:  # this document's trouble is not the others'
        conversion.error = error
    display.ended(conversion)
    return True


def _look(client: Client, conversion: Conversion, out: Path, display: Display) -> bool:
    view = client.view(conversion.task)
    if view != conversion.view:
        conversion.view = view
        display.changed(conversion)
    if not view.ended:
        return False
    if view.status in ("ok", "partial"):
        conversion.written = _write(client, conversion, out)
    else:
        error = view.error or {"code": view.status, "message": "The task did not finish."}
        conversion.error = ServiceError(str(error["code"]), str(error["message"]))
    client.forget(conversion.task)
    return True


def _write(client: Client, conversion: Conversion, out: Path) -> Path:
    markdown, figures = relink(client.markdown(conversion.task), conversion.stem)
    folder = out / f"{conversion.stem}_figures"
    for name in figures:
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(client.figure(conversion.task, name))
    path = out / f"{conversion.stem}.md"
    path.write_text(markdown, "utf-8")
    return path


def _summary(conversion: Conversion) -> str:
    if conversion.error is not None:
        return (
            f"{conversion.source.name}: failed, {conversion.error.code}: {conversion.error.message}"
        )
    view = conversion.view
    assert view is not None
    pages = f"{view.pages_total} page{'' if view.pages_total == 1 else 's'}"
    failed = ", ".join(map(str, view.failed_pages))
    note = f" (failed pages: {failed})" if failed else ""
    return f"{conversion.source.name}: {pages} -> {conversion.written}{note}"


class JsonLines:
    """One JSON object a line on stdout, for programs."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def changed(self, conversion: Conversion) -> None:
        self._line("progress", conversion)

    def ended(self, conversion: Conversion) -> None:
        self._line("done", conversion)

    def _line(self, event: str, conversion: Conversion) -> None:
        view, error = conversion.view, conversion.error
        line: dict[str, Any] = {"event": event, "file": str(conversion.source)}
        if view is not None:
            line.update(
                status=view.status, pages_done=view.pages_done, pages_total=view.pages_total
            )
            line["failed_pages"] = list(view.failed_pages)
        if conversion.written is not None:
            line["markdown"] = str(conversion.written)
        if error is not None:
            line["error"] = {"code": error.code, "message": error.message}
        self._write(json.dumps(line, ensure_ascii=False))


class PlainLines:
    """One line a step, where there is no terminal."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._said: dict[str, int] = {}

    def changed(self, conversion: Conversion) -> None:
        view = conversion.view
        if view is not None and view.pages_done > self._said.get(conversion.task, 0):
            self._said[conversion.task] = view.pages_done
            self._write(f"{conversion.source.name}: page {view.pages_done} of {view.pages_total}")

    def ended(self, conversion: Conversion) -> None:
        self._write(_summary(conversion))


class Bars:
    """A bar a document, on a terminal."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._bars: dict[str, Any] = {}  # rich's TaskID

    def changed(self, conversion: Conversion) -> None:
        view = conversion.view
        if view is None:
            return
        if conversion.task not in self._bars:
            self._bars[conversion.task] = self._progress.add_task(
                conversion.source.name, total=view.pages_total
            )
        self._progress.update(
            self._bars[conversion.task], completed=view.pages_done, total=view.pages_total
        )

    def ended(self, conversion: Conversion) -> None:
        if conversion.task in self._bars:
            self._progress.remove_task(self._bars[conversion.task])
        self._progress.console.print(_summary(conversion), markup=False, highlight=False)


@contextmanager
def display(as_json: bool, console: Console) -> Iterator[Display]:
    """Choose how to show progress: JSON lines, bars on a terminal, plain lines elsewhere."""

    def write(line: str) -> None:
        print(line, flush=True)

    if as_json:
        yield JsonLines(write)
    elif not console.is_terminal:
        yield PlainLines(write)
    else:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("pages"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=console) as progress:
            yield Bars(progress)
