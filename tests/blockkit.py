"""Does Slack accept this message? A validator of Block Kit, driven by data/slack-blockkit/limits.json."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LIMITS: dict[str, Any] = json.loads(
    (Path(__file__).parent / "data" / "slack-blockkit" / "limits.json").read_text(encoding="utf-8")
)
BLOCKS_PER_MESSAGE = 50
CHARACTERS_OF_ALL_BLOCKS = 13_200
CHARACTERS_OF_TEXT = 40_000
TEXT_TYPES = {"mrkdwn": {"type", "text", "verbatim"}, "plain_text": {"type", "text", "emoji"}}
RICH_LEAVES = {"text", "emoji", "user", "usergroup", "link", "date", "channel"}


def problems(blocks: object, text: str) -> list[str]:
    """What Slack would refuse, one line each with its place; empty when it is fine."""
    found = [] if text.strip() else ["text: empty"]
    if len(text) > CHARACTERS_OF_TEXT:
        found.append("text: too long")
    if not isinstance(blocks, list):
        return [*found, "blocks: not a list"]
    if not 1 <= len(blocks) <= BLOCKS_PER_MESSAGE:
        found.append(f"blocks: {len(blocks)} of them")
    if (total := sum(map(len, _strings(blocks)))) > CHARACTERS_OF_ALL_BLOCKS:
        found.append(f"blocks: {total} characters in all")
    ids = [e["action_id"] for b in blocks for e in b.get("elements", []) if "action_id" in e]
    if len(ids) != len(set(ids)):
        found.append("blocks: an action_id twice")
    for number, block in enumerate(blocks):
        found += [f"blocks/{number}/{problem}" for problem in _block(block)]
    return found


def _block(block: dict[str, Any]) -> Iterator[str]:
    yield from _length("block_id", block.get("block_id", ""), LIMITS["block_id"])
    match block.get("type"):
        case "section":
            if "text" not in block and "fields" not in block:
                yield "section: neither text nor fields"
            if "text" in block:
                yield from _text("text", block["text"], LIMITS["section"]["text"])
            fields = block.get("fields", [])
            yield from _count("fields", fields, LIMITS["section"]["fields"])
            for field in fields:
                yield from _text(
                    "field", field, {"max_length": LIMITS["section"]["fields"]["item_max_length"]}
                )
        case "context":
            yield from _count("elements", block["elements"], {"min_items": 1} | LIMITS["context"]["elements"])
            for element in block["elements"]:
                yield from _text("element", element, LIMITS["text"])
        case "actions":
            yield from _count("elements", block["elements"], {"min_items": 1} | LIMITS["actions"]["elements"])
            for element in block["elements"]:
                yield from _button(element)
        case "header":
            yield from _text("text", block["text"], LIMITS["header"]["text"], only="plain_text")
        case "rich_text":
            yield from _count("elements", block["elements"], {"min_items": 1})
            for element in block["elements"]:
                yield from _rich(element)
        case "divider":
            pass
        case other:
            yield f"type {other!r} is not one that this validator knows"


def _button(button: dict[str, Any]) -> Iterator[str]:
    if button.get("type") != "button":
        yield f"{button.get('type')!r} in actions"
        return
    limits = LIMITS["button"]
    yield from _text("text", button["text"], limits["text"], only="plain_text")
    for name in ("url", "value", "accessibility_label"):
        yield from _length(name, button.get(name, ""), limits[name])
    yield from _length("action_id", button.get("action_id", ""), LIMITS["action_id"])
    if "url" in button and not button["url"].startswith(("http://", "https://")):
        yield "button: url is not http(s)"


def _rich(element: dict[str, Any]) -> Iterator[str]:
    if element.get("type") not in ("rich_text_section", "rich_text_quote", "rich_text_preformatted"):
        yield f"{element.get('type')!r} in rich_text"
    yield from _count("elements", element["elements"], {"min_items": 1})
    for leaf in element["elements"]:
        if leaf.get("type") not in RICH_LEAVES:
            yield f"{leaf.get('type')!r} in {element.get('type')}"
        if leaf.get("type") == "text":
            yield from _length("rich text", leaf["text"], LIMITS["text"])


def _text(place: str, text: dict[str, Any], limit: dict[str, int], only: str | None = None) -> Iterator[str]:
    allowed = TEXT_TYPES.get(text.get("type", ""))
    if allowed is None or (only and text["type"] != only) or set(text) - allowed:
        yield f"{place}: {text} is not a text object"
        return
    yield from _length(place, text["text"], {"min_length": LIMITS["text"]["min_length"]} | limit)


def _length(place: str, value: str, limit: dict[str, int]) -> Iterator[str]:
    if not limit.get("min_length", 0) <= len(value) <= limit["max_length"]:
        yield f"{place}: {len(value)} characters"


def _count(place: str, items: list[Any], limit: dict[str, int]) -> Iterator[str]:
    if not limit.get("min_items", 0) <= len(items) <= limit.get("max_items", len(items)):
        yield f"{place}: {len(items)} of them"


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
