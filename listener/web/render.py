"""Templates and static files. Everything is escaped; nothing is ever marked as safe."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from typing import Any
from urllib.parse import quote, urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import Response

from listener.web import words

_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Static:
    body: bytes
    media_type: str


class Renderer:
    """Turns templates into pages and keeps the static files, each under a name with its content's hash."""

    def __init__(self) -> None:
        self.static: dict[str, Static] = {}
        self._names: dict[str, str] = {}
        for file in (resources.files("listener.web") / "static").iterdir():
            stem, dot, suffix = file.name.rpartition(".")
            media_type = _TYPES.get(dot + suffix)
            if media_type is None:
                continue
            body = file.read_bytes()
            name = f"{stem}-{hashlib.sha256(body).hexdigest()[:12]}.{suffix}"
            self._names[file.name] = name
            self.static[name] = Static(body, media_type)
        env = Environment(
            loader=PackageLoader("listener.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        env.globals |= {"static": self.static_url, "words": words}
        env.filters |= {
            "span": words.span,
            "hands": words.hands,
            "level": words.level,
            "iso": _iso,
            "utc": _utc,
            "clip": _clip,
            "link": web_link,
            "q": _q,
        }
        self._env = env

    def static_url(self, name: str) -> str:
        return f"/static/{self._names[name]}"

    def text(self, template: str, values: dict[str, Any]) -> str:
        return self._env.get_template(template).render(values)

    def error(self, status: int, title: str, message: str) -> Response:
        """A page that needs no session and no database."""
        body = self.text("error.html", {"status": status, "title": title, "message": message})
        return Response(body.encode("utf-8", "replace"), status, media_type="text/html")


def web_link(url: str | None) -> str | None:
    """The URL when it is safe to link to: absolute http or https. Others (javascript:, data:) are no links."""
    if not url:
        return None
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return None
    return url.strip() if parts.scheme in ("http", "https") and parts.netloc else None


def _iso(value: datetime) -> str:
    return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _utc(value: datetime) -> str:
    return value.strftime("%Y-%m-%d %H:%M UTC")


def _clip(text: str, length: int) -> str:
    flat = " ".join(text[: length * 2].split())
    return flat if len(flat) <= length and len(text) <= length * 2 else flat[: length - 1].rstrip() + "…"


def _q(text: str) -> str:
    return quote(str(text), safe="")
