"""Selectors that users write: ``CSS``, ``CSS@attribute``, or ``@attribute`` of the element at hand."""

from __future__ import annotations

import re
from typing import Annotated

import soupsieve
from bs4 import Tag
from pydantic import AfterValidator

from connectors._text import clean

_NAME = re.compile(r"[A-Za-z_:][\w:.-]*")


def _split(selector: str) -> tuple[str, str]:
    """CSS and attribute, either of which may be empty; an @ inside a quoted value belongs to the CSS."""
    css, at, attribute = selector.rpartition("@")
    return (css.strip(), attribute) if at and _NAME.fullmatch(attribute) else (selector.strip(), "")


def _check_pick(selector: str) -> str:
    try:
        soupsieve.compile(_split(selector)[0] or "*")
    except soupsieve.SelectorSyntaxError as error:
        raise ValueError(f"is not a CSS selector: {str(error).splitlines()[0]}") from error
    return selector.strip()


def _check_css(selector: str) -> str:
    css, attribute = _split(selector)
    if attribute or not css:
        raise ValueError("needs a CSS selector, without @attribute")
    return _check_pick(css)


Css = Annotated[str, AfterValidator(_check_css)]
Pick = Annotated[str, AfterValidator(_check_pick)]


def find(node: Tag, selector: str) -> Tag | None:
    """The first element inside ``node`` that the selector names; ``node`` itself for ``@attribute`` alone."""
    css, _ = _split(selector)
    return node.select_one(css) if css else node


def pick(node: Tag, selector: str) -> str | None:
    """The attribute's value, or the element's text without an ``@attribute``; None if there is none."""
    element = find(node, selector)
    if element is None:
        return None
    _, name = _split(selector)
    return attribute(element, name) if name else clean(element.get_text(" "))


def attribute(element: Tag, name: str) -> str | None:
    value = element.get(name)
    return " ".join(value) if isinstance(value, list) else value
