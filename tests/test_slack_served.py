"""Slack with the whole program around it: requests to the dashboard's server, and a run from start to stop."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from listener import config
from listener.app import build
from listener.running import listen, serve
from tests.dashboard import Dashboard, served
from tests.fake_slack import APP_TOKEN, TOKEN, FakeSlack
from tests.test_slack_actions import Floor, server, until

__all__ = ["server"]


@pytest.fixture
def site(tmp_path: Path, server: FakeSlack) -> Iterator[tuple[Floor, Dashboard]]:
    floor = Floor(tmp_path, server, "http")
    with served(floor.world) as dashboard:
        server.app = f"{dashboard.url}/responders/slack"
        yield floor, dashboard
    floor.close()


def test_a_signed_click_needs_no_session(site: tuple[Floor, Dashboard]) -> None:
    floor, _ = site
    floor.complain()
    assert floor.server.click("U0KARI", "case_claim").status == 200
    until(lambda: floor.told("U0KARI"))
    assert floor.case().assignee == "Kari"
    request = floor.server.submit_request("U0KARI", floor.opened("U0KARI", "draft"), {})
    reply = floor.server.deliver(request)
    assert reply.body["response_action"] == "update", "JSON arrives as JSON"


def test_an_unsigned_one_is_refused(site: tuple[Floor, Dashboard]) -> None:
    floor, dashboard = site
    floor.complain()
    body, headers = floor.server.signed(floor.server.click_request("U0KARI", "case_claim"), secret="another")
    here = f"{dashboard.url}/responders/slack"
    with httpx.Client(trust_env=False) as client:
        assert client.post(here, content=body, headers=headers).status_code == 401
        assert client.post(here, content=body).status_code == 401
        assert client.get(here).status_code == 405
        for name in ("nobody", "desk"):
            assert client.post(f"{dashboard.url}/responders/{name}", content=b"").status_code == 404
        assert client.post(here, content=body, headers={"Host": "evil.example"}).status_code == 400
    assert floor.case().assignee is None


def test_a_large_message_may_come_along_but_not_an_endless_one(site: tuple[Floor, Dashboard]) -> None:
    floor, dashboard = site
    floor.complain()
    request = floor.server.click_request("U0KARI", "case_claim")
    request.payload["message"]["text"] = "x" * 500_000
    assert floor.server.deliver(request).status == 200
    until(lambda: floor.told("U0KARI"))
    assert refused_unread(dashboard, "/responders/slack", 1_100_000) == 413
    assert refused_unread(dashboard, "/login", 100_000) == 413, "the pages' own forms stay small"


def refused_unread(dashboard: Dashboard, path: str, size: int) -> int:
    """The status for a body of this size, of which nothing is sent: it is refused by its length."""
    with socket.create_connection(("127.0.0.1", dashboard.port), timeout=10) as link:
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {size}\r\n\r\n"
        link.sendall(head.encode())
        return int(link.recv(100).split()[1])


TOML = """
[listener]
contact = "tests@example.com"
[[brands]]
name = "Halcyon"
[responders.slack]
kind = "slack"
[responders.slack.options]
token = {{ env = "BOT" }}
app_token = {{ env = "APP" }}
channel = "C1"
base_url = {base_url}
"""


def test_a_run_listens_from_start_to_stop(
    tmp_path: Path, server: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOT", TOKEN)
    monkeypatch.setenv("APP", APP_TOKEN)
    text = TOML.format(base_url=json.dumps(server.base_url))
    app = build(config.parse(text, "listener.toml", tmp_path))
    stop, done = threading.Event(), []
    running = threading.Thread(target=lambda: done.append(serve(app, stop)))
    running.start()
    server.sockets.wait_connected(1)
    server.open_home("U0KARI")
    until(lambda: server.homes.get("U0KARI"))
    before = set(threading.enumerate())
    started = time.monotonic()
    stop.set()
    running.join(20)
    assert done == [True], "nothing was left under way"
    assert time.monotonic() - started < 8, "a container is killed after 10 s"
    app.close()
    left = [t.name for t in before if t.is_alive() and t.name.startswith(("slack", "poll"))]
    assert left == []


def test_a_slack_that_says_nothing_does_not_hold_up_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOT", TOKEN)
    monkeypatch.setenv("APP", APP_TOKEN)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        text = TOML.format(base_url=json.dumps(f"http://127.0.0.1:{mute.getsockname()[1]}/api/"))
        app = build(config.parse(f"{text}timeout_seconds = 2\n", "listener.toml", tmp_path))
        stop, done = threading.Event(), []
        running = threading.Thread(target=lambda: done.append(serve(app, stop, grace=0.2)))
        running.start()
        link, _ = mute.accept()  # it has begun to connect
        with link:
            stop.set()
            running.join(20)
            assert done == [False], "the process may end as it stands"
        until(lambda: not any(t.name == "stop listening" for t in threading.enumerate()))
    app.close()


def test_who_can_not_act_there_is_not_listened_to(tmp_path: Path, server: FakeSlack) -> None:
    floor = Floor(tmp_path, server, "none")
    assert listen(floor.world.core, lambda: floor.world.now) == []
    floor.close()


def test_posting_alone_does_not_import_slack_bolt() -> None:
    code = "import sys, responders.slack; assert 'slack_bolt' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
