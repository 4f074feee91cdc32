"""Reading ``listener.toml``: what it gives, and what each mistake says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener import config
from listener.clock import DEFAULT_STEPS, Policy
from listener.errors import ConfigError
from listener.model import ClockName

MINIMUM = """
[listener]
contact = "team@example.org"
[[brands]]
name = "Acme"
"""
SOURCE = """
[[sources]]
name = "town"
connector = "zz-feed"
"""
PLUGINS = '''
from pydantic import BaseModel, ConfigDict, SecretStr, field_validator

class Login(BaseModel):
    model_config = ConfigDict(extra="forbid")
    user: str
    password: SecretStr

class Feed(BaseModel):
    """A feed."""
    url: str
    pages: int = 1
    token: SecretStr | None = None
    keys: list[SecretStr] = []
    login: Login | None = None
    def poll(self, http, cursor): ...

class Chat(BaseModel):
    """A chat."""
    model_config = ConfigDict(extra="forbid")
    token: SecretStr
    @field_validator("token")
    @classmethod
    def _long(cls, token):
        if len(token.get_secret_value()) < 5:
            raise ValueError(f"{token.get_secret_value()} is too short")
        return token
    def send(self, delivery): ...
'''


@pytest.fixture(autouse=True)
def _plugins(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Installs a third party's connector ``zz-feed`` and responder ``zz-chat``."""
    folder = tmp_path_factory.mktemp("plugins")
    info = folder / "zz_plugins-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: zz-plugins\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[listener.connectors]\nzz-feed = zz_plugins:Feed\n[listener.responders]\nzz-chat = zz_plugins:Chat\n"
    )
    (folder / "zz_plugins.py").write_text(PLUGINS)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "zz_plugins", raising=False)


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str], config.Config]:
    return lambda text: config.parse(text, "listener.toml", tmp_path)


