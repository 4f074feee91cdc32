"""Times that servers ask for in headers. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

MAX_WAIT = timedelta(days=1)  # an absurd wish (a year, a mistyped date) must not silence a source for good

_MAX_AGE = re.compile(r"(?:^|[\s,])max-age\s*=\s*\"?(\d{1,10})", re.IGNORECASE | re.ASCII)
_NO_CACHE = re.compile(r"(?:^|[\s,])no-(?:store|cache)\s*(?:,|$)", re.IGNORECASE | re.ASCII)


def http_date(value: str) -> datetime | None:
    """An HTTP-date (RFC 9110, 5.6.7) in UTC, or None when it is no date."""
    try:
        parsed = parsedate_to_datetime(value)
        # Without an offset, or with -0000, it comes naive: HTTP-dates are GMT by definition.
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):  # parsedate raises each of them for some junk
        return None


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds to wait by a Retry-After header (RFC 9110, 10.2.3: a date or seconds); None when it is absent
    or junk.

    Never less than 1 (a zero, a date that is past) and never more than ``MAX_WAIT``.
    """
    value = (value or "").strip()
    longest = MAX_WAIT.total_seconds()
    # Fractions are against the RFC, but some APIs send them.
    if re.fullmatch(r"\d+(\.\d+)?", value, re.ASCII):
        return longest if len(value) > 20 else min(max(float(value), 1.0), longest)
    moment = http_date(value) if value else None
    return None if moment is None else min(max((moment - now).total_seconds(), 1.0), longest)


def freshness(headers: Mapping[str, str], now: datetime) -> timedelta:
    """How long an answer stays current by its own word: Cache-Control max-age less Age, or else Expires
    (RFC 9111, 4.2). Zero when it does not say, at most ``MAX_WAIT``.
    """
    control = headers.get("cache-control", "")
    if _NO_CACHE.search(control):
        return timedelta(0)
    if match := _MAX_AGE.search(control):
        age = headers.get("age", "").strip()
        seconds = int(match[1]) - (int(age) if re.fullmatch(r"\d{1,10}", age, re.ASCII) else 0)
        return min(max(timedelta(seconds=seconds), timedelta(0)), MAX_WAIT)
    expires = http_date(headers.get("expires", ""))
    if expires is None:
        return timedelta(0)
    sent = http_date(headers.get("date", "")) or now  # both by the server's clock, which may be wrong
    return min(max(expires - sent, timedelta(0)), MAX_WAIT)
