"""The dashboard over HTTP: what people see and do, hostile texts, and what machines read."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from listener.errors import DeliveryError, FetchError
from listener.model import State
from listener.service import act, read
from listener.storage import tables
from tests.dashboard import HOSTILE, PAGES, TOKEN, Dashboard, busy_day, rows, served, someone
from tests.world import World


@pytest.fixture
def dashboard(world: World) -> Iterator[Dashboard]:
    with served(world) as dashboard:
        yield dashboard


@pytest.fixture
def anna(dashboard: Dashboard) -> Dashboard:
    """Anna is logged in, and Mia has complained: case 1."""
    dashboard.world.hear(dashboard.world.mention(1))
    dashboard.log_in()
    return dashboard


# ---- what people do -----------------------------------------------------------------------------------------


def test_a_case_from_claim_to_resolution_and_back(anna: Dashboard) -> None:
    def do(action: str, **fields: str) -> None:
        answer = anna.post(f"/cases/1/{action}", **fields)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/cases/1?done={action}")
        assert 'role="status"' in anna.text(answer.headers["location"])

    world = anna.world
    do("claim")
    assert (world.case().state, world.case().assignee) == (State.CLAIMED, "Anna")
    do("release")
    assert world.case().assignee is None
    do("assign", to="Ben")
    assert world.case().assignee == "Ben"
    do("snooze", minutes="30")
    assert world.case().snoozed_until == world.now + timedelta(minutes=30)
    do("note", text="Called the <depot>.")
    do("respond", url="https://forum.example/t/1#2", promise="45")
    assert (world.case().state, world.case().promise_minutes) == (State.RESPONDED, 45)
    do("wait")
    assert world.case().state == State.WAITING
    do("resume")
    assert world.case().state == State.RESPONDED
    do("resolve", outcome="refunded", reason="billing", note="All of it.")
    assert (world.case().state, world.case().outcome) == (State.RESOLVED, "refunded")
    do("reopen", why="They wrote to the shop.")
    assert (world.case().state, world.case().cycle) == (State.OPEN, 2)
    do("dismiss", why="It was a joke.")
    assert world.case().state == State.DISMISSED
    assert [r.label for r in rows(world, tables.labels)] == ["reason:billing", "not_complaint"]
    events = rows(world, tables.events)
    assert {e.actor for e in events if e.kind not in ("opened", "promise_ended")} == {"Anna"}
    page = html.unescape(anna.text("/cases/1"))
    for words in ("Called the <depot>.", "handed the case to Ben", "told 45 min", "It was a joke."):
        assert words in page


@pytest.mark.parametrize(
    ("action", "fields", "status", "says"),
    [
        ("resolve", {"outcome": "refunded", "note": "kept words"}, 409, "Nobody has answered"),
        ("reopen", {"why": "x"}, 409, "open"),
        ("wait", {}, 409, "Answer the customer first"),
        ("respond", {"url": "javascript:alert(1)"}, 400, "https://"),
        ("respond", {"url": "https://x.example", "promise": "soon"}, 400, "whole minutes"),
        ("respond", {"url": "https://x.example", "promise": "0"}, 400, "between 1 minute"),
        ("assign", {"to": "Nobody"}, 400, "Nobody is called"),
        ("assign", {}, 400, "who is to have"),
        ("note", {"text": "  "}, 400, "empty"),
        ("dismiss", {"why": ""}, 400, "why it is not"),
        ("snooze", {"minutes": "99999"}, 400, "7 days"),
        ("snooze", {}, 400, "how long"),
        ("resolve", {"outcome": "x", "reason": "magic"}, 400, "no reason"),
        ("explode", {}, 404, "no such action"),
    ],
)
def test_what_can_not_be_done_is_said_politely(
    anna: Dashboard, action: str, fields: dict[str, str], status: int, says: str
) -> None:
    answer = anna.post(f"/cases/1/{action}", **fields)
    assert answer.status_code == status
    page = html.unescape(answer.text)
    assert says in page
    assert "Traceback" not in page
    assert len(rows(anna.world, tables.events)) == 1
    if "note" in fields:
        assert fields["note"] in page, "what was written is kept"


def test_somebody_else_has_it_already(anna: Dashboard) -> None:
    act.claim(anna.world.core, 1, "Ben", anna.world.now)
    answer = anna.post("/cases/1/claim")
    assert answer.status_code == 409
    assert "Ben has this case already." in answer.text


def test_a_customer_is_edited(anna: Dashboard) -> None:
    answer = anna.post("/customers/1", name="Mia  Berg", since="2026-02-20", tier="gold", note="Likes tea.")
    assert answer.headers["location"] == "/customers/1?done=customer"
    (row,) = rows(anna.world, tables.customers)
    assert (row.name, row.tier, row.note) == ("Mia Berg", "gold", "Likes tea.")
    assert row.since == datetime(2026, 2, 20, tzinfo=UTC)
    page = anna.text("/customers/1")
    for words in ("Mia Berg", "New: day 11", "gold", "Likes tea.", "2026-02-20", "forum.example"):
        assert words in page
    anna.post("/customers/1", name="Mia", since="", tier="", note="")
    assert rows(anna.world, tables.customers)[0].since is None
    for wrong in ({"name": " "}, {"name": "x", "since": "20.2.2026"}, {"name": "x", "since": "2999-01-01"}):
        assert anna.post("/customers/1", **wrong).status_code == 400
    assert anna.post("/customers/99", name="x").status_code == 404


def test_bad_experiences_that_were_taken_back_are_shown_as_such(anna: Dashboard) -> None:
    assert "Taken back" not in anna.text("/customers/1")
    act.dismiss(anna.world.core, 1, "Anna", "A joke.", anna.world.now)
    page = anna.text("/customers/1")
    assert "Taken back" in page
    assert '<b class="big">0</b>' in page


def test_sources_show_their_health_and_can_be_paused_and_polled(anna: Dashboard) -> None:
    world = anna.world
    world.source.pages = [FetchError("HTTP 500", url="https://forum.example/", advice="Ask <them>.")]
    world.poll()
    page = html.unescape(anna.text("/sources"))
    assert "failing" in page
    assert "Ask <them>." in page
    assert anna.post("/sources/forum/pause").headers["location"] == "/sources?done=pause"
    assert rows(world, tables.sources)[0].state == "paused"
    assert "Listen again" in anna.text("/sources")
    world.later(minutes=1)
    anna.post("/sources/forum/poll")
    (row,) = rows(world, tables.sources)
    assert (row.state, row.next_poll_at, row.failures) == ("active", world.now, 0)
    assert anna.post("/sources/forum/explode").status_code == 404
    assert anna.post("/sources/nothing/pause").status_code == 404


# ---- what people see ----------------------------------------------------------------------------------------


def test_the_overview_puts_the_soonest_due_first(world: World) -> None:
    busy_day(world)
    with served(world) as dashboard:
        dashboard.log_in()
        page = dashboard.text("/")
        found = [int(n) for n in re.findall(r'class="stretch" href="/cases/(\d+)"', page)]
        assert found == [c.id for c in read.open_cases(world.core, world.now)]
        assert "(1 late) Overview" in page
        assert page.index("Late <span") < page.index("Running <span") < page.index("Paused <span")
        assert f'data-now="{world.now.isoformat(timespec="milliseconds").replace("+00:00", "Z")}"' in page
        assert "2 of 3 in the last 24 h, 6 not due yet" in page


def test_empty_pages_say_what_to_do_next(dashboard: Dashboard) -> None:
    dashboard.log_in()
    assert "Nobody is waiting for an answer." in dashboard.text("/")
    for path in (
        "/cases",
        "/customers",
        "/mentions",
        "/cases?words=x",
        "/customers?words=x",
        "/mentions?words=x",
    ):
        page = dashboard.text(path)
        assert 'class="empty"' in page
        assert "href=" in page.partition('class="empty"')[2]


def test_the_case_page_tells_the_four_instants_apart(anna: Dashboard) -> None:
    world = anna.world
    world.later(hours=1)
    world.hear(world.mention(2, author=someone("Tom"), published=world.now - timedelta(minutes=7)))
    world.later(minutes=1)
    world.deliver()
    world.later(minutes=19)
    act.respond(world.core, 2, "Anna", "https://forum.example/t/2#a", world.now)
    page = re.sub(r"<[^>]+>|\s+", " ", anna.text("/cases/2"))
    assert "7 min after it was published" in re.sub(r" +", " ", page)
    assert "the team took 20 min; the customer waited 27 min" in re.sub(r" +", " ", page)


def test_a_parked_delivery_and_its_error_are_shown(anna: Dashboard) -> None:
    anna.world.receiver.failures = [DeliveryError("channel <gone>", permanent=True)]
    anna.world.deliver()
    page = html.unescape(anna.text("/cases/1"))
    assert "could not be delivered" in page
    assert "channel <gone>" in page


FILTERS: dict[str, set[int]] = {
    "": {1, 2, 3, 4, 5, 6, 7, 8, 9, 10},
    "?state=open": {1, 2, 4, 5, 9, 10},
    "?state=waiting": {7},
    "?state=closed": {8},
    "?person=Ben": {3, 7},
    "?reason=usability": {6},
    "?words=paket": {2},
    "?words=ruth&state=responded": {6},
    "?words=%25": set(),
    "?brand=Other": set(),
    "?brand=Halcyon&person=&reason=": {1, 2, 3, 4, 5, 6, 7, 8, 9, 10},
}


def test_filters_live_in_the_url(world: World) -> None:
    busy_day(world)
    with served(world) as dashboard:
        dashboard.log_in()
        for query, expected in FILTERS.items():
            page = dashboard.text(f"/cases{query}")
            found = {int(n) for n in re.findall(r'class="stretch" href="/cases/(\d+)"', page)}
            assert found == expected, query


def test_unknown_filters_are_named(anna: Dashboard) -> None:
    for path in (
        "/cases?state=nonsense",
        "/cases?before=x",
        "/cases?before=-1",
        f"/cases?before={'9' * 40}",
        "/mentions?complaint=x",
        "/mentions?source=x",
        "/customers?bad=1&after=1e9",
        "/api/cases?limit=0",
    ):
        assert anna.client.get(path).status_code == 400, path


def test_what_is_not_there(anna: Dashboard) -> None:
    for path in ("/cases/2", "/cases/x", f"/cases/{'9' * 30}", "/customers/9", "/x", "/static/"):
        assert 'href="/"' in anna.text(path, 404), path


@pytest.mark.parametrize(
    ("start", "link"),
    [("/cases", "cases"), ("/customers", "customers"), ("/mentions", "cases")],
)
def test_long_lists_come_in_pages_that_miss_nothing(dashboard: Dashboard, start: str, link: str) -> None:
    world = dashboard.world
    world.hear(*(world.mention(n, author=someone(f"Author{n}")) for n in range(120)))
    dashboard.log_in()
    seen: list[int] = []
    path: str | None = start
    while path:
        page = dashboard.text(path)
        seen += [int(n) for n in re.findall(rf'href="/{link}/(\d+)"', page)]
        following = re.search(r'href="([^"]+)" rel="next"', page)
        path = html.unescape(following[1]) if following else None
    assert len(seen) == 120
    assert len(set(seen)) == 120


def test_live_pages_answer_only_when_something_has_changed(anna: Dashboard) -> None:
    first = anna.client.get("/", headers={"Listener-Live": "1"})
    anna.world.later(minutes=1)
    again = {"Listener-Live": "1", "If-None-Match": first.headers["etag"]}
    same = anna.client.get("/", headers=again)
    assert (same.status_code, same.text) == (304, "")
    assert datetime.fromisoformat(same.headers["listener-now"]) == anna.world.now
    act.claim(anna.world.core, 1, "Ben", anna.world.now)
    assert anna.client.get("/", headers=again).status_code == 200


# ---- hostile texts ------------------------------------------------------------------------------------------


def test_what_strangers_write_is_text_on_every_page(world: World) -> None:
    busy_day(world)
    act.note(world.core, 5, "Anna", HOSTILE, world.now)
    act.edit_customer(world.core, 5, note=HOSTILE, tier="<b>gold</b>")
    world.receiver.failures = [DeliveryError("<b onclick=alert(1)>", permanent=True)]
    world.deliver()
    with world.db.write() as connection:
        connection.execute(tables.sources.update().values(error=HOSTILE, failures=4))
    with served(world) as dashboard:
        dashboard.log_in('<img src=x onerror="alert(1)">')
        for path in (*PAGES, "/cases/5", "/customers/5", "/me", f"/cases?words={HOSTILE[:60]}"):
            page = dashboard.text(path)
            assert page.count("<script") == (0 if path == "/me" else 1), path
            for sign in (
                "<img src=x",
                "<b onclick",
                "<i>Title",
                "<b>gold",
                "javascript:",
                ' onerror="',
                "style=",
            ):
                assert sign not in page, (path, sign)
            assert "{{ 7*7 }}" in page or "49" not in page
            for link in re.findall(r'<a href="(https?:[^"]*)"([^>]*)>', page):
                assert 'rel="noopener noreferrer nofollow"' in link[1]
        page = dashboard.text("/cases/5")
        assert html.escape(HOSTILE, quote=True).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in page
        assert re.search(r'<p class="quote" dir="auto">Halcyon is terrible', page)
        assert "\u202e" in page, "kept as it was written, within an isolated element"


# ---- machines -----------------------------------------------------------------------------------------------


def test_health_needs_no_log_in_and_tells_nothing_that_was_heard(world: World) -> None:
    busy_day(world)
    with world.db.write() as connection:
        connection.execute(tables.sources.update().values(error=HOSTILE, failures=4))
    with served(world) as dashboard:
        answer = dashboard.client.get("/healthz")
        assert (answer.status_code, answer.json()["ok"]) == (200, True)
        assert answer.json()["problems"] == ["source forum is failing"]
        world.later(minutes=10)
        answer = dashboard.client.get("/healthz")
        assert (answer.status_code, answer.json()["ok"]) == (503, False)
        assert "the clock has stopped ticking" in answer.json()["problems"]
    with served(world, embedded=False) as dashboard:
        assert dashboard.client.get("/healthz").status_code == 200


def test_metrics_for_prometheus(world: World) -> None:
    busy_day(world)
    with served(world) as dashboard:
        answer = dashboard.client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        found = {
            (s.name, *s.labels.values()): s.value
            for family in text_string_to_metric_families(answer.text)
            for s in family.samples
        }
    assert found["listener_cases_open", "open"] == 6
    assert found["listener_cases_late",] == 1
    assert found["listener_alarms_24h", "breach"] == 1
    assert found["listener_deliveries", "parked"] == 0
    assert found["listener_mentions_total", "forum"] == 12
    assert found["listener_sources", "active"] == 1
    assert found["listener_tick_age_seconds",] == 0
    assert any(name[0] == "listener_build_info" for name in found)


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"])
def test_metrics_through_a_proxy_need_the_token(dashboard: Dashboard, header: str) -> None:
    through = {header: "198.51.100.7"}
    assert dashboard.client.get("/metrics", headers=through).status_code == 401
    through["Authorization"] = f"Bearer {TOKEN}"
    assert dashboard.client.get("/metrics", headers=through).status_code == 200


def test_the_api_takes_the_token_or_a_session(world: World) -> None:
    busy_day(world)
    with served(world) as dashboard:
        refused = dashboard.client.get("/api/cases")
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        assert "error" in refused.json()
        wrong = {"Authorization": "Bearer wrong"}
        statuses = [dashboard.client.get("/api/status", headers=wrong).status_code for _ in range(6)]
        assert statuses == [401] * 4 + [429] * 2
        world.later(minutes=2)
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        page = dashboard.client.get("/api/cases?limit=4", headers=bearer).json()
        rest = dashboard.client.get(f"/api/cases?before={page['next']}", headers=bearer).json()
        assert [c["id"] for c in page["cases"] + rest["cases"]] == list(range(10, 0, -1))
        assert rest["next"] is None
        case = dashboard.client.get("/api/cases/1", headers=bearer).json()
        assert case["case"]["customer"]["name"] == "Mia"
        assert [e["kind"] for e in case["events"]][:2] == ["opened", "claimed"]
        assert {d["state"] for d in case["deliveries"]} <= {"accepted", "superseded"}
        customer = dashboard.client.get("/api/customers/1", headers=bearer).json()
        assert [i["platform"] for i in customer["identities"]] == ["forum.example"]
        assert len(customer["bad_experiences"]) == 2
        assert dashboard.client.get("/api/sources", headers=bearer).json()[0]["mentions_found"] == 12
        status = dashboard.client.get("/api/status", headers=bearer).json()
        assert status["late"] == 1
        described = dashboard.client.get("/api/openapi.json", headers=bearer).json()["paths"]
        assert set(described) == {
            "/api/cases", "/api/cases/{case_id}", "/api/customers/{customer_id}", "/api/sources", "/api/status",
        }  # fmt: skip
        dashboard.log_in()
        assert json.loads(dashboard.text("/api/cases/2"))["case"]["id"] == 2
