"""Who gets in: log-in, sessions, tokens, hosts, other sites' forms, headers, and the server itself."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from listener.errors import ConfigError, ListenerError
from listener.service import read
from listener.storage import tables
from listener.web import WebSettings, create_app
from listener.web.login import Brake, login_token
from listener.web.server import WebServer
from tests.dashboard import PAGES, TOKEN, Dashboard, rows, served
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


# ---- coming in ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*PAGES, "/me", "/cases?state=open&words=a%20b"])
def test_every_page_asks_for_the_log_in_and_comes_back(dashboard: Dashboard, path: str) -> None:
    answer = dashboard.client.get(path)
    assert answer.status_code == 303
    location = httpx.URL(answer.headers["location"])
    assert (location.path, location.params["next"]) == ("/login", path)


def test_the_printed_link_logs_in_once_the_person_is_known(dashboard: Dashboard) -> None:
    client = dashboard.client
    answer = client.get("/login", params={"token": TOKEN, "next": "/sources"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/me?next=/sources")
    assert "token" not in answer.headers["location"]
    assert answer.headers["referrer-policy"] == "no-referrer"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "secure" not in cookie
    assert client.get("/").headers["location"] == "/me?next=/"
    assert dashboard.post("/me", person="Ben", next="/sources").headers["location"] == "/sources"
    assert "Ben" in dashboard.text("/")


def test_a_person_may_be_typed_and_nobody_is_nobody(dashboard: Dashboard) -> None:
    dashboard.log_in("Anna")
    assert dashboard.post("/me", person="Anna", other=" Zoë\u202e  Q ").status_code == 303
    assert "Zoë Q" in dashboard.text("/")
    assert dashboard.post("/me", person="").status_code == 400
    assert dashboard.post("/me", person="x" * 101).status_code == 400


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:x", "/\r\nX: y"]
)
def test_the_log_in_leads_to_no_other_site(dashboard: Dashboard, target: str) -> None:
    answer = dashboard.client.post("/login", data={"token": TOKEN, "next": target})
    assert answer.headers["location"] == "/me?next=/"


def test_https_makes_the_cookie_secure(world: World) -> None:
    with served(world, public_url="https://listener.example") as dashboard:
        answer = dashboard.client.post("/login", data={"token": TOKEN}, headers={"host": "listener.example"})
        assert answer.headers["set-cookie"].startswith("__Host-listener=")
        assert "secure" in answer.headers["set-cookie"].lower()
        assert "strict-transport-security" in answer.headers


def test_a_log_in_takes_a_new_session_and_ends_the_old_one(anna: Dashboard) -> None:
    old = anna.client.cookies["listener"]
    assert old not in str(rows(anna.world, tables.web_sessions)), "only its hash is stored"
    anna.log_in("Ben")
    assert anna.client.cookies["listener"] != old
    stranger = httpx.get(f"{anna.url}/", cookies={"listener": old}, trust_env=False)
    assert stranger.status_code == 303


def test_an_invented_session_id_is_not_taken_over(dashboard: Dashboard) -> None:
    dashboard.client.cookies.set("listener", "fixed-by-somebody")
    dashboard.client.post("/login", data={"token": TOKEN})
    assert "fixed-by-somebody" not in [c.value for c in dashboard.client.cookies.jar if c.domain != ""]
    answer = httpx.get(f"{dashboard.url}/", cookies={"listener": "fixed-by-somebody"}, trust_env=False)
    assert answer.status_code == 303


def test_log_out(anna: Dashboard) -> None:
    cookie = anna.client.cookies["listener"]
    assert anna.post("/logout").headers["location"] == "/login"
    assert "listener" not in anna.client.cookies
    assert httpx.get(f"{anna.url}/", cookies={"listener": cookie}, trust_env=False).status_code == 303


def test_a_session_ends_when_idle_and_a_page_left_open_does_not_keep_it(anna: Dashboard) -> None:
    anna.world.later(hours=11)
    anna.text("/")
    anna.world.later(hours=11)
    assert anna.client.get("/", headers={"Listener-Live": "1"}).status_code == 200
    anna.world.later(hours=2)
    assert anna.client.get("/", headers={"Listener-Live": "1"}).status_code == 401
    assert anna.client.get("/").status_code == 303


def test_a_session_ends_after_a_month_of_use(anna: Dashboard) -> None:
    for _ in range(72):
        anna.world.later(hours=10)
        anna.text("/me")
    anna.world.later(hours=10)
    assert anna.client.get("/").status_code == 303


def test_wrong_tokens_are_slowed_down(dashboard: Dashboard) -> None:
    def guess(token: str = "wrong") -> httpx.Response:
        return dashboard.client.post("/login", data={"token": token})

    assert [guess().status_code for _ in range(6)] == [401] * 4 + [429] * 2
    refused = guess(TOKEN)
    assert refused.status_code == 429, "the right one waits too, or guessing would not be slowed"
    dashboard.world.later(seconds=int(refused.headers["retry-after"]))
    assert guess(TOKEN).status_code == 303
    assert guess().status_code == 401, "the count starts anew"


def test_the_brake_remembers_a_bounded_number_of_clients() -> None:
    brake, now = Brake(most=3), datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(10):
        for _ in range(20):
            brake.wrong(f"192.0.2.{number}", now)
    assert brake.wait("192.0.2.0", now) == timedelta(0)
    assert brake.wait("192.0.2.9", now) == Brake.LONGEST
    for _ in range(20):
        brake.wrong("2001:db8::1", now)
    assert brake.wait("2001:db8::2", now) == Brake.LONGEST, "one network, one client"


def test_the_token_is_made_once_kept_as_a_hash_and_can_be_reset(world: World) -> None:
    settings = WebSettings()
    token = login_token(world.core, settings)
    assert token is not None
    assert len(token) >= 43
    assert login_token(world.core, settings) is None
    assert token not in str(rows(world, tables.settings))
    with served(world, token=None) as dashboard:
        assert dashboard.client.post("/login", data={"token": token}).status_code == 303
        again = login_token(world.core, settings, reset=True)
        assert again not in (None, token)
        assert rows(world, tables.web_sessions) == [], "everybody is logged out"
        assert dashboard.client.post("/login", data={"token": token}).status_code == 401
        assert dashboard.client.post("/login", data={"token": str(again)}).status_code == 303


def test_a_configured_token_replaces_the_made_one_and_gives_way_again(world: World) -> None:
    made = login_token(world.core, WebSettings())
    with served(world) as dashboard:
        assert dashboard.client.post("/login", data={"token": str(made)}).status_code == 401
        assert dashboard.client.post("/login", data={"token": TOKEN}).status_code == 303
    fresh = login_token(world.core, WebSettings())
    assert fresh not in (None, made)
    with pytest.raises(ConfigError, match="at least 16"):
        login_token(world.core, WebSettings(token="short"))


# ---- the guard ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/login", 200),
        ("GET", "/nothing", 404),
        ("GET", "/healthz", 503),
        ("HEAD", "/healthz", 503),
        ("GET", "/api/cases/77", 404),
        ("POST", "/sources", 405),
        ("POST", "/cases/1/claim", 403),
        ("GET", "/static/nothing.css", 404),
        ("DELETE", "/cases/1", 405),
    ],
)
def test_security_headers_on_every_answer(anna: Dashboard, method: str, path: str, status: int) -> None:
    answer = anna.client.request(method, path)
    assert answer.status_code == status
    policy = answer.headers["content-security-policy"]
    for part in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"):
        assert part in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["cache-control"] == "no-store"
    assert "server" not in answer.headers


HOSTS = {
    "127.0.0.1:8420": 200,
    "LOCALHOST": 200,
    "[::1]:8420": 200,
    "desk.example:443": 200,
    "listener.example": 200,
    "evil.example": 400,
    "127.0.0.1.evil.example": 400,
    "evil.example@127.0.0.1": 400,
    "[::1": 400,
    "": 400,
}


def test_only_known_host_names(world: World) -> None:
    with served(world, public_url="http://listener.example/x", allowed_hosts=("Desk.example",)) as dashboard:
        for host, status in HOSTS.items():
            answer = dashboard.client.get("/login", headers={"host": host})
            assert answer.status_code == status, host
            assert ("allowed_hosts" in answer.text) == (status == 400)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 303),
        ({"origin": "{url}"}, 303),
        ({"origin": "null"}, 303),
        ({"origin": "null", "sec-fetch-site": "same-origin"}, 303),
        ({"origin": "null", "sec-fetch-site": "cross-site"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
    ],
)
def test_a_form_of_another_site_does_nothing(anna: Dashboard, headers: dict[str, str], status: int) -> None:
    headers = {k: v.format(url=anna.url) for k, v in headers.items()}
    answer = anna.client.post("/cases/1/claim", data={"csrf": anna.csrf()}, headers=headers)
    assert answer.status_code == status
    assert (anna.world.case().assignee == "Anna") == (status == 303)


@pytest.mark.parametrize("token", [None, "", "wrong", "ünïcode"])
def test_every_form_needs_its_csrf_token(anna: Dashboard, token: str | None) -> None:
    fields = {"name": "Changed", "person": "Changed"} | ({} if token is None else {"csrf": token})
    for path in ("/cases/1/claim", "/customers/1", "/sources/forum/pause", "/me", "/logout"):
        assert anna.client.post(path, data=fields).status_code == 403, path
    assert anna.world.case().assignee is None
    assert anna.world.case().customer.name == "Mia"
    assert rows(anna.world, tables.sources)[0].state == "active"
    assert "Anna" in anna.text("/")


def test_a_huge_form_is_refused_with_or_without_its_length(anna: Dashboard) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"text="
        for _ in range(20):
            yield b"x" * 10_000

    kind = {"content-type": "application/x-www-form-urlencoded"}
    assert anna.client.post("/cases/1/note", data={"text": "x" * 70_000}).status_code == 413
    assert anna.client.post("/cases/1/note", content=chunks(), headers=kind).status_code == 413
    assert anna.client.get("/").status_code == 200


def test_a_bug_shows_a_number_that_is_in_the_log(
    anna: Dashboard, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(*args: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(read, "list_sources", bug)
    answer = anna.client.get("/sources")
    assert answer.status_code == 500
    assert "secret detail" not in answer.text
    number = re.search(r"number ([0-9a-f]{8})", answer.text)
    assert number is not None
    assert number[1] in caplog.text
    assert "content-security-policy" in answer.headers


def test_static_files_have_their_hash_in_the_name_and_stay(anna: Dashboard) -> None:
    names = set(re.findall(r'(?:href|src)="(/static/[^"]+)"', anna.text("/")))
    assert {n.rpartition(".")[2] for n in names} == {"css", "js", "svg"}
    for name in names:
        answer = anna.client.get(name)
        assert answer.status_code == 200
        assert "max-age=31536000, immutable" in answer.headers["cache-control"]
    assert anna.client.get("/static/..%2fsettings.py").status_code == 404


# ---- the server ---------------------------------------------------------------------------------------------


def test_a_taken_port_is_a_clear_message(world: World) -> None:
    app = create_app(world.core, WebSettings(), lambda: world.now)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ListenerError, match=f"127.0.0.1:{port} is taken"):
            WebServer(app, "127.0.0.1", port).start()
    with pytest.raises(ListenerError, match="host"):
        WebServer(app, "192.0.2.1", 0).start()


def test_the_server_stops_with_a_connection_open_and_frees_the_port(world: World) -> None:
    app = create_app(world.core, WebSettings(), lambda: world.now)
    server = WebServer(app, "127.0.0.1", 0, grace_s=2)
    server.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", trust_env=False) as client:
        assert client.get("/login").status_code == 200
        server.stop()
        server.stop()
        assert not server.alive
        with pytest.raises(httpx.TransportError):
            client.get("/login")
    again = WebServer(app, "127.0.0.1", server.port)
    again.start()
    again.stop()


def test_a_database_that_fails_is_said_so(anna: Dashboard) -> None:
    with anna.world.db.write() as connection:
        connection.exec_driver_sql("ALTER TABLE cases RENAME TO away")
    answer = anna.client.get("/cases")
    assert answer.status_code == 503
    assert "database" in answer.text
