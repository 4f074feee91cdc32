"""Who may come in: the log-in token, sessions, and the brake on guessing.

The token is printed once, at the first start, as notebooks do; the database keeps only its SHA-256. That is enough
for 32 random bytes, which nobody guesses; a token of the configuration must be long for the same reason.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network
from threading import Lock

from listener.errors import ConfigError, UsageError
from listener.service.core import Core
from listener.storage import household
from listener.web.settings import WebSettings

TOKEN_KEY = "web_token"  # noqa: S105 - the name of a setting
SHORTEST_TOKEN = 16
IDLE = timedelta(hours=12)
ABSOLUTE = timedelta(days=30)
TOUCH_AFTER = timedelta(minutes=1)  # a session's last use is written at most so often


def login_token(core: Core, settings: WebSettings, *, reset: bool = False) -> str | None:
    """See to it that there is a log-in token; the clear token when it was made just now, to be printed once.

    None: the configured token holds, or one was made at an earlier start. ``reset`` makes a new one. Whenever the
    token changes, everybody is logged out. Raises ``ConfigError`` when the configured token is too short.
    """
    if settings.token is not None:
        if len(settings.token) < SHORTEST_TOKEN:
            problem = (
                f"web.token: must be at least {SHORTEST_TOKEN} characters long; leave it out to have one made"
            )
            raise ConfigError("log-in", [problem])
        _keep(core, f"configured:{digest(settings.token)}")
        return None
    with core.db.read() as connection:
        kept = household.setting(connection, TOKEN_KEY)
    if kept is not None and kept.startswith("made:") and not reset:
        return None
    token = secrets.token_urlsafe(32)
    if kept is None:
        with core.db.write() as connection:
            first = household.save_setting_once(connection, TOKEN_KEY, f"made:{digest(token)}")
        return token if first else None  # another process, starting at the same time, prints its own
    _keep(core, f"made:{digest(token)}")
    return token


def _keep(core: Core, value: str) -> None:
    with core.db.write() as connection:
        if household.setting(connection, TOKEN_KEY) != value:
            household.save_setting(connection, TOKEN_KEY, value)
            household.end_all_sessions(connection)


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def token_is_right(core: Core, token: str) -> bool:
    with core.db.read() as connection:
        kept = household.setting(connection, TOKEN_KEY)
    return kept is not None and hmac.compare_digest(kept.partition(":")[2], digest(token))


# ---- sessions -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that is logged in. ``person``: who acts; None until they said so."""

    id_hash: str
    csrf: str
    person: str | None


def start_session(
    core: Core, now: datetime, *, old: str | None, person: str | None, speed: float = 1.0
) -> str:
    """Begin a session under a new id, which goes into the cookie; the browser's ``old`` one ends.

    ``speed`` is the clock's: people idle in real time.
    """
    new = secrets.token_urlsafe(32)
    with core.db.write() as connection:
        household.end_old_sessions(
            connection, created_before=now - ABSOLUTE * speed, used_before=now - IDLE * speed
        )
        if old:
            household.end_session(connection, digest(old))
        household.add_session(connection, digest(new), secrets.token_urlsafe(32), person, now)
    return new


def find_session(
    core: Core, cookie: str | None, now: datetime, *, touch: bool, speed: float = 1.0
) -> Session | None:
    """The session of this cookie, unless it has ended. ``touch``: a person acts, so its idle time restarts."""
    if not cookie:
        return None
    id_hash = digest(cookie)
    with core.db.read() as connection:
        row = household.session(connection, id_hash)
    if row is None or now - row.created_at > ABSOLUTE * speed or now - row.last_used_at > IDLE * speed:
        return None
    if touch and now - row.last_used_at > TOUCH_AFTER:
        with core.db.write() as connection:
            household.touch_session(connection, id_hash, now)
    return Session(id_hash, row.csrf, row.person)


def set_person(core: Core, session: Session, person: str) -> None:
    with core.db.write() as connection:
        household.set_session_person(connection, session.id_hash, person)


def end_session(core: Core, session: Session) -> None:
    with core.db.write() as connection:
        household.end_session(connection, session.id_hash)


def person_name(text: str) -> str:
    """A name as it is typed. Raises ``UsageError`` when it is none."""
    name = " ".join("".join(c for c in text if c.isprintable()).split())
    if not 1 <= len(name) <= 100:
        raise UsageError("Give a name of 1 to 100 characters; it is noted with whatever you do.")
    return name


# ---- the brake ----------------------------------------------------------------------------------------------


class Brake:
    """Slows guessing: after the fourth wrong token a client waits 1, 2, 4, ... up to 60 seconds.

    Not longer: behind a proxy everybody is one client, and nobody shall be locked out by somebody else. Only the
    last ``most`` clients are remembered, an IPv6 network of 64 bits being one.
    """

    FREE = 3
    LONGEST = timedelta(seconds=60)

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._lock = Lock()
        self._wrong: OrderedDict[str, tuple[int, datetime]] = OrderedDict()

    def wait(self, client: str, now: datetime) -> timedelta:
        """How long this client must still wait before the next try."""
        with self._lock:
            count, last = self._wrong.get(_network(client), (0, now))
        if count <= self.FREE:
            return timedelta(0)
        pause = min(timedelta(seconds=2 ** min(count - self.FREE - 1, 10)), self.LONGEST)
        return max(last + pause - now, timedelta(0))

    def wrong(self, client: str, now: datetime) -> None:
        key = _network(client)
        with self._lock:
            count, _ = self._wrong.pop(key, (0, now))
            self._wrong[key] = (count + 1, now)
            while len(self._wrong) > self._most:
                self._wrong.popitem(last=False)

    def right(self, client: str) -> None:
        with self._lock:
            self._wrong.pop(_network(client), None)


def _network(client: str) -> str:
    try:
        address = ip_address(client)
    except ValueError:
        return client
    return str(ip_network((address, 64), strict=False)) if isinstance(address, IPv6Address) else client
