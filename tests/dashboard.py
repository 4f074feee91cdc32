"""A dashboard on loopback over a test world, and a browser-like client that is logged in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
from sqlalchemy import select

from listener.model import Author
from listener.service import act
from listener.storage import household
from listener.web import WebSettings, create_app
from listener.web.login import login_token
from listener.web.server import WebServer
from tests.world import World

TOKEN = "a token of the configuration"
PAGES = ("/", "/cases", "/cases/1", "/customers", "/customers/1", "/mentions", "/sources")


@dataclass
class Dashboard:
    """The served world. ``client`` keeps cookies and does not follow redirects."""

    world: World
    client: httpx.Client
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def log_in(self, person: str = "Anna") -> None:
        assert self.client.post("/login", data={"token": TOKEN}).status_code == 303
        answer = self.post("/me", person=person)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")

    def csrf(self) -> str:
        found = re.search(r'name="csrf" value="([^"]+)"', self.client.get("/me").text)
        assert found is not None
        return found[1]

    def post(self, path: str, **fields: str) -> httpx.Response:
        """Send a form as one of our own pages would."""
        return self.client.post(path, data={"csrf": self.csrf(), **fields})

    def text(self, path: str, status: int = 200) -> str:
        answer = self.client.get(path)
        assert answer.status_code == status, answer.text
        return answer.text


@contextmanager
def served(world: World, *, token: str | None = TOKEN, **settings: Any) -> Iterator[Dashboard]:
    web = WebSettings(token=token, **settings)
    login_token(world.core, web)
    server = WebServer(create_app(world.core, web, lambda: world.now), "127.0.0.1", 0)
    server.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", trust_env=False) as client:
            yield Dashboard(world, client, server.port)
    finally:
        server.stop()
        assert not server.alive


def rows(world: World, table: Any) -> list[Any]:
    with world.db.read() as connection:
        return list(connection.execute(select(table)).all())


HOSTILE = (
    'Halcyon is terrible <script>document.title="owned"</script>"><img src=x onerror="document.title=1">'
    " ' onmouseover=alert(1) {{ 7*7 }} \u202egnorw\u202c never delivered, I want a refund!"
)


def someone(name: str) -> Author:
    return Author("forum.example", name.lower(), name, url=f"https://forum.example/u/{name.lower()}")


def busy_day(world: World) -> None:
    """A dozen cases in several languages and states, one hostile, one late, one customer about to leave."""

    def wrote(number: int, who: str, text: str, minutes_ago: int, **fields: Any) -> None:
        published = world.now - timedelta(minutes=minutes_ago)
        world.hear(world.mention(number, text, author=someone(who), published=published, **fields))

    def case_of(who: str) -> int:
        return next(c.id for c in world.cases() if c.customer.name == who)

    wrote(1, "Mia", "Third week without my Halcyon parcel. Terrible service, I want my money back!", 12)
    world.later(minutes=3)
    act.claim(world.core, 1, "Anna", world.now)
    act.respond(world.core, 1, "Anna", "https://forum.example/t/1#answer", world.now, promise_minutes=30)
    act.resolve(
        world.core, 1, "Anna", "refunded", world.now, note="Sent the money back today.", reason="delivery"
    )
    world.later(minutes=20)
    wrote(
        2,
        "Mia",
        "And now Halcyon charged me twice! Terrible, you are thieves, I want a refund.",
        2,
        rating=1.0,
    )
    world.later(minutes=15)
    wrote(3, "Jürgen", "Halcyon ist eine Katastrophe: Paket nie angekommen, niemand antwortet!", 7, lang="de")
    wrote(4, "Åse", "Elendig service hos Halcyon, pakken kom aldri og ingen svarer. Skandale!", 5, lang="nb")
    world.later(minutes=22)
    wrote(5, "Siti", "Halcyon teruk sangat! Barang rosak, minta refund tak dapat. Kecewa!", 3, lang="ms")
    wrote(
        6, 'x"><b onclick=alert(1)>', HOSTILE, 4, title="<i>Title</i>", url="javascript:alert(1)", rating=2.0
    )
    act.claim(world.core, case_of("Åse"), "Ben", world.now)
    wrote(7, "Ruth", "Halcyon app crashes every time I open it. Broken, useless, cancel my account!", 1)
    act.claim(world.core, case_of("Ruth"), "Anna", world.now)
    act.respond(world.core, case_of("Ruth"), "Anna", "https://forum.example/t/7#answer", world.now)
    wrote(8, "Tom", "Awful: Halcyon support never answers. Worst company, I am leaving for good!", 9)
    act.claim(world.core, case_of("Tom"), "Ben", world.now)
    act.respond(world.core, case_of("Tom"), "Ben", "https://forum.example/t/8#answer", world.now)
    act.wait(world.core, case_of("Tom"), "Ben", world.now)
    wrote(9, "Nils", "Halcyon is a joke, lol. Worst delivery ever, never again!", 6)
    act.dismiss(world.core, case_of("Nils"), "Anna", "Friendly banter between fans.", world.now)
    wrote(10, "Halcyon fan", "Halcyon is wonderful, thank you so much for the great help!", 5, rating=5.0)
    wrote(11, "Ivy", "Halcyon broke my espresso machine, terrible. " + "It leaks and nobody cares. " * 60, 8)
    wrote(12, "أمينة", "شركة Halcyon سيئة جدا terrible, never delivered, I want a refund!", 2)
    juergen = next(c.customer.id for c in world.cases() if c.customer.name == "Jürgen")
    act.edit_customer(world.core, juergen, since=world.now - timedelta(days=20), tier="gold")
    world.tick()
    world.deliver()
    world.later(minutes=3)
    with world.db.write() as connection:
        household.note_job(connection, "tick", world.now, 0.01)
