"""What processes wrote, as log lines; anything else is shown."""

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import child

FIRST: Final = ["time", "level", "component", "logger", "message"]


@dataclass
class Logs:
    """Files that processes write their stdout and stderr to."""

    folder: Path
    files: list[Path] = field(default_factory=list)

    def file(self, name: str) -> Path:
        """A file for a process's stderr."""
        path = self.folder / f"{name}.log"
        self.files.append(path)
        return path

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join(file.read_text("utf-8", "replace") for file in self.files)

    @property
    def strays(self) -> list[str]:
        """Lines that are no log lines."""
        return [line for line in self.text.splitlines() if line and _parsed(line) is None]

    @property
    def lines(self) -> list[dict[str, Any]]:
        """All log lines, file by file."""
        parsed = (_parsed(line) for line in self.text.splitlines() if line)
        return [line for line in parsed if line is not None]

    def said(self, message: str) -> list[dict[str, Any]]:
        """The lines with a message."""
        return [line for line in self.lines if line["message"] == message]


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) and list(found)[:5] == FIRST else None


@contextmanager
def started(
    logs: Logs, name: str, command: Sequence[str], env: Mapping[str, str], **options: Any
) -> Iterator["subprocess.Popen[str]"]:
    """A process whose stdout and stderr are kept whole; SIGTERM ends it."""
    out = logs.file(f"{name}.out")
    with (
        logs.file(name).open("w") as stderr,
        child.running(command, env={**os.environ, **env}, stderr=stderr, **options) as process,
    ):
        copying = threading.Thread(target=_copy, args=(process, out), daemon=True)
        copying.start()
        yield process
    copying.join(10)


def ready(logs: Logs, name: str, seconds: float = 60) -> dict[str, Any]:
    """What a process said of itself once it was ready."""
    out = logs.folder / f"{name}.out.log"
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for line in out.read_text().splitlines() if out.exists() else ():
            said: dict[str, Any] = json.loads(line)
            if "ready" in said:
                return said
        time.sleep(0.05)
    raise TimeoutError(f"{name} was not ready")


def _copy(process: "subprocess.Popen[str]", out: Path) -> None:
    assert process.stdout is not None
    with out.open("w") as file, suppress(ValueError):  # closed with the process
        for line in process.stdout:
            file.write(line)
            file.flush()