@pytest.fixture
def problems(read: Callable[[str], config.Config]) -> Callable[[str], list[str]]:
    def find(text: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            read(text)
        assert str(caught.value).startswith("listener.toml: ")
        return caught.value.problems

    return find


Read = Callable[[str], config.Config]
Find = Callable[[str], list[str]]


def test_the_least_that_is_needed(read: Read, tmp_path: Path) -> None:
    found = read(MINIMUM)
    assert found.brands[0].names == ("Acme",)
    assert found.policy() == Policy()
    assert found.policy().steps == DEFAULT_STEPS
    assert found.database_url() == f"sqlite:///{tmp_path}/listener.db"
    assert (found.web.host, found.web.port, found.fetch.robots) == ("127.0.0.1", 8420, True)
    assert found.alerts.backfill_alert == timedelta(hours=24)


def test_everything_that_can_be_said(read: Read, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ZZ_CHAT_TOKEN", "xoxb-secret-1")
    (tmp_path / "feed-token").write_text("feed-secret-2\n")
    found = read("""
        [listener]
        contact = "https://example.org/about"
        database_url = { env = "ZZ_CHAT_TOKEN" }
        [[brands]]
        name = "Acme"
        case_sensitive = ["ACME"]
        competitors = ["Bolt"]
        policy = "vip"
        [[sources]]
        name = "town"
        connector = "zz-feed"
        every = "1h30m"
        brand = "Acme"
        [sources.options]
        url = "https://example.org/feed"
        token = { file = "feed-token" }
        keys = [{ env = "ZZ_CHAT_TOKEN" }]
        login = { user = "me", password = { env = "ZZ_CHAT_TOKEN" } }
        [[sources]]
        name = "city"
        connector = "zz-feed"
        policy = "default"
        options = { url = "https://example.com/feed" }
        [policies.vip]
        first_response = "15m"
        calendar = "office"
        steps = [
          { clock = "first_response", at = "50%", kind = "reminder", call = ["ada"] },
          { clock = "first_response", at = "+1h", kind = "escalation", call = ["chiefs", "assignee"], channel = "b" },
        ]
        [calendars.office]
        zone = "Europe/Berlin"
        windows = ["Mon-Fri 08:00-16:00"]
        country = "DE"
        subdivision = "BY"
        closed_on = [2026-12-24, "2026-12-31 New Year's Eve"]
        open_on = ["2026-12-19 10:00-14:00"]
        [people]
        ada = { zz-chat = "U1", email = "ada@example.org" }
        bob = {}
        [groups]
        chiefs = ["bob", "ada"]
        [responders.chat]
        kind = "zz-chat"
        options = { token = { env = "ZZ_CHAT_TOKEN" } }
        [alerts]
        fallback = "chat"
        [fetch]
        allow_private = ["10.0.0.0/8", "127.0.0.1", "::1"]
        max_bytes = "5MB"
        host_pace = "0s"
        [triage]
        reasons = { delivery = ["drop box"] }
    """)
    feed = found.sources[0].build()
    assert feed.token.get_secret_value() == "feed-secret-2"  # type: ignore[attr-defined]
    assert feed.keys[0].get_secret_value() == "xoxb-secret-1"  # type: ignore[attr-defined]
    assert feed.login.password.get_secret_value() == "xoxb-secret-1"  # type: ignore[attr-defined]
    assert found.responders["chat"].build().token.get_secret_value() == "xoxb-secret-1"  # type: ignore[attr-defined]
    assert "secret" not in repr(found) + repr(feed) + str(found)
    assert found.database_url() == "xoxb-secret-1"
    assert found.sources[0].every == timedelta(minutes=90)
    assert found.brands[0].names == ()
    policy = found.policy("vip")
    assert (policy.name, policy.first_response) == ("vip", timedelta(minutes=15))
    assert [step.key for step in policy.steps] == ["first_response:50%", "first_response:+1h"]
    assert policy.steps[1].clock is ClockName.FIRST_RESPONSE
    assert not policy.calendar.is_open(datetime(2026, 12, 24, 9, tzinfo=UTC))
    assert policy.calendar.is_open(datetime(2026, 12, 19, 9, tzinfo=UTC))
    assert found.people["ada"] == {"zz-chat": "U1", "email": "ada@example.org"}
    assert [str(network) for network in found.fetch.allow_private] == [
        "10.0.0.0/8",
        "127.0.0.1/32",
        "::1/128",
    ]
    assert found.fetch.max_bytes == 5_000_000


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        pytest.param(
            "", ["brands: is missing: what is listened for, at least one", "listener: is missing"], id="empty"
        ),
        pytest.param(
            '[[brands]]\nname = "A"\n[listener]\n',
            [
                "listener.contact: is missing: e-mail or web address that sites see in our User-Agent, to reach you"
            ],
            id="no contact",
        ),
        pytest.param(
            MINIMUM + "[polices]\n", ['polices: unknown key; did you mean "policies"?'], id="section"
        ),
        pytest.param(
            MINIMUM + '[web]\nprot = 80\nhots = "x"\n',
            ['web.hots: unknown key; did you mean "host"?', 'web.prot: unknown key; did you mean "port"?'],
            id="all misspelt keys",
        ),
        pytest.param(
            'brands = []\nlistener = { contact = "a@b.org" }\n',
            ["brands: there must be at least one"],
            id="no brand",
        ),
        pytest.param(
            MINIMUM + 'exclud = ["x"]\n',
            ['brands[0] "Acme".exclud: unknown key; did you mean "exclude"?'],
            id="a brand's key",
        ),
        pytest.param(
            MINIMUM + 'policy = "vpi"\n[policies.vip]\n',
            ['brands[0] "Acme".policy: no policy is called "vpi"; did you mean "vip"?'],
            id="policy",
        ),
        pytest.param(
            MINIMUM + SOURCE + 'brand = "Acmee"\noptions = { url = "u" }\n',
            ['sources[0] "town".brand: no brand is called "Acmee"; did you mean "Acme"?'],
            id="brand",
        ),
        pytest.param(
            MINIMUM + '[[sources]]\nname = "town"\nconnector = "zz-fed"\n',
            ["sources[0] \"town\".connector: no connector is called 'zz-fed'; did you mean 'zz-feed'?"],
            id="connector",
        ),
        pytest.param(
            MINIMUM + SOURCE + 'options = { url = 7, pges = 2, login = { usr = "x" } }\n',
            [
                'sources[0] "town".options.login.password: is missing',
                'sources[0] "town".options.login.user: is missing',
                'sources[0] "town".options.login.usr: unknown key; did you mean "user"?',
                'sources[0] "town".options.pges: unknown key; did you mean "pages"?',
                'sources[0] "town".options.url: must be a valid string',
            ],
            id="a connector's options",
        ),
        pytest.param(
            MINIMUM + SOURCE + 'url = "https://example.org"\n',
            [
                'sources[0] "town".options.url: is missing',
                'sources[0] "town".url: is an option of zz-feed: it belongs into options',
            ],
            id="an option outside of options",
        ),
        pytest.param(
            MINIMUM + SOURCE + 'options = { url = "u" }\n' + SOURCE + 'options = { url = "v" }\nevery = 5\n',
            [
                'sources[1] "town".every: must be a length of time in quotes, like 90s, 60m, 1h30m or 7d',
                'sources[1] "town".name: "town" is used twice',
            ],
            id="twice the same name",
        ),
        pytest.param(
            MINIMUM
            + '[[sources]]\nname = "my source/"\nconnector = "zz-feed"\noptions = { url = "u" }\nevery = "0s"\n',
            [
                'sources[0] "my source/".every: must be longer than nothing',
                'sources[0] "my source/".name: must be 1 to 64 letters, digits, dots, dashes or underscores',
            ],
            id="name and every",
        ),
        pytest.param(
            MINIMUM
            + '[policies.vip]\ncalendar = "ofice"\nstarts = "now"\nthird_call = ["bbo"]\n'
            + 'steps = [{ clock = "first_response", at = "half", kind = "reminder", call = ["ada", "eve"] }]\n'
            + '[calendars.office]\nzone = "Europe/Berln"\nwindows = ["Mo 08:00-16:00"]\n'
            + "[people]\nada = {}\nbob = {}\n",
            [
                "calendars.office.windows[0]: 'Mo' is not a day: use Mon, Tue, Wed, Thu, Fri, Sat, Sun or daily",
                "calendars.office.zone: no time zone is called 'Europe/Berln'; did you mean 'Europe/Berlin'?",
                'policies.vip.calendar: no calendar is called "ofice"; did you mean "office"?',
                "policies.vip.starts: must be 'seen' or 'published'",
                "policies.vip.steps[0].at: must be a share of the target like 75%, or a time after it like +30m",
                'policies.vip.steps[0].call[1]: no person or group is called "eve";'
                " there are: ada, assignee, bob, duty",
                'policies.vip.third_call[0]: no person or group is called "bbo"; did you mean "bob"?',
            ],
            id="policy, calendar and people",
        ),
        pytest.param(
            MINIMUM + "[policies.vip]\nsteps = [\n"
            '{ clock = "resolution", at = "50%", kind = "reminder" },\n'
            '{ clock = "resolution", at = "50%", kind = "breach" }]\n'
            '[calendars.se]\nzone = "Europe/Oslo"\ncountry = "Norway"\n',
            [
                "calendars.se: 'Norway' is no country: use an ISO 3166 code like DE or SE",
                "policies.vip: more than one step at resolution:50%; make them one",
            ],
            id="what only fails together",
        ),
        pytest.param(
            MINIMUM
            + '[people]\nada = { zz-chta = "U1" }\nduty = {}\n[groups]\nada = []\nchiefs = ["adda"]\n',
            [
                "groups.ada: a person has this name already",
                'groups.chiefs[0]: no person is called "adda"; did you mean "ada"?',
                'people.ada.zz-chta: unknown key; did you mean "zz-chat"?',
                "people.duty: is a word with a meaning of its own",
            ],
            id="people and groups",
        ),
        pytest.param(
            MINIMUM + '[alerts]\nfallback = "mail"\n[triage]\ncheck = 0.9\nlanguages = ["english"]\n',
            [
                'alerts.fallback: no responder is called "mail"; none is defined',
                "triage.languages[0]: must be an ISO 639-1 code, such as en",
            ],
            id="fallback",
        ),
        pytest.param(
            MINIMUM + "[triage]\ncheck = 0.9\n",
            ["triage: check can't be above complaint"],
            id="limits out of order",
        ),
        pytest.param(
            MINIMUM
            + '[web]\npublic_url = { env = "X" }\nport = 99999\n[fetch]\nallow_private = ["10.0.0.1/8"]\n',
            [
                "fetch.allow_private[0]: 10.0.0.1/8 has host bits set",
                "web.port: must be less than or equal to 65535",
                "web.public_url: must be a valid string; only secrets can come from the environment or a file",
            ],
            id="web and fetch",
        ),
        pytest.param(
            MINIMUM.replace("[listener]", '[listener]\ndatabase = "postgresql://u:p@h/d"'),
            ['listener: database is a file; a URL is database_url = { env = "DATABASE_URL" }'],
            id="database",
        ),
        pytest.param(
            'brands = 5\nsources = "x"\npeople = []\nlistener = { contact = "nobody" }\n',
            [
                "brands: must be a valid tuple",
                "listener.contact: must be an e-mail address or a web address at which people can reach you",
                "people: must be a valid dictionary",
                "sources: must be a valid tuple",
            ],
            id="other shapes",
        ),
        pytest.param(
            "[listener]\ncontact == 5\n", ["is not TOML: Invalid value (at line 2, column 10)"], id="no TOML"
        ),
    ],
)
def test_every_mistake_is_named_at_once(problems: Find, text: str, lines: list[str]) -> None:
    assert problems(text) == lines


