"""One JSON object a line on stderr, with the fields that the services' logs have."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final

_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}
_INTERNAL: Final = frozenset({"k8s_skip", "k8s_ref", "settings", "taskName"})  # kopf's own fields


class JsonFormatter(logging.Formatter):
    """Renders a record and the fields of its `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "component": "operator",
            "logger": record.name,
            "message": record.getMessage(),
        }
        hidden = _STANDARD | _INTERNAL
        line.update((k, v) for k, v in record.__dict__.items() if k not in hidden)
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def configure(level: str) -> None:
    """Send every logger of the process to stderr as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # kopf tells of each event that it passes on; its warnings matter.
    logging.getLogger("kopf").setLevel(max(logging.WARNING, root.level))
