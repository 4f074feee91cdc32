"""``Fetcher``, one a process, and the client that it gives a connector for one poll."""

from __future__ import annotations

import math
import re
import ssl
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from listener import __version__
from listener.errors import FetchError, FetchRefused, RetryLater, SourceGone
from listener.fetch.connections import Connections
from listener.fetch.guard import Deadline, GuardedBackend, IPNetwork
from listener.fetch.headers import freshness, retry_after
from listener.fetch.hosts import PATIENCE, ROBOTS_BYTES, Hosts, HostState
from listener.fetch.memory import SourceMemory, Validators
from listener.fetch.transport import Transport, require_http, shown
from listener.fetch.turnstile import Turnstile

MAX_REDIRECTS = 5
DEFAULT_WAIT = 60.0  # s, for a 429 or 503 that names no time; the source's own back-off grows from there
_SAFE = ("GET", "HEAD")
_CONDITIONAL = ("If-None-Match", "If-Modified-Since")
# What may follow a redirect to another origin. Anything else may be a key that a connector set for the first
# one.
_HARMLESS = {"accept", "accept-encoding", "accept-language", "connection", "content-length", "content-type"}
_HARMLESS |= {"host", "transfer-encoding", "user-agent"}
_ADVICE = {
    400: "The site rejects the request: check the source's options",
    401: "The site wants a log-in: check the source's token or password",
    403: "The site refuses us: it wants a log-in, or blocks robots",
    404: "Nothing is there: check the URL",
    451: "The site withholds it for legal reasons",
}


@dataclass(frozen=True)
class FetchSettings:
    """``contact`` (e-mail or URL) goes into the User-Agent, so that a site's owner can reach the operator.

    ``allow_private``: networks that may be fetched from though they are not public (an intranet, a test).
    ``deadline``: s for one request, redirects included. ``max_bytes``: of one answer as sent;
    ``max_decoded``: unpacked. ``host_pace``: s between the starts of two requests to one host, 0 for none.
    ``host_concurrency``: requests under way at one host. ``robots``: obey robots.txt.
    """

    contact: str
    allow_private: tuple[IPNetwork, ...] = ()
    deadline: float = 30.0
    max_bytes: int = 20_000_000
    max_decoded: int = 60_000_000
    host_pace: float = 1.0
    host_concurrency: int = 2
    robots: bool = True


