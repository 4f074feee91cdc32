"""Every file of public feed corpora through the connector, against what feedparser and fastfeedparser find in it.

They are over 1,400 real and ill-formed feeds. What the two parsers find is recorded in ``expected.jsonl``; for the
test files of feedparser and gofeed, which it leaves out, feedparser is run here.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import re
from collections import Counter
from datetime import timedelta
from email.message import Message
from pathlib import Path
from typing import Any

import feedparser
import pytest

from connectors import _feed
from connectors._text import parse_time, plain
from connectors.rss import parse
from listener.errors import ParseError
from listener.model import Mention, Page

CORPUS = Path(__file__).resolve().parents[2] / "shared" / "data" / "feeds"
FOLDERS = sorted(p.name for p in CORPUS.iterdir() if p.is_dir()) if CORPUS.is_dir() else []
URL = "https://feeds.example/blog/feed"

pytestmark = pytest.mark.skipif(not FOLDERS, reason="the feed corpora are not beside the checkout")

# Files of which the reference has more entries than we, and why.
LESS = {
    "fastfeedparser/integration/osm-pl.xml": "cut off within the last entry, of which the reference keeps the half",
}

_SECOND = timedelta(seconds=1)  # the reference drops fractions
# Files that feedparser reads otherwise than fastfeedparser, and how.
FAST_ONLY = {
    "malformed_rss_namespaced.xml": "finds no entries",
    "7ef13a42fa7e177a.xml": "finds no entries",
    "xhtml-title.xml": "shows tags within the title",
}

_HEADER = re.compile(rb"^\s*Header:\s*([\w-]+):\s*(.*?)\s*$", re.MULTILINE)


def _files(folder: str) -> list[Path]:
    return [f for f in sorted((CORPUS / folder).rglob("*")) if f.is_file() and not _is_expectation(f)]


def _is_expectation(file: Path) -> bool:
    if file.suffix == ".txt" or file.name.endswith(".expected.json") or "output" in file.parts:
        return True
    beside = (file.with_suffix(s) for s in (".xml", ".rss", ".atom"))
    return file.suffix == ".json" and any(other.is_file() for other in beside)


def _headers(body: bytes) -> Message:
    headers = Message()
    for name, value in _HEADER.findall(body[:2000]):
        headers[name.decode()] = value.decode("latin-1")
    return headers


def _read(body: bytes) -> Page:
    headers = _headers(body)
    url = headers.get("content-location") or URL
    return parse(body, charset=headers.get_content_charset(), url=url, platform="example")


@functools.cache
def _recorded() -> dict[str, Any]:
    rows = map(json.loads, (CORPUS / "expected.jsonl").read_text().splitlines())
    return {row["file"]: row for row in rows}


def _reference(name: str, body: bytes) -> tuple[int, list[dict[str, Any]]]:
    """How many entries the reference finds, and what it tells of them."""
    if row := _recorded().get(name):
        return max(row["n_entries"] or 0, row["fastfeedparser_n"] or 0), row["entries"]
    found = feedparser.parse(io.BytesIO(body), response_headers=dict(_headers(body)))
    return len(found.entries), [dict(entry) for entry in found.entries]


@functools.cache
def _run(folder: str) -> tuple[Counter[str], list[str]]:
    count: Counter[str] = Counter()
    less = []
    for file in _files(folder):
        name, body = file.relative_to(CORPUS).as_posix(), file.read_bytes()
        expected, entries = _reference(name, body)
        try:
            page = _read(body)
        except ParseError as error:
            count["no feed"] += 1
            mentions, repeated = [], 0
            if expected:
                less.append(f"{name}: {error}, reference {expected}")
        else:
            mentions = list(page.mentions)
            repeated = sum(int(s.what.split()[0]) for s in page.skipped if "repeat" in s.why)
            assert len({m.external_id for m in mentions}) == len(mentions), name
            if len(mentions) + repeated < expected and name not in LESS:
                less.append(f"{name}: {len(mentions)} + {repeated} repeated, reference {expected}")
        count["files"] += 1
        count["reference"] += expected
        count["entries"] += len(mentions) + repeated
        if len(entries) == len(mentions):
            for mention, entry in zip(mentions, entries, strict=True):
                count.update(_compared(mention, entry))
    return count, less


def _compared(mention: Mention, entry: dict[str, Any]) -> Counter[str]:
    """How many of the fields that the reference tells are the same."""
    author = mention.author.name if mention.author else ""
    date = parse_time(entry.get("published")) or parse_time(entry.get("updated"))
    link, theirs = entry.get("link") or "", entry.get("author") or ""
    same = {
        "titles": bool(title := _line(entry.get("title") or "")) and mention.title == title,
        "links": link.startswith("http") and mention.url == re.sub(r"\s", "%20", link),
        "dates": date is not None
        and mention.published is not None
        and abs(mention.published - date) < _SECOND,
        "authors": bool(theirs) and author in theirs,
    }
    told = {
        "titles": bool(title),
        "links": link.startswith("http"),
        "dates": bool(date),
        "authors": bool(theirs),
    }
    count = Counter(key for key, is_told in told.items() if is_told)
    count.update(f"{key} equal" for key, is_same in same.items() if is_same)
    return count


def _line(html: str) -> str:
    return " ".join(plain(html).split())


@pytest.mark.timeout(60)
@pytest.mark.parametrize("folder", FOLDERS)
def test_no_file_crashes_hangs_or_loses_an_entry(folder: str) -> None:
    _, less = _run(folder)
    assert not less


@pytest.mark.timeout(60)
@pytest.mark.parametrize("folder", FOLDERS)
def test_only_errors_of_its_own_whatever_the_file_and_without_the_headers(folder: str) -> None:
    for file in (CORPUS / folder).rglob("*.*"):
        with contextlib.suppress(ParseError):
            parse(file.read_bytes(), charset=None, url=URL, platform="example")


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_parser_that_read_a_feed_does_not_show_in_its_ids(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if folder in ("feedparser", "gofeed"):
        pytest.skip(
            "oddities made for parsers, for example two links in an entry, that they are free to read as they like"
        )
    before = {file: _ids(file) for file in _files(folder)}
    monkeypatch.setattr(_feed, "_read_fast", lambda body: None)
    for file, ids in before.items():
        if file.name not in FAST_ONLY:
            assert _ids(file) == ids, file


def _ids(file: Path) -> list[str]:
    try:
        return [mention.external_id for mention in _read(file.read_bytes()).mentions]
    except ParseError:
        return []


def test_the_whole_corpus_in_numbers(record_property: Any) -> None:
    total: Counter[str] = Counter()
    for folder in FOLDERS:
        total += _run(folder)[0]
    record_property("feed corpus", dict(total))
    print(
        f"\nfeed corpus: {total['files']:,} files, {total['entries']:,} entries (reference {total['reference']:,}), "
        f"{total['no feed']} files that are no feed, {len(LESS)} exception; as the reference: "
        + ", ".join(
            f"{total[f'{k} equal']:,} of {total[k]:,} {k}" for k in ("titles", "links", "dates", "authors")
        )
    )
    assert total["files"] > 1_400
    for key in ("titles", "links", "dates", "authors"):
        assert total[f"{key} equal"] >= 0.99 * total[key], key