def test_what_is_right_but_surely_not_meant(read: Read) -> None:
    assert read(MINIMUM).warnings() == [
        "there are no sources: nothing is listened to",
        "there are no responders: nobody is told of a case",
        'policy default calls "escalation", but no person or group has this name',
    ]
    assert read(config.example()).warnings() == []


def test_secrets_that_are_not_there(problems: Find, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZZ_MISSING", raising=False)
    monkeypatch.setenv("ZZ_EMPTY", "")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    text = MINIMUM + SOURCE
    text += 'options = { url = "u", token = { env = "ZZ_MISSING" }, keys = [{ env = "ZZ_EMPTY" }, { file = "gone" }, '
    text += '{ file = "binary" }, { env = 5 }, { env = "A", file = "b" }] }\n'
    at = 'sources[0] "town".options'
    assert problems(text) == [
        f"{at}.keys[0]: the environment variable ZZ_EMPTY is empty",
        f"{at}.keys[1]: can't read the file {tmp_path}/gone: No such file or directory",
        f"{at}.keys[2]: can't read the file {tmp_path}/binary: it is not UTF-8 text",
        f"{at}.keys[3].env: must be a name in quotes",
        f"{at}.keys[4]: give env or file, not both",
        f"{at}.token: the environment variable ZZ_MISSING is not set",
    ]


def test_secrets_in_clear_are_refused_and_never_repeated(
    problems: Find, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZZ_SHORT", "hush")
    text = (
        MINIMUM
        + SOURCE
        + 'options = { url = "u", token = "s3cr3t", login = { user = "me", password = "pa55" } }\n'
    )
    text += '[responders.chat]\nkind = "zz-chat"\noptions = { token = { env = "ZZ_SHORT" } }\n'
    text += '[web]\ntoken = "t0ken"\n'
    found = problems(text)
    how = 'a secret can\'t stand here in clear: write {0} = {{ env = "NAME" }} or {{ file = "path" }}'
    assert found == [
        "responders.chat.options.token: *** is too short",
        'sources[0] "town".options.login.password: ' + how.format("password"),
        'sources[0] "town".options.token: ' + how.format("token"),
        "web.token: " + how.format("token"),
    ]


def test_files_that_can_not_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file; `listener init` writes one"):
        config.load(tmp_path / "listener.toml")
    (tmp_path / "latin.toml").write_bytes(b'name = "Caf\xe9"')
    with pytest.raises(ConfigError, match="not UTF-8 text: byte 11"):
        config.load(tmp_path / "latin.toml")
    with pytest.raises(ConfigError, match="can't be read: Is a directory"):
        config.load(tmp_path)


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "listener.toml").write_text(MINIMUM.strip().replace("\n", "\r\n"), encoding="utf-8-sig")
    assert config.load(tmp_path / "listener.toml").brands[0].name == "Acme"


def test_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "listener.toml").write_text(MINIMUM + '[web]\ntoken = { file = "token" }\n')
    (tmp_path / "etc" / "token").write_text("abc\n")
    monkeypatch.chdir(tmp_path)
    found = config.load(Path("etc/listener.toml"))
    assert found.web.token
    assert found.web.token.get_secret_value() == "abc"
    assert found.database_url() == f"sqlite:///{tmp_path}/etc/listener.db"