class Fetcher:
    """One TLS context, one store of connections, one set of manners towards hosts. Thread-safe.

    ``now`` gives the present instant (aware, UTC). ``load_host`` and ``save_host`` keep a ``HostState`` by
    origin; they are called from the threads that fetch. ``ssl_context`` replaces the default one, for a
    private authority.
    """

    def __init__(
        self,
        settings: FetchSettings,
        *,
        now: Callable[[], datetime],
        load_host: Callable[[str], HostState | None],
        save_host: Callable[[str, HostState], None],
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self.settings = settings
        self.now = now
        self.deadline = Deadline()
        self.turnstile = Turnstile()
        self.hosts = Hosts(
            pace=settings.host_pace,
            concurrency=settings.host_concurrency,
            now=now,
            turnstile=self.turnstile,
            load=load_host,
            save=save_host,
        )
        agent = f"Listener/{__version__} (+{settings.contact})"
        self.headers = {
            b"User-Agent": agent.encode("ascii", "backslashreplace"),
            b"Accept-Encoding": b"gzip, deflate",  # what body.py decodes within bounds
        }
        self._connections = Connections(
            GuardedBackend(settings.allow_private, self.deadline, self.turnstile), ssl_context
        )
        self.transport = Transport(
            self._connections,
            self.deadline,
            max_bytes=settings.max_bytes,
            max_decoded=settings.max_decoded,
            seconds=settings.deadline,
        )

    def client(self, memory: SourceMemory) -> httpx.Client:
        """A client for one poll of one source. Cheap; closing it closes nothing that is shared."""
        return _Client(self, memory)

    def computing(self) -> AbstractContextManager[None]:
        """For a poll: the body computes, its requests wait. Of all threads in such a body one computes."""
        return self.turnstile.inside()

    def close(self) -> None:
        """Close the connections that are kept alive."""
        self._connections.close()

    def read_robots(self, url: str) -> str:
        """The text of a robots.txt, '' when there is none (RFC 9309, 2.3.1). Raises ``FetchError`` when that
        is not known.
        """
        extensions = {"listener_first_bytes": ROBOTS_BYTES}
        request = httpx.Request("GET", url, headers=self.headers, extensions=extensions)
        response = self.transport.handle_request(request)
        for _ in range(MAX_REDIRECTS):
            if not response.has_redirect_location:
                break
            try:
                target = request.url.join(response.headers["location"])
            except httpx.InvalidURL:
                break  # as too many redirects: there is none
            request = httpx.Request("GET", target, headers=self.headers, extensions=extensions)
            response = self.transport.handle_request(request)
        status = response.status_code
        if status == httpx.codes.TOO_MANY_REQUESTS or status >= 500:
            raise FetchError(f"HTTP {status}", url=shown(request.url), status=status)
        # NUL: no rule needs it, and PostgreSQL can't store it.
        return (
            response.content.decode("utf-8-sig", "replace").replace("\0", "") if response.is_success else ""
        )


class _NoCookies(httpx.Cookies):
    """Looks for none in an answer (8% of a request that finds nothing new): the transport has dropped them."""

    def extract_cookies(self, response: httpx.Response) -> None:
        pass


class _Client(httpx.Client):
    """Adds to httpx: manners, memory, redirects one by one, error statuses as errors."""

    def __init__(self, fetcher: Fetcher, memory: SourceMemory) -> None:
        super().__init__(
            transport=fetcher.transport,
            headers=fetcher.headers,
            timeout=fetcher.settings.deadline,
            trust_env=False,
        )
        self._cookies = _NoCookies()
        self._fetcher = fetcher
        self._memory = memory
        self._patience = PATIENCE

    def build_request(self, method: str, url: httpx.URL | str, **options: Any) -> httpx.Request:
        try:
            return super().build_request(method, url, **options)
        except httpx.InvalidURL as error:
            text = re.sub(r"//[^/@]*@", "//", str(url))[:300]
            raise FetchRefused(
                f"{text!r} is not a URL: {error}", advice="Check the source's options"
            ) from None

    def send(
        self,
        request: httpx.Request,
        *,
        stream: bool = False,
        auth: Any = httpx.USE_CLIENT_DEFAULT,
        follow_redirects: Any = httpx.USE_CLIENT_DEFAULT,
    ) -> httpx.Response:
        """As httpx's, but what goes wrong raises ``listener.errors.FetchError``, redirects are followed
        unless that is refused, and ``stream`` changes nothing: a body is always read whole, within its
        bounds.
        """
        url = request.url
        if url.userinfo:  # httpx logs URLs, so it must not stay in them
            if auth is httpx.USE_CLIENT_DEFAULT and self.auth is None:
                auth = httpx.BasicAuth(url.username, url.password)
            request.url = url.copy_with(userinfo=b"")
        deadline = self._fetcher.deadline
        deadline.at = time.monotonic() + self._fetcher.settings.deadline
        try:
            return self._send(request, auth, follow=follow_redirects is not False)
        except (httpx.HTTPError, httpx.InvalidURL) as error:  # httpx's own, for a Location that is no URL
            raise FetchError(f"the answer can't be used: {error}", url=shown(request.url)) from error
        finally:
            deadline.at = math.inf

    def _send(self, request: httpx.Request, auth: Any, *, follow: bool) -> httpx.Response:
        """Fetch from where the URL has moved to for good, or else from the URL itself."""
        asked = str(request.url)
        adopted = self._memory.adopted(asked) if follow and request.method in _SAFE else None
        if adopted is not None:
            target = httpx.Request(
                request.method, adopted, headers=request.headers, extensions=request.extensions
            )
            try:
                response = self._follow(asked, *_go_on(request, target, auth), follow=follow)
            except (RetryLater, SourceGone):
                raise
            except FetchError:
                self._memory.note_move(asked, None)  # not for good after all: ask the old address again
            else:
                self._memory.moved = adopted
                return response
        return self._follow(asked, request, auth, follow=follow)

    def _follow(self, asked: str, request: httpx.Request, auth: Any, *, follow: bool) -> httpx.Response:
        """Follow redirects, and learn from the answer at their end."""
        memory, wishes, start = self._memory, request.extensions, str(request.url)
        known = memory.pages.get(asked) if wishes.get("listener_if_changed") else None
        moved: str | None = None
        for_good = True
        for left in range(MAX_REDIRECTS, -1, -1):
            conditional = known is not None and known.url == str(request.url) and bool(known.headers())
            if known is not None and conditional:
                request.headers.encoding = "latin-1"  # validators may hold any byte
                request.headers.update(known.headers())
            response = self._hop(request, auth)
            if response.next_request is None or not follow:
                break
            if not left:
                raise FetchError(
                    f"more than {MAX_REDIRECTS} redirects", url=start, advice="The site sends us in circles"
                )
            for_good = for_good and response.status_code in (301, 308)
            moved = str(response.next_request.url) if for_good else moved
            request, auth = _go_on(request, response.next_request, auth)
            if conditional:
                for name in _CONDITIONAL:
                    request.headers.pop(name, None)
        self._raise_for_status(response, any_status=bool(wishes.get("listener_any_status")), follow=follow)
        if response.is_error or response.next_request is not None or request.method not in _SAFE:
            return response
        memory.note_move(start, moved)
        memory.note_freshness(freshness(response.headers, self._fetcher.now()))
        if wishes.get("listener_if_changed"):
            if response.status_code == httpx.codes.NOT_MODIFIED and not conditional:
                raise FetchError("HTTP 304 to a request that set no condition", url=start, status=304)
            if response.status_code == httpx.codes.OK:
                found = Validators.of(response)
                memory.remember(asked, found)
                if known and known.url == found.url and known.digest == found.digest:
                    return httpx.Response(304, headers=response.headers, request=response.request)
        return response

    def _hop(self, request: httpx.Request, auth: Any) -> httpx.Response:
        """One request, without redirects, when the host's turn for it comes."""
        require_http(request.url)
        fetcher = self._fetcher
        hosts, remaining = fetcher.hosts, fetcher.deadline.remaining
        url, origin = shown(request.url), _origin(request.url)
        hosts.check(origin, url)
        if fetcher.settings.robots and request.method in _SAFE and not request.extensions.get("listener_api"):
            hosts.ask_robots(origin, str(request.url), fetcher.read_robots, remaining())
        with hosts.turn(origin, url, patience=self._patience, remaining=remaining):
            # A poll that has begun waits longer, else one of several requests could never end at a slow pace.
            self._patience = fetcher.settings.deadline
            return super().send(request, auth=auth, follow_redirects=False)

    def _raise_for_status(self, response: httpx.Response, *, any_status: bool, follow: bool) -> None:
        status, url = response.status_code, shown(response.request.url)
        if status >= 400:
            wait = retry_after(response.headers.get("retry-after"), self._fetcher.now())
            later = status != httpx.codes.GONE and (status in (429, 503) or wait is not None)
            if later:
                wait = wait or DEFAULT_WAIT
                self._fetcher.hosts.pause(_origin(response.request.url), wait)
            if any_status:
                return
            if later and wait is not None:
                raise RetryLater(
                    f"HTTP {status}: the host asks us to wait", seconds=wait, url=url, status=status
                )
            if status == httpx.codes.GONE:
                raise SourceGone("HTTP 410: gone for good", url=url, status=status)
            fault = "The site has a fault of its own" if status >= 500 else _ADVICE[400]
            raise FetchError(f"HTTP {status}", url=url, status=status, advice=_ADVICE.get(status, fault))
        if 300 <= status < 400 and status != httpx.codes.NOT_MODIFIED and follow and not any_status:
            raise FetchError(f"HTTP {status}, a redirect that names no target", url=url, status=status)


def _origin(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode('ascii')}"


def _go_on(request: httpx.Request, onward: httpx.Request, auth: Any) -> tuple[httpx.Request, Any]:
    """The request for the next address, and its log-in: to another origin neither keys nor passwords go
    along.
    """
    onward.url = onward.url.copy_with(userinfo=b"") if onward.url.userinfo else onward.url
    if _origin(onward.url) == _origin(request.url):
        return onward, auth
    for name in [name for name in onward.headers if name not in _HARMLESS]:
        del onward.headers[name]
    onward.headers["Host"] = onward.url.netloc.decode("ascii")
    return onward, None
