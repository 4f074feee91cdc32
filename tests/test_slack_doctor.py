"""What the doctor finds out at Slack, and what it says to click; the real slack_sdk against a Web API on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from slack_sdk.web import WebClient

from responders.slack import Slack, doctor
from tests.fake_slack import APP_TOKEN, TOKEN, Failure, FakeSlack
from tests.shop import opened

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def server() -> Iterator[FakeSlack]:
    with FakeSlack() as server:
        yield server


def slack(server: FakeSlack, token: str = TOKEN, **options: Any) -> Slack:
    return Slack(
        token=SecretStr(token), channel="C1", channels={"manager": "C2"}, base_url=server.base_url, **options
    )


def examined(
    server: FakeSlack, *, app_token: str | None = None, signing_secret: str | None = None
) -> list[tuple[bool, str]]:
    client = WebClient(TOKEN, base_url=server.base_url, retry_handlers=[])
    return list(doctor.examine(client, {"channel": "C1"}, app_token, signing_secret))


def people(server: FakeSlack, of: Mapping[str, str]) -> list[tuple[bool, str]]:
    return slack(server).check_people(of)


def bad(found: list[tuple[bool, str]]) -> list[str]:
    return [text for good, text in found if not good]


# ---- token, scopes, channels


def test_all_is_well(server: FakeSlack) -> None:
    found = slack(server).check()
    assert bad(found) == []
    assert found[0] == (True, "token is valid: listener in Acme")
    assert found[-1] == (True, "manager #managers: listener is in it")
    assert "Slack only shows cases" in found[-3][1]


def test_each_thing_that_is_missing_says_what_to_click(server: FakeSlack) -> None:
    server.scopes = "chat:write,channels:read,groups:read,channels:history,files:write"
    server.channels["C1"].is_member = False
    server.channels["C2"].is_archived = True
    responder = Slack(
        token=SecretStr(TOKEN),
        channel="C1",
        channels={"manager": "C2", "boss": "C9"},
        base_url=server.base_url,
    )
    told = bad(responder.check())
    expected = ["groups:history is missing", "/invite @listener", "unarchive", "boss (C9)"]
    assert len(told) == len(expected)
    for text, words in zip(told, expected, strict=True):
        assert words in text
    assert "chat.postMessage" not in server.methods()


@pytest.mark.parametrize("scope", [*doctor.SCOPES, *doctor.TWO_WAY])
def test_a_missing_scope_is_named_with_its_use(server: FakeSlack, scope: str) -> None:
    everything = [*doctor.SCOPES, *doctor.TWO_WAY]
    server.scopes = ",".join(s for s in everything if s != scope)
    told = [text for text in bad(examined(server, app_token=APP_TOKEN)) if text.startswith("scope")]
    assert len(told) == 1
    assert f"scope {scope} is missing ({(doctor.SCOPES | doctor.TWO_WAY)[scope]})" in told[0]
    assert "OAuth & Permissions, add it, reinstall" in told[0]


def test_who_only_shows_cases_needs_no_scope_for_acting(server: FakeSlack) -> None:
    server.scopes = ",".join(doctor.SCOPES)
    assert bad(examined(server)) == []


@pytest.mark.parametrize("code", ["invalid_auth", "token_revoked", "account_inactive"])
def test_a_wrong_token(server: FakeSlack, code: str) -> None:
    server.fail["auth.test"].append(Failure.refused(code))
    [(good, text)] = slack(server).check()
    assert not good
    assert code in text
    assert "copy the Bot User OAuth Token" in text
    assert TOKEN not in text


# ---- the way back


@pytest.mark.parametrize(
    ("token", "answer", "words"),
    [
        (APP_TOKEN, None, None),
        ("xoxb-the-wrong-one", None, "is no app-level token (xapp-…)"),
        ("xapp-old", None, "refused (invalid_auth)"),
        (APP_TOKEN, Failure.refused("missing_scope"), "add connections:write"),
        (APP_TOKEN, Failure.refused("not_enabled"), "switch on Enable Socket Mode"),
        (APP_TOKEN, Failure(503, "busy"), "HTTP 503"),
        (APP_TOKEN, Failure(hang_up=True), "not reachable"),
    ],
)
def test_socket_mode(server: FakeSlack, token: str, answer: Failure | None, words: str | None) -> None:
    if answer:
        server.fail["apps.connections.open"].append(answer)
    found = examined(server, app_token=token)
    if words is None:
        assert bad(found) == []
        assert any("clicks and commands come over it" in text for _, text in found)
        return
    [text] = bad(found)
    assert words in text
    assert token not in text


def test_requests_over_http_say_where_slack_learns_the_address(server: FakeSlack) -> None:
    found = examined(server, signing_secret=SECRET)
    assert bad(found) == []
    assert any("listener slack manifest --http" in text for _, text in found)
    [text] = bad(examined(server, signing_secret="xapp-1-a-token"))
    assert "copy the Signing Secret" in text
    assert "apps.connections.open" not in server.methods()


# ---- people


def answered(**body: Any) -> Failure:
    return Failure(body=json.dumps({"ok": True, **body}))


def test_people_that_slack_knows(server: FakeSlack) -> None:
    assert people(server, {"Kari": "U0KARI", "Ben": "U0BEN"}) == [
        (True, "people: Slack knows 2 of 2 ids"),
    ]


@pytest.mark.parametrize(
    ("handle", "answer", "words"),
    [
        ("U0NOBODY", None, "Slack knows nobody with this id"),
        ("kari", None, "is not a Slack id"),
        ("U0BOT", None, "an app, not a person"),
        ("U0GONE", answered(user={"id": "U0GONE", "deleted": True}), "deactivated"),
    ],
)
def test_a_wrong_id_is_named_with_its_person(
    server: FakeSlack, handle: str, answer: Failure | None, words: str
) -> None:
    if answer:
        server.fail["users.info"].append(answer)
    found = people(server, {"Ada": handle, "Kari": "U0KARI"})
    [text] = bad(found)
    assert text.startswith(f"Ada ({handle})")
    assert words in text
    assert "Copy member ID" in text
    assert found[-1] == (True, "people: Slack knows 1 of 2 ids")


def test_one_id_of_two_people(server: FakeSlack) -> None:
    [text] = bad(people(server, {"Ada": "U0KARI", "Kari": "U0KARI"}))
    assert text.startswith("Ada and Kari have the same id U0KARI")


GROUPS = answered(
    usergroups=[{"id": "S0SENIORS", "date_delete": 0}, {"id": "S0OLD", "date_delete": 1446670362}]
)


@pytest.mark.parametrize(
    ("handle", "words"),
    [("S0SENIORS", None), ("S0OLD", "enable it in Slack"), ("S0NONE", "Copy group ID")],
)
def test_user_groups(server: FakeSlack, handle: str, words: str | None) -> None:
    server.fail["usergroups.list"].append(GROUPS)
    told = bad(people(server, {"seniors": handle, "Kari": "U0KARI"}))
    assert [words in text for text in told] == ([True] if words else [])
    assert server.methods().count("usergroups.list") == 1


@pytest.mark.parametrize(
    ("code", "words"),
    [("missing_scope", "usergroups:read"), ("plan_upgrade_required", "name people instead")],
)
def test_user_groups_that_can_not_be_looked_up(server: FakeSlack, code: str, words: str) -> None:
    server.fail["usergroups.list"].append(Failure.refused(code, needed="usergroups:read"))
    [text] = bad(people(server, {"seniors": "S0SENIORS"}))
    assert words in text


def test_people_without_the_scope_for_it(server: FakeSlack) -> None:
    server.scopes = "chat:write"
    [text] = bad(people(server, {"Kari": "U0KARI", "Ben": "U0BEN"}))
    assert "users:read" in text


# ---- the command


def test_listener_doctor_asks_about_people_too(
    server: FakeSlack,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with opened(tmp_path, monkeypatch, capsys) as shop:
        monkeypatch.setenv("SHOP_SLACK", TOKEN)
        options = f"token = {{ env = 'SHOP_SLACK' }}, channel = 'C1', base_url = '{server.base_url}'"
        shop.configure(extra=f"[responders.team]\nkind = 'slack'\noptions = {{ {options} }}")
        text = shop.config.read_text().replace("ada = {}", "ada = { slack = 'U0NOBODY' }")
        shop.config.write_text(text)
        ran = shop("doctor")
    assert ran.code == 1
    assert "problem  responder team: ada (U0NOBODY): Slack knows nobody with this id" in ran.out
    assert "ok       responder team: token is valid" in ran.out
    assert TOKEN not in ran.out + ran.err
