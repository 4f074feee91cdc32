"""One request and its answer, bounded in time and size; every failure told in plain words."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable
from typing import cast

import httpcore
import httpx

from listener.errors import FetchError, FetchRefused
from listener.fetch.body import BodyError, read_body
from listener.fetch.connections import Connections
from listener.fetch.guard import AddressRefusedError, Deadline

_BROKEN = (httpcore.RemoteProtocolError, httpcore.ReadError, httpcore.WriteError)


def shown(url: httpx.URL) -> str:
    """A URL as it may be logged: without user name and password, of bounded length."""
    text = str(url.copy_with(userinfo=b"") if url.userinfo else url)
    return text if len(text) <= 300 else text[:300] + "…"


def require_http(url: httpx.URL) -> None:
    """Raises ``FetchRefused`` unless a URL is absolute, of http or https."""
    if url.scheme not in ("http", "https") or not url.host or not 0 < (url.port or 80) < 65_536:
        raise FetchRefused(
            f"{shown(url)!r} is not an http or https address", advice="Listener fetches nothing else"
        )


class Transport(httpx.BaseTransport):
    """Exchanges one request for one answer whose body is read and decoded. Raises only ``FetchError``.

    The request extension ``listener_first_bytes`` asks for no more than so many bytes of the body.
    Closing it does nothing: its connections belong to the ``Fetcher``.
    """

    def __init__(
        self,
        connections: Connections,
        deadline: Deadline,
        *,
        max_bytes: int,
        max_decoded: int,
        seconds: float,
    ) -> None:
        self._connections = connections
        self._deadline = deadline
        self._max_bytes = max_bytes
        self._max_decoded = max_decoded
        self._seconds = seconds

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        require_http(request.url)
        try:
            self._deadline.connected = False
            try:
                return self._exchange(request)
            except _BROKEN:
                # The host hung up on a kept-alive connection just as we used it; that says nothing of the
                # host.
                if self._deadline.connected or request.method not in ("GET", "HEAD"):
                    raise
                return self._exchange(request)
        except BodyError as error:
            raise FetchError(str(error), url=shown(request.url)) from error
        except AddressRefusedError as error:
            raise FetchRefused(
                f"{error.host} has the address {error.address}, which is not on the public internet",
                url=shown(request.url),
                advice=f'If that is meant, add "{error.address}" or its network to fetch.allow_private',
            ) from error
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            raise self._explain(error, request) from error

    def _exchange(self, request: httpx.Request) -> httpx.Response:
        left = self._deadline.limit(None)
        wished = request.extensions.get("timeout") or {}
        timeout = {kind: min(wished.get(kind) or left, left) for kind in ("connect", "read", "write")}
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        with self._connections.lend(url.origin) as connection:
            answer = connection.handle_request(
                httpcore.Request(
                    method=request.method,
                    url=url,
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions={"timeout": timeout},
                )
            )
            try:
                headers = httpx.Headers(answer.headers)
                headers.pop("set-cookie", None)  # nobody keeps them, so nobody need parse them
                encoding = headers.get("content-encoding", "")
                body = self._read(request, headers, cast(Iterable[bytes], answer.stream), encoding)
            finally:
                answer.close()
        if encoding:
            del headers["content-encoding"]  # so that httpx does not decode again
            headers.pop("content-length", None)
        return httpx.Response(answer.status, headers=headers, content=body, extensions=answer.extensions)

    def _read(
        self, request: httpx.Request, headers: httpx.Headers, stream: Iterable[bytes], encoding: str
    ) -> bytes:
        first_bytes = request.extensions.get("listener_first_bytes")
        size = headers.get("content-length", "")
        announced = int(size) if size.isdecimal() and request.method != "HEAD" else 0
        if first_bytes is None and announced > self._max_bytes:
            raise BodyError(f"the answer is larger than {self._max_bytes:,} bytes")
        return read_body(
            stream,
            encoding,
            max_bytes=self._max_bytes,
            max_decoded=first_bytes or self._max_decoded,
            truncate=first_bytes is not None,
        )

    def _explain(self, error: Exception, request: httpx.Request) -> FetchError:
        url = request.url
        cause = error.args[0] if error.args and isinstance(error.args[0], Exception) else error
        advice: str | None = None
        detail = " ".join(str(cause).split())[:200]
        if isinstance(error, httpcore.TimeoutException):
            wished = filter(None, (request.extensions.get("timeout") or {}).values())
            what = f"no complete answer within {min([self._seconds, *wished]):g} s"
            advice = "The server is slow, overloaded or blocks us; fetch.deadline sets the time"
        elif isinstance(cause, socket.gaierror | UnicodeError):
            what = f"the name {url.host} can't be found"
            advice = "Check the URL's spelling and this machine's DNS"
        elif isinstance(cause, ssl.SSLCertVerificationError):
            what = f"the certificate of {url.host} can't be trusted: {cause.verify_message}"
            advice = "It is always verified: the site must repair it"
        elif isinstance(cause, ssl.SSLError):
            what = f"no TLS with {url.host}: {detail}"
        elif isinstance(error, httpcore.ConnectError):
            reason = cause.strerror if isinstance(cause, OSError) and cause.strerror else detail
            what = f"can't connect to {url.host}: {reason}"
            advice = "Check the URL, and whether the site is up"
        elif isinstance(error, httpcore.LocalProtocolError):
            what = f"the request can't be sent: {detail}"
        elif isinstance(error, httpcore.RemoteProtocolError):
            what = f"the answer is cut off or not HTTP: {detail}"
        else:
            what = f"the connection broke: {detail}"
        return FetchError(what, url=shown(url), advice=advice)
