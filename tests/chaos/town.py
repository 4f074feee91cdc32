"""What the customers of the chaos runs write, step by step, and the site that shows it. Repeatable to the letter."""

from __future__ import annotations

import html
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import cache

from tests.fakes import Answer, Request, Route

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
NEWS = 16  # steps in which something new is written; a quarter of an hour apart
QUIET = (5, 6, 12, 20, 23, 29, 40)  # hours after the start: the clocks of all that is left run out
TIMES = [START + timedelta(minutes=15 * n) for n in range(NEWS)] + [START + timedelta(hours=h) for h in QUIET]
FEEDS = 6
CUSTOMERS = 36
SHOWN = (
    FEEDS + 1
)  # steps of entries that a feed shows: an entry is there until its writer comes by and edits it
REVIEWS_A_PAGE = 10

COMPLAINTS = (
    "Halcyon never delivered my order {n}, terrible service, I want my money back!",
    "The Halcyon app crashes at each start since the update, it is useless and awful.",
    "Halcyon charged my card twice for invoice {n}. This is fraud, give me a refund!",
    "Rude staff at Halcyon shouted at me today, I am angry and disappointed. Case {n}.",
    "My Halcyon lamp broke after {n} days and nobody answers my mails. Never again.",
    "Waited {n} minutes in the Halcyon hotline, then they hung up. Horrible!",
)
OTHERS = (
    "Halcyon helped me at once, thank you so much, great people! {n}",
    "I love my new Halcyon lamp, wonderful light, number {n} in our house.",
    "Does Halcyon open on Sundays in street {n}?",
)
NOISE = (
    "The ferry was late again and nobody could say when the next one leaves, {n} people waited in the rain."
)


@dataclass(frozen=True)
class Writing:
    """One thing that a customer wrote at a place."""

    id: str
    author: str
    topic: str
    text: str
    stars: int
    published: datetime


@cache
def written(seed: int, place: int, step: int, count: int) -> tuple[Writing, ...]:
    """What was written at a place in a step. A customer writes at one place a step, and at another in the next.

    So each customer's history has one order, however the polls of a step come to lie; and open cases are joined
    from other places.
    """
    made = []
    for number in range(count):
        rng = random.Random(f"{seed} {place} {step} {number}")
        here = [c for c in range(CUSTOMERS) if (c + step) % FEEDS == place % FEEDS]
        who, topic = rng.choice(here), rng.randrange(4)
        text = rng.choices((*COMPLAINTS, *OTHERS, NOISE), (*[5] * 6, *[6] * 3, 30))[0]
        age = timedelta(minutes=rng.randrange(15))
        if step == 0 and number % 2:
            age = timedelta(days=rng.randrange(2, 300))  # the first poll of a source brings its history
        made.append(
            Writing(
                f"p{place}-{step}-{number}",
                f"customer {who}" if place < FEEDS else f"reviewer {who}",
                f"{who}-{topic}",
                text.format(n=rng.randrange(1000)),
                1 if text in COMPLAINTS else 5,
                TIMES[step] - age,
            )
        )
    return tuple(made)


class Town:
    """Feeds ``/feed/N`` and a review site of several pages ``/reviews?p=N``, as they are at ``step()``.

    Of the feeds and the first review page, some requests fail: ``failures`` is the share.
    """

    def __init__(self, seed: int, luck: int, entries: int, step: Callable[[], int], failures: float) -> None:
        self.seed = seed
        self.step = step
        self.failures = failures
        self.a_step = max(2, entries // (NEWS * (FEEDS + 1)))
        self.entries = self.a_step * NEWS * (FEEDS + 1)
        self._luck = random.Random(luck)

    def routes(self) -> dict[str, Route]:
        routes: dict[str, Route] = {f"/feed/{n}": self._feed for n in range(FEEDS)}
        return routes | {"/reviews": self._reviews}

    def shown(self, place: int, steps: int) -> list[Writing]:
        """The newest first. Every seventh entry is edited when its writer is at this place again."""
        now = min(self.step(), NEWS - 1)
        found = []
        for step in range(max(0, now - steps + 1), now + 1):
            for number, one in enumerate(written(self.seed, place, step, self.a_step)):
                edited = number % 7 == 0 and place < FEEDS and now - step == FEEDS
                text = f"{one.text} Edit: still no word from Halcyon!" if edited else one.text
                found.append(Writing(one.id, one.author, one.topic, text, one.stars, one.published))
        return found[::-1]

    def _fails(self) -> bool:
        return self._luck.random() < self.failures

    def _feed(self, request: Request) -> Answer:
        if self._fails():
            return 500, {}, b"our fault"
        items = "".join(
            f"<item><guid isPermaLink='false'>{one.id}</guid><link>http://town.example/t/{one.topic}</link>"
            f"<author>{one.author}</author><pubDate>{format_datetime(one.published)}</pubDate>"
            f"<description>{html.escape(one.text)}</description></item>"
            for one in self.shown(int(request.path[6:]), SHOWN)
        )
        body = f"<rss version='2.0'><channel><title>Town</title>{items}</channel></rss>"
        return 200, {"Content-Type": "application/rss+xml"}, body.encode()

    def _reviews(self, request: Request) -> Answer:
        page = int(request.path.partition("p=")[2] or 1)
        if page == 1 and self._fails():
            return 500, {}, b"our fault"
        everything = self.shown(FEEDS, 2)
        part = everything[(page - 1) * REVIEWS_A_PAGE : page * REVIEWS_A_PAGE]
        data = {
            "@context": "https://schema.org",
            "@type": "Product",
            "name": "Lamp",
            "review": [
                {
                    "@type": "Review",
                    "@id": f"http://town.example/r/{one.id}",
                    "url": f"http://town.example/r/{one.id}",
                    "author": {"@type": "Person", "name": one.author},
                    "datePublished": one.published.isoformat(),
                    "reviewBody": one.text,
                    "reviewRating": {"@type": "Rating", "ratingValue": one.stars},
                }
                for one in part
            ],
        }
        more = len(everything) > page * REVIEWS_A_PAGE
        link = f"<a rel='next' href='/reviews?p={page + 1}'>next</a>" if more else ""
        body = f"<html><script type='application/ld+json'>{json.dumps(data)}</script>{link}</html>"
        return 200, {"Content-Type": "text/html"}, body.encode()
