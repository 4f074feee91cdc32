"""What the web part must be told."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from listener.triage import REASONS

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class WebSettings:
    """How the web part is run.

    ``public_url``: as browsers see it. ``token``: the configured log-in secret; None: one is made at the first
    start, see ``listener.web.login.login_token``. ``allowed_hosts``: names that browsers may use, besides loopback
    and that of ``public_url``. ``clock_speed``: how many seconds pass in a second (the demo's quickened clock).
    ``reasons``: those that a complaint may have.
    ``embedded``: the three jobs run in this process, so that a silent clock is a fault and not cron's business.
    """

    public_url: str | None = None
    token: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    clock_speed: float = 1.0
    demo: bool = False
    embedded: bool = True
    reasons: tuple[str, ...] = REASONS

    @property
    def secure_cookies(self) -> bool:
        return (self.public_url or "").startswith("https://")

    @property
    def hosts(self) -> frozenset[str]:
        """Every name that a Host header may carry, in lower case, without port."""
        public = urlsplit(self.public_url or "").hostname
        return frozenset(h.lower() for h in (*LOOPBACK_NAMES, *self.allowed_hosts, public) if h)
