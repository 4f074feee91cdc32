"""The Slack app's manifest: what Slack takes, what Listener needs, and how it is printed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from listener import config
from listener.cli import main
from listener.resources import data_dir
from responders.slack import doctor
from tests.fake_slack.state import NEEDED

FILE = data_dir() / "slack-app-manifest.yaml"


def text(least: int, most: int, pattern: str | None = None) -> Any:
    return Annotated[str, StringConstraints(min_length=least, max_length=most, pattern=pattern)]


Url = text(8, 3000, r"^https?://")


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Metadata(Strict):
    major_version: Literal[1, 2]
    minor_version: int


class DisplayInformation(Strict):
    name: text(1, 35)
    description: text(1, 140)
    background_color: text(4, 7, r"^#([0-9a-fA-F]{3}){1,2}$")
    long_description: text(175, 4000)


class AppHome(Strict):
    home_tab_enabled: bool
    messages_tab_enabled: bool
    messages_tab_read_only_enabled: bool


class BotUser(Strict):
    display_name: text(1, 80)
    always_online: bool


class SlashCommand(Strict):
    command: text(2, 32, "^/")
    url: Url | None = None
    description: text(1, 2000)
    usage_hint: text(1, 1000)
    should_escape: bool


class Features(Strict):
    app_home: AppHome
    bot_user: BotUser
    slash_commands: Annotated[list[SlashCommand], Field(min_length=1, max_length=50)]


class Scopes(Strict):
    bot: Annotated[list[text(1, 50)], Field(max_length=255)]


class OAuthConfig(Strict):
    scopes: Scopes


class Interactivity(Strict):
    is_enabled: bool
    request_url: Url | None = None


class EventSubscriptions(Strict):
    request_url: Url | None = None
    bot_events: Annotated[list[text(1, 50)], Field(max_length=100)]


class Settings(Strict):
    socket_mode_enabled: bool
    interactivity: Interactivity
    event_subscriptions: EventSubscriptions
    org_deploy_enabled: bool
    token_rotation_enabled: bool


class Manifest(Strict):
    """The part of Slack's schema that ours uses: slackapi/manifest-schema, schemas/manifest.schema.1.0.0.json."""

    metadata: Annotated[Metadata, Field(alias="_metadata")]
    display_information: DisplayInformation
    features: Features
    oauth_config: OAuthConfig
    settings: Settings

    @property
    def urls(self) -> list[str | None]:
        commands = [command.url for command in self.features.slash_commands]
        settings = self.settings
        return [*commands, settings.interactivity.request_url, settings.event_subscriptions.request_url]


def read(shown: str) -> Manifest:
    return Manifest.model_validate(yaml.safe_load(shown), strict=True)


def printed(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    assert main(["slack", "manifest", *args]) == 0
    return capsys.readouterr().out


def test_it_is_what_slack_takes_with_socket_mode_on(capsys: pytest.CaptureFixture[str]) -> None:
    manifest = read(shown := printed(capsys))
    assert shown == FILE.read_text(encoding="utf-8")
    assert manifest.settings.socket_mode_enabled
    assert manifest.settings.interactivity.is_enabled
    assert manifest.features.app_home.home_tab_enabled
    assert manifest.urls == [None, None, None]
    assert not manifest.settings.token_rotation_enabled, "our tokens are written in a file"


def test_its_scopes_are_those_that_the_doctor_asks_for() -> None:
    scopes = read(FILE.read_text(encoding="utf-8")).oauth_config.scopes.bot
    assert len(set(scopes)) == len(scopes)
    assert set(scopes) == {*doctor.SCOPES, *doctor.TWO_WAY, *doctor.GROUPS}


def test_its_scopes_are_enough_for_each_method_that_is_called() -> None:
    scopes = read(FILE.read_text(encoding="utf-8")).oauth_config.scopes.bot
    source = "".join(file.read_text(encoding="utf-8") for file in Path(doctor.__file__).parent.glob("*.py"))
    called = {name.replace("_", ".", 1) for name in re.findall(r"client\.([a-z]+_\w+)", source)}
    assert {"chat.postMessage", "conversations.info", "users.info"} <= called
    assert {scope for method, scope in NEEDED.items() if method in called} <= set(scopes)
    assert "files:write" in scopes, "files.upload_v2 is two other methods"


def test_its_events_have_the_scopes_that_they_need() -> None:
    manifest = read(FILE.read_text(encoding="utf-8"))
    assert manifest.settings.event_subscriptions.bot_events == ["app_home_opened", "reaction_added"]
    assert {"reactions:read", "commands"} <= set(manifest.oauth_config.scopes.bot)
    assert [command.command for command in manifest.features.slash_commands] == ["/listener"]


@pytest.mark.parametrize(
    ("given", "put_in"),
    [
        ("https://listener.example.org", "https://listener.example.org/responders/slack"),
        ("https://example.org/desk/", "https://example.org/desk/responders/slack"),
        ("https://listener.example.org/responders/team", "https://listener.example.org/responders/team"),
    ],
)
def test_over_http_each_address_is_put_in(
    capsys: pytest.CaptureFixture[str], given: str, put_in: str
) -> None:
    over_http, socket_mode = read(printed(capsys, "--http", given)), read(printed(capsys))
    assert not over_http.settings.socket_mode_enabled
    assert over_http.urls == [put_in] * 3
    assert over_http.oauth_config == socket_mode.oauth_config
    assert "# url" not in printed(capsys, "--http", given)


@pytest.mark.parametrize(
    "given",
    [
        "http://listener.example.org",
        "listener.example.org",
        "https://",
        "https://[",
        'https://a.example/"\nsettings: {}',
        "https://a.example?x=1",
        "https://a.example/" + "x" * 3000,
    ],
)
def test_an_address_that_slack_can_not_ask(capsys: pytest.CaptureFixture[str], given: str) -> None:
    assert main(["slack", "manifest", "--http", given]) == 2
    assert "public address" in capsys.readouterr().err


def test_the_guide_has_ten_steps_and_its_configuration_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guide = (Path(__file__).parents[1] / "responders/slack/README.md").read_text(encoding="utf-8")
    assert re.findall(r"^(\d+)\. ", guide, flags=re.M) == [str(n) for n in range(1, 11)]
    for word in ("listener slack manifest", "/invite", "xoxb-", "connections:write", "listener doctor"):
        assert word in guide
    for name in ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN"):
        monkeypatch.setenv(name, "a secret")
    (shown,) = re.findall(r"```toml\n(.*?)```", guide, flags=re.S)
    found = config.parse(
        f"[listener]\ncontact = 'a@example.org'\n[[brands]]\nname = 'A'\nnames = ['A']\n{shown}",
        "guide",
        tmp_path,
    )
    assert (found.responders["slack"].kind, found.people["ada"]) == ("slack", {"slack": "U0123ABC"})
