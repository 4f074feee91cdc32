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
    ids = [e["action_id"] for b in blocks for e in _elements(b) if "action_id" in e]
    if len(ids) != len(set(ids)):
        found.append("blocks: an action_id twice")
    return found + _blocks(blocks)


def view_problems(view: dict[str, Any]) -> list[str]:
    """What Slack would refuse of a modal or a home tab."""
    limits, modal = LIMITS["view"], view.get("type") == "modal"
    found = [] if view.get("type") in ("modal", "home") else [f"type {view.get('type')!r}"]
    blocks = view.get("blocks", [])
    found += _count("blocks", blocks, limits["blocks"])
    for name in ("title", "submit", "close"):
        if name in view:
            found += _text(name, view[name], limits[name], only="plain_text")
    if modal and "title" not in view:
        found.append("title: missing")
    has_input = any(b.get("type") == "input" for b in blocks)
    if modal and has_input and "submit" not in view:
        found.append("submit: missing, but there is something to fill in")
    for name in ("private_metadata", "callback_id"):
        found += _length(name, view.get(name, ""), limits[name])
    return found + _blocks(blocks)


def _blocks(blocks: list[dict[str, Any]]) -> list[str]:
    found = []
    for block in blocks:
        ids = [e["action_id"] for e in _elements(block) if "action_id" in e]
        if len(ids) != len(set(ids)):  # a list in a home tab has the same button in each of its rows
            found.append("blocks: an action_id twice")
    block_ids = [b["block_id"] for b in blocks if "block_id" in b]
    if len(block_ids) != len(set(block_ids)):
        found.append("blocks: a block_id twice")
    for number, block in enumerate(blocks):
        found += [f"blocks/{number}/{problem}" for problem in _block(block)]
    return found


def _elements(block: dict[str, Any]) -> list[dict[str, Any]]:
    return [*block.get("elements", []), *(block[k] for k in ("accessory", "element") if k in block)]


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
            if "accessory" in block:
                yield from _element(block["accessory"])
        case "context":
            yield from _count("elements", block["elements"], {"min_items": 1} | LIMITS["context"]["elements"])
            for element in block["elements"]:
                if element.get("type") == "image":
                    yield from _image(element)
                else:
                    yield from _text("element", element, LIMITS["text"])
        case "actions":
            yield from _count("elements", block["elements"], {"min_items": 1} | LIMITS["actions"]["elements"])
            for element in block["elements"]:
                yield from _element(element)
        case "input":
            yield from _text("label", block["label"], LIMITS["input"]["label"], only="plain_text")
            if "hint" in block:
                yield from _text("hint", block["hint"], LIMITS["input"]["hint"], only="plain_text")
            yield from _element(block["element"])
        case "image":
            yield from _image(block)
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


def _image(image: dict[str, Any]) -> Iterator[str]:
    if "slack_file" not in image:
        yield from _length(
            "image_url", image.get("image_url", ""), {"min_length": 1} | LIMITS["image"]["image_url"]
        )
    yield from _length("alt_text", image.get("alt_text", ""), {"min_length": 1} | LIMITS["image"]["alt_text"])


def _element(element: dict[str, Any]) -> Iterator[str]:
    """Something to click, to choose from or to fill in."""
    kind = element.get("type", "")
    yield from _length("action_id", element.get("action_id", ""), {"min_length": 1} | LIMITS["action_id"])
    if "confirm" in element:
        for name in ("title", "text", "confirm", "deny"):
            yield from _text(name, element["confirm"][name], LIMITS["confirmation"][name])
    if "placeholder" in element:
        yield from _text(
            "placeholder", element["placeholder"], LIMITS["select"]["placeholder"], only="plain_text"
        )
    match kind:
        case "button":
            yield from _button(element)
        case "static_select" | "multi_static_select" | "overflow" | "radio_buttons" | "checkboxes":
            limits = LIMITS["select" if "select" in kind else kind]["options"]
            options = element.get("options", [])
            groups = element.get("option_groups", [])
            yield from _count("option_groups", groups, LIMITS["select"]["option_groups"])
            if not groups:
                yield from _count("options", options, {"min_items": 1} | limits)
            for group in groups:
                yield from _text("label", group["label"], LIMITS["option_group"]["label"], only="plain_text")
                yield from _count("options", group["options"], LIMITS["option_group"]["options"])
                options = [*options, *group["options"]]
            for option in options:
                yield from _text("option", option["text"], LIMITS["option"]["text"])
                yield from _length("value", option["value"], {"min_length": 1} | LIMITS["option"]["value"])
                if "description" in option:
                    yield from _text("description", option["description"], LIMITS["option"]["description"])
            initial = (
                [element["initial_option"]]
                if "initial_option" in element
                else element.get("initial_options", [])
            )
            if any(option not in options for option in initial):
                yield "initial_option is none of the options"
        case "users_select" | "url_text_input" | "email_text_input" | "number_input":
            pass
        case "plain_text_input":
            most = element.get("max_length", LIMITS["plain_text_input"]["max_length"]["max"])
            if not 1 <= most <= LIMITS["plain_text_input"]["max_length"]["max"]:
                yield f"max_length {most}"
            yield from _length("initial_value", element.get("initial_value", ""), {"max_length": most})
        case _:
            yield f"{kind!r} is not an element that this validator knows"


def _button(button: dict[str, Any]) -> Iterator[str]:
    limits = LIMITS["button"]
    yield from _text("text", button["text"], limits["text"], only="plain_text")
    for name in ("url", "value", "accessibility_label"):
        yield from _length(name, button.get(name, ""), limits[name])
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