def test_options_of_one_kind_alone(tmp_path: Path) -> None:
    from listener.registry import connector_class

    feed = config.read_options(
        connector_class("zz-feed"), {"url": "u", "pages": "3"}, tmp_path, "try zz-feed"
    )
    assert feed.pages == 3  # type: ignore[attr-defined]
    with pytest.raises(ConfigError) as caught:
        config.read_options(connector_class("zz-feed"), {"ulr": "u"}, tmp_path, "try zz-feed")
    assert caught.value.problems == ['ulr: unknown key; did you mean "url"?', "url: is missing"]


def test_the_example_is_right_as_it_is(tmp_path: Path) -> None:
    found = config.parse(config.example(), "listener.example.toml", tmp_path)
    assert found.sources
    assert found.policy() == Policy()


def test_the_example_shows_true_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its commented lines are right too, whichever is put in force."""
    for name in ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET"):
        monkeypatch.setenv(name, "a secret")
    (tmp_path / "web-token").write_text("abc")
    shown = re.sub(r"(?m)^# (?=\[|[a-z_]+ = |  \{|\])", "", config.example())
    shown = re.sub(r"(?m)^database_url.*\n", "", shown)
    found = config.parse(shown, "listener.example.toml", tmp_path)
    plain = config.parse(config.example(), "listener.example.toml", tmp_path)
    assert found.calendars["office"].subdivision == "BY"
    assert set(found.responders) == {"screen", "slack"}
    assert found.policies["default"].steps
    assert found.policy().steps == DEFAULT_STEPS[:4]
    assert (found.customers, found.retention, found.run) == (plain.customers, plain.retention, plain.run)
    assert found.fetch.model_copy(update={"allow_private": ()}) == plain.fetch
    assert (found.triage.complaint, found.triage.check) == (
        plain.triage.complaint,
        plain.triage.check,
    )
    assert found.web.port == plain.web.port


def test_the_schema_knows_each_kind_and_no_secret_in_clear() -> None:
    schema = config.json_schema()
    json.dumps(schema)
    assert "password" not in {v for d in _dicts(schema) for k, v in d.items() if k == "format"}
    source = schema["$defs"]["Source"]
    assert "zz-feed" in source["properties"]["connector"]["enum"]
    (then,) = [
        branch["then"]
        for branch in source["allOf"]
        if branch["if"]["properties"]["connector"]["const"] == "zz-feed"
    ]
    assert then["required"] == ["options"]
    options = then["properties"]["options"]
    assert options["required"] == ["url"]
    assert options["additionalProperties"] is False
    assert set(options["properties"]["token"]["anyOf"][0]["properties"]) == {"env", "file"}
    for found in _dicts(schema):  # every reference leads somewhere
        if isinstance(found.get("$ref"), str):
            assert str(found["$ref"]).removeprefix("#/$defs/") in schema["$defs"]


def _dicts(value: object) -> list[dict[str, object]]:
    if isinstance(value, list):
        return [found for item in value for found in _dicts(item)]
    if isinstance(value, dict):
        return [value, *(found for item in value.values() for found in _dicts(item))]
    return []


JSON = st.recursive(
    st.booleans() | st.integers() | st.text(st.characters(codec="utf-8"), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "name",
                    "connector",
                    "options",
                    "url",
                    "token",
                    "env",
                    "policy",
                    "steps",
                    "call",
                    "zone",
                    "x",
                ]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from([*config.Config.model_fields, "x"]), JSON))
def test_any_other_content_is_a_config_error_too(content: dict[str, object]) -> None:
    text = "".join(f"{key} = {_toml(value)}\n" for key, value in content.items())
    with pytest.raises(ConfigError) as caught:
        config.parse(text, "any", Path("/nowhere"))
    assert caught.value.problems


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(c):08x}" for c in value) + '"'
    return str(value).lower()


def test_importing_it_loads_nothing_heavy() -> None:
    code = "import sys, listener.config; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {"httpx", "sqlalchemy", "holidays", "fastapi", "numpy", "connectors", "responders"}
    assert not heavy & set(loaded)
