"""Mentions made fit to be read: no markup, no invisible characters, a length with a limit."""

from __future__ import annotations

import html
import re
import unicodedata

# A rant's complaint stands at its start or its end. What lies between is left out, so that no text takes long.
_HEAD, _TAIL = 4_000, 2_000

_TAG = re.compile(r"<[/!]?[a-zA-Z][^<>]{0,500}>")
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]"
)
_SKIN_TONE = re.compile("[\U0001f3fb-\U0001f3ff]")
_URL = re.compile(r"(?:https?://|www\.)\S+")


def plain(text: str) -> str:
    """``text`` with HTML left-overs, URLs, control and invisible characters taken out and white space made single.

    Of more than 6,000 characters the first 4,000 and the last 2,000 are kept. Lone surrogates become "?".
    """
    if len(text) > _HEAD + _TAIL:
        text = f"{text[:_HEAD]} {text[-_TAIL:]}"
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()
    if "&" in text:
        text = html.unescape(text)
    if "<" in text:
        text = _TAG.sub(" ", text)
    if not text.isascii():
        text = _INVISIBLE.sub("", text).replace("’", "'").replace("‘", "'")
    if "://" in text or "www." in text:
        text = _URL.sub(" ", text)
    text = " ".join(text.split())  # first, for line breaks are the usual unprintable characters
    if not text.isprintable():
        text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return text


def folded(plain_text: str) -> str:
    """The same in one spelling for looking up words: lower case, compatibility forms unified, no skin tones."""
    if plain_text.isascii():
        return plain_text.lower()
    text = unicodedata.normalize("NFKC", _SKIN_TONE.sub("", plain_text)).casefold()
    return text.replace("’", "'")
