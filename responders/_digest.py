"""A digest as plain text, for responders without markup of their own. Pure; not a responder itself."""

from __future__ import annotations

from listener.model import DigestView
from responders._text import line


def paragraphs(digest: DigestView) -> list[tuple[str, list[str]]]:
    """Each part's title and lines, without what could steer a terminal or turn the reading direction."""
    return [
        (
            line(part.title, 100),
            [line(f"{each.label} · {each.text}" if each.label else each.text, 250) for each in part.lines],
        )
        for part in digest.parts
    ]
