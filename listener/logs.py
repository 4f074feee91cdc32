"""Logs for machines (one JSON object a line) or for people, on standard error. Hostile text stays on its line."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal

# Libraries that report each request: ours say what matters.
CHATTY = ("httpx", "httpcore", "apscheduler", "alembic", "slack_sdk", "apprise", "uvicorn")


class JsonLines(logging.Formatter):
    """``{"at", "level", "logger", "message", "error"?}``, JSON-escaped: no text can begin a line of its own."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class PlainLines(logging.Formatter):
    """``12:30:01 warning source forum: ...``; control characters in it are shown escaped."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        message = record.getMessage()
        message = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message)
        line = f"{at} {record.levelname.lower()} {message}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def set_up(style: Literal["json", "text"], level: str = "info") -> None:
    """Send everything at or above the level to standard error, in one style."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if style == "json" else PlainLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
