"""Notices as signed JSON over HTTP."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any

import httpx
from pydantic import BaseModel, ConfigDict, Field, HttpUrl, SecretStr, TypeAdapter

from listener.errors import DeliveryError
from listener.model import Delivery, Notice

VERSION = 1
TEMPORARY = frozenset({408, 425, 429})  # besides all 5xx
_NOTICE = TypeAdapter(Notice)


class Webhook(BaseModel):
    """Sends each notice as a JSON POST to a program of yours, signed so that it can tell us from others.

    An answer of 2xx accepts it. 408, 425, 429 and 5xx are tried again (Retry-After is honoured); any other
    answer, a redirect too, parks the delivery. How to check the signature: responders/README.md.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    url: HttpUrl = Field(description="where to send it")
    secret: SecretStr = Field(min_length=16, description="the key of the signature, at least 16 characters")
    timeout_seconds: float = Field(default=10, gt=0, le=60, description="the longest wait for an answer")

    def send(self, delivery: Delivery) -> None:
        """Raises ``DeliveryError``: ``uncertain`` when the request may have arrived without an answer."""
        body = payload(delivery)
        stamp = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Listener",
            "Idempotency-Key": delivery.key,
            "Listener-Timestamp": stamp,
            "Listener-Signature": f"v1={sign(self.secret.get_secret_value(), stamp, body)}",
        }
        host = self.url.host
        try:
            # Streamed so that the answer's body, which says nothing that we need, is never read.
            with self._client.stream("POST", str(self.url), content=body, headers=headers) as response:
                status, answer = response.status_code, response.headers
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError) as error:
            raise DeliveryError(
                f"webhook {host} is not reachable ({error})", uncertain=delivery.uncertain
            ) from error
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise DeliveryError(f"webhook {host} did not answer ({reason})", uncertain=True) from error
        if 200 <= status < 300:
            return
        if status in TEMPORARY or status >= 500:
            raise DeliveryError(
                f"webhook {host} answered {status}", retry_after=_seconds(answer.get("Retry-After"))
            )
        hint = f": redirects to {answer['Location'][:200]!r}, configure that" if "Location" in answer else ""
        raise DeliveryError(f"webhook {host} answered {status}{hint}", permanent=True)

    def check(self) -> list[tuple[bool, str]]:
        """Whether something answers at the address. HEAD delivers nothing, so any answer is good."""
        try:
            status = self._client.head(str(self.url)).status_code
        except httpx.HTTPError as error:
            return [(False, f"{self.url.host} is not reachable ({error}); check url")]
        return [(True, f"{self.url.host} is reachable (it answered HEAD with {status})")]

    @cached_property
    def _client(self) -> httpx.Client:
        return httpx.Client(timeout=self.timeout_seconds, follow_redirects=False)


def payload(delivery: Delivery) -> bytes:
    """The body: ``{"version", "key", "channel", "notice"}``, the notice with the fields of ``model.Notice``
    but the picture.

    Instants are ISO 8601 in UTC, lengths of time ISO 8601 durations. New fields may appear within a version;
    none changes its meaning or goes away. Broken surrogates become ``?``: JSON in UTF-8 can't hold them.
    """
    notice: dict[str, Any] = _NOTICE.dump_python(delivery.notice, mode="json", exclude={"picture"})
    body = {"version": VERSION, "key": delivery.key, "channel": delivery.channel, "notice": notice}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """Hex HMAC-SHA256 of ``timestamp + "." + body``."""
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _seconds(retry_after: str | None) -> float | None:
    """RFC 9110: seconds or a date. None when it is absent or neither."""
    if retry_after is None:
        return None
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
