"""The demo's sample town, asked over HTTP as a reader would; the instants are passed in."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from itertools import pairwise
from xml.etree import ElementTree as ET

import httpx
import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st

from listener.config import parse
from listener.errors import NotModified
from listener.fetch import Fetcher, FetchSettings, SourceMemory
from listener.model import Mention
from listener.ports import Connector
from listener.town import DEMO, Post, QuickClock, Script, Town

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
DAY = timedelta(days=1)
SCRIPT = Script.load()
DC = "{http://purl.org/dc/elements/1.1/}"


@dataclass
class Visit:
    """A town, somebody who reads there, and the hands of its clock."""

    town: Town
    http: httpx.Client
    now: datetime

    def at(self, minutes: float) -> None:
        self.now = START + timedelta(minutes=minutes)

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.http.get(self.town.url + path, headers=headers)

    def page(self, path: str) -> BeautifulSoup:
        response = self.get(path)
        assert response.status_code == 200, path
        return BeautifulSoup(response.text, "lxml")


@pytest.fixture
def visit() -> Iterator[Visit]:
    with httpx.Client() as http:
        town = Town(SCRIPT, lambda: reader.now, start=START)
        reader = Visit(town, http, START)
        with town:
            yield reader


def standing(minutes: float, place: str) -> list[Post]:
    return [p for p in SCRIPT.posts(START, START + timedelta(minutes=minutes)) if p.place == place]


# ---- the script ------------------------------------------------------------------------------------------


def test_the_script_is_rich_enough_for_a_demo() -> None:
    lines = [line for line in SCRIPT.post if line.at >= 0]
    assert len(lines) >= 120
    assert {line.lang for line in lines} == {"en", "de", "nb", "nn", "ms"}
    reasons = Counter(line.complaint for line in lines)
    assert {"delivery", "quality", "price", "billing", "service", "usability", "outage"} <= reasons.keys()
    assert 0.35 < sum(line.complaint is not None for line in lines) / len(lines) < 0.6
    first_hour = [line for line in lines if line.at < 60]
    assert len(first_hour) == 12
    assert sum(line.complaint is not None for line in first_hour) >= 6
    gaps = [b.at - a.at for a, b in pairwise(lines)]
    assert max(gaps) <= 15  # something happens all the time


def test_somebody_is_let_down_three_times_and_somebody_says_thanks() -> None:
    complaints = Counter(line.author for line in SCRIPT.post if line.complaint and line.place == "reviews")
    assert complaints["Gerd Wieland"] == 3
    parcel = [line for line in SCRIPT.post if line.thread == "parcel-lost"]
    assert [bool(line.complaint) for line in parcel] == [True, False, False]
    assert [line.author for line in parcel] == ["Marthe Kvam", SCRIPT.town.staff, "Marthe Kvam"]


def test_it_starts_anew_with_other_ids_and_people() -> None:
    posts = SCRIPT.posts(START, START + 3 * DAY)
    assert len({p.id for p in posts}) == len(posts)
    assert len({p.url for p in posts}) == len(posts)
    rounds = [[p for p in posts if START + n * DAY <= p.published < START + (n + 1) * DAY] for n in range(3)]
    assert [len(r) for r in rounds] == [len(rounds[0])] * 3
    for earlier, later in pairwise(rounds):
        assert [p.published + DAY for p in earlier] == [p.published for p in later]
        assert not {p.author for p in earlier if not p.author.staff} & {p.author for p in later}
        assert not {p.thread for p in earlier if p.thread} & {p.thread for p in later}
    for posts_of_round in rounds:  # a name tells people apart where nothing else does, as in the feed
        people = {p.author for p in posts_of_round}
        assert len({p.name for p in people}) == len(people)
    assert not any("{" in p.text + p.title for p in posts)


@given(st.timedeltas(-DAY, 4 * DAY), st.timedeltas(timedelta(0), DAY))
def test_what_stands_stays_and_only_what_is_due_is_added(since_start: timedelta, later: timedelta) -> None:
    now = START + since_start
    before, after = SCRIPT.posts(START, now), SCRIPT.posts(START, now + later)
    assert [p.id for p in after[: len(before)]] == [p.id for p in before]
    assert all(p.touched <= now for p in before)
    assert all(now < p.published <= now + later for p in after[len(before) :])


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ({"place": "reviews"}, "a review has a rating"),
        ({"place": "feed", "rating": 3}, "a review has a rating"),
        ({"place": "forum"}, "a forum post has a thread"),
        ({"place": "feed", "at": 99}, "before the end of the cycle"),
        ({"place": "feed", "lang": "fi"}, "nobody who writes fi"),
        ({"place": "feed", "colour": "red"}, "colour"),
    ],
)
def test_a_bad_script_is_refused(line: dict[str, object], problem: str) -> None:
    row = {"at": 1, "author": "A", "lang": "en", "text": "x"} | line
    about = {"name": "T", "paper": "P", "staff": "S", "cycle_minutes": 60}
    with pytest.raises(ValueError, match=problem):
        Script.model_validate({"town": about, "vary": {}, "names": {"en": ["B"]}, "post": [row]})


def test_naive_instants_are_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        SCRIPT.posts(START, datetime(2026, 3, 2))  # noqa: DTZ001


# ---- the clock -------------------------------------------------------------------------------------------


def test_the_quick_clock_runs_so_many_times_as_fast() -> None:
    ticks = iter([100.0, 100.0, 130.0])
    local = START.astimezone(timezone(timedelta(hours=2)))
    clock = QuickClock(local, 120, monotonic=lambda: next(ticks))
    assert clock() == START
    assert clock() == START + timedelta(hours=1)
    assert clock.speed == 120
    assert clock.start.tzinfo is UTC


@pytest.mark.parametrize("speed", [0, -1, float("nan")])
def test_a_clock_must_run_forward(speed: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        QuickClock(START, speed)


def test_a_clock_needs_a_zone() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        QuickClock(datetime(2026, 3, 2), 2)  # noqa: DTZ001


def test_the_home_page_says_how_fast_the_clock_runs() -> None:
    with Town(SCRIPT, QuickClock(START, 120, monotonic=lambda: 0.0)) as town:
        text = " ".join(BeautifulSoup(httpx.get(town.url).text, "lxml").get_text().split())
    assert "runs 120 times as fast as yours: a town hour lasts 30 seconds" in text


# ---- the site --------------------------------------------------------------------------------------------


def test_posts_appear_when_they_are_due(visit: Visit) -> None:
    visit.at(1.99)
    assert visit.get("/forum").text.count("Halcyon Havn app down?") == 0
    visit.at(2)
    link = visit.page("/forum").select_one(".thread a.title")
    assert link
    assert link.get_text() == "Halcyon Havn app down?"
    assert len(visit.page(str(link["href"])).select("article.post")) == 1
    visit.at(20)
    assert len(visit.page(str(link["href"])).select("article.post")) == 2


def test_the_feed_is_valid_rss(visit: Visit) -> None:
    visit.at(700)
    response = visit.get("/blog/feed.xml")
    assert response.headers["content-type"].startswith("application/rss+xml")
    root = ET.fromstring(response.content)
    letters = standing(700, "feed")[::-1][:15]
    items = root.findall("channel/item")
    assert [i.findtext("title") for i in items] == [p.title for p in letters]
    assert [i.findtext(f"{DC}creator") for i in items] == [p.author.name for p in letters]
    assert [i.findtext("link") for i in items] == [visit.town.url + p.url for p in letters]
    assert [parsedate_to_datetime(i.findtext("pubDate") or "") for i in items] == [
        p.published for p in letters
    ]
    bodies = [BeautifulSoup(i.findtext("description") or "", "lxml") for i in items]
    assert [[q.get_text() for q in b.find_all("p")] for b in bodies] == [p.text.splitlines() for p in letters]
    assert {visit.get(p.url).status_code for p in letters} == {200}


@pytest.mark.parametrize("path", ["/blog/feed.xml", "/reviews", "/forum"])
def test_unchanged_pages_answer_304(visit: Visit, path: str) -> None:
    visit.at(60)
    first = visit.get(path)
    etag, modified = first.headers["etag"], first.headers["last-modified"]
    for validators in (
        {"If-None-Match": etag},
        {"If-None-Match": f'W/{etag}, "x"'},
        {"If-Modified-Since": modified},
    ):
        again = visit.get(path, **validators)
        assert (again.status_code, again.content) == (304, b""), validators
    visit.at(180)
    assert visit.get(path, **{"If-None-Match": etag}).status_code == 200
    assert visit.get(path, **{"If-Modified-Since": modified}).status_code == 200
    # RFC 9110: a known entity tag counts alone; a date that is none counts for nothing.
    assert visit.get(
        path, **{"If-None-Match": etag, "If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}
    ).content
    assert visit.get(path, **{"If-Modified-Since": "yesterday"}).status_code == 200


def reviews_of(page: BeautifulSoup) -> list[dict[str, object]]:
    script = page.find("script", type="application/ld+json")
    assert script is not None
    data = json.loads(script.get_text())
    assert data["@context"] == "https://schema.org"
    reviews = data["review"]
    assert isinstance(reviews, list)
    return reviews


def test_reviews_are_schema_org_on_every_page(visit: Visit) -> None:
    visit.at(1000)
    found, path = [], "/reviews"
    while path:
        page = visit.page(path)
        found += reviews_of(page)
        onward = page.select_one("a[rel=next]")
        path = f"/reviews{onward['href']}" if onward else ""
    expected = {visit.town.url + p.url: p for p in standing(1000, "reviews")}
    assert len(found) == len(expected)
    for review in found:
        post = expected[str(review["url"])]
        assert review["reviewBody"] == post.text
        assert review["reviewRating"] == {
            "@type": "Rating",
            "ratingValue": post.rating,
            "bestRating": 5,
            "worstRating": 1,
        }
        assert datetime.fromisoformat(str(review["datePublished"])) == post.published
        assert ("comment" in review) == (post.reply is not None)
        assert ("dateModified" in review) == (post.edited is not None)
    assert sum("comment" in r for r in found) >= 2


def test_a_review_is_edited_and_answered_and_then_stands_first(visit: Visit) -> None:
    mug = next(p for p in standing(40, "reviews") if p.title == "Arrived in pieces")
    seen = []
    for minutes in (40, 33 + 55, 33 + 420):
        visit.at(minutes)
        first = reviews_of(visit.page("/reviews"))[0]
        assert first["@id"] == visit.town.url + mug.url
        rating = first["reviewRating"]
        assert isinstance(rating, dict)
        seen.append((rating["ratingValue"], "comment" in first, "dateModified" in first))
    assert seen == [(1, False, False), (1, True, False), (4, True, True)]


def test_forum_threads_are_paged_and_links_lead_to_the_post(visit: Visit) -> None:
    visit.at(1439)
    posts = standing(1439, "forum")
    assert visit.page("/forum").select_one("a[rel=next]") is not None
    assert any("?page=2#" in p.url for p in posts)
    for post in posts:
        article = visit.page(post.url.partition("#")[0]).select_one(f"article#{post.id}")
        assert article
        body, time, author = (article.select_one(s) for s in (".body", "time", "a.author"))
        assert body
        assert time
        assert author
        assert body.get_text("\n") == "\n".join(line for line in post.text.splitlines())
        assert datetime.fromisoformat(str(time["datetime"])) == post.published
        assert author.get_text() == post.author.name
    assert {visit.get(f"/people/{p.author.id}").status_code for p in posts} == {200}


def test_hostile_text_arrives_as_text(visit: Visit) -> None:
    visit.at(600)
    hostile = next(p for p in standing(600, "forum") if "<script>" in p.text)
    page = visit.page(hostile.url)
    assert not page.find_all("script")
    assert hostile.text in page.get_text()
    longest = max(standing(600, "forum"), key=lambda p: len(p.text))
    assert len(longest.text) > 10_000
    assert longest.text.strip() in visit.page(longest.url).get_text()


@pytest.mark.parametrize(
    "path",
    [
        "/x",
        "/blog/x",
        "/blog/x/y",
        "/forum/t/99",
        "/forum/t/x",
        "/reviews?page=99",
        "/reviews?page=0",
        "/forum?page=x",
        "/people/99",
    ],
)
def test_what_is_not_there_is_404(visit: Visit, path: str) -> None:
    assert visit.get(path).status_code == 404


def test_head_robots_and_a_town_where_nobody_has_written(visit: Visit) -> None:
    head = visit.http.head(visit.town.url + "/reviews")
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) == len(visit.get("/reviews").content)
    assert visit.get("/robots.txt").text.startswith("User-agent: *")
    visit.now = START - 30 * DAY
    for path in ("/", "/blog", "/blog/feed.xml", "/reviews", "/forum"):
        assert visit.get(path).status_code == 200


def test_a_closed_town_has_no_address() -> None:
    town = Town(SCRIPT, lambda: START)
    with pytest.raises(RuntimeError, match="context manager"):
        _ = town.url


# ---- the demo's own configuration reads it all --------------------------------------------------------------


class Reader:
    """One source of the demo's configuration, polled as the service does, over the real way out."""

    def __init__(self, visit: Visit, place: str) -> None:
        text = (DEMO / "listener.toml").read_text(encoding="utf-8").replace("{town}", visit.town.url)
        config = parse(text, "demo", DEMO)
        source = next(s for s in config.sources if s.connector == {"feed": "rss"}.get(place, place))
        connector = source.build()
        assert isinstance(connector, Connector)
        self.connector = connector
        settings = FetchSettings("me@example.org", config.fetch.allow_private, host_pace=0.0)
        self.fetcher = Fetcher(
            settings, now=lambda: visit.now, load_host=lambda _: None, save_host=lambda *_: None
        )
        self.memory = SourceMemory()
        self.cursor: str | None = None

    def poll(self) -> list[Mention]:
        found: list[Mention] = []
        http = self.fetcher.client(self.memory)
        try:
            while True:
                page = self.connector.poll(http, self.cursor)
                assert page.skipped == ()
                found += page.mentions
                self.cursor = page.cursor
                if not page.more:
                    return found
        except NotModified:
            return found


@pytest.mark.parametrize("place", ["feed", "reviews", "forum"])
def test_the_connectors_read_all_that_is_written(visit: Visit, place: str) -> None:
    reader = Reader(visit, place)
    known: dict[str, Mention] = {}
    for hour in range(30):  # into the second round of the script
        visit.at(60 * hour)
        known |= {m.external_id: m for m in reader.poll()}
    posts = standing(60 * 29, place)
    by_url = {m.url: m for m in known.values()}
    assert len(known) == len(posts)
    for post in posts:
        mention = by_url[visit.town.url + post.url]
        assert mention.author
        assert mention.author.name == post.author.name
        assert mention.published == post.published
        assert mention.title == post.title
        assert mention.text.split() == post.text.split()
        assert mention.rating == post.rating
        assert [a.text for a in mention.answers] == ([post.reply.text] if post.reply else [])
