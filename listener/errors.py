"""Every error that Listener raises on purpose.

    ListenerError                what a user reads: one plain message, no traceback
    ├── ConfigError              the configuration is wrong: names file and key            (exit 2)
    ├── UsageError               a command or an action got something it can't use         (exit 2)
    ├── Refused                  an action that the case's state no longer allows          (exit 1)
    ├── StorageError             the database can't be used: full, read-only, newer        (exit 1)
    ├── SourceError              a poll failed; the source backs off and tries again
    │   ├── NotModified          nothing new since the last poll: a good outcome
    │   ├── FetchError           the request failed: down, slow, too large, status
    │   │   ├── RetryLater       429/503 or robots.txt unreachable: wait so long
    │   │   │   └── NotOurTurn   our own pace at that host: other sources are first
    │   │   ├── SourceGone       410: the source stops and says so
    │   │   └── FetchRefused     we must not fetch it: private address, scheme, robots.txt
    │   └── ParseError           the answer is not what this connector reads
    └── DeliveryError            a responder did not accept a message

Bugs are not in this tree: they end a command with a traceback, and park the source, case or delivery at hand.
"""

from __future__ import annotations


class ListenerError(Exception):
    """The base: ``str(error)`` is one plain message for a person; ``exit_code`` is the command's."""

    exit_code = 1


class ConfigError(ListenerError):
    """The configuration can't be used. ``problems`` holds one line a mistake, each with its key path."""

    exit_code = 2

    def __init__(self, place: str, problems: list[str]) -> None:
        self.place = place
        self.problems = problems
        super().__init__("\n".join([f"{place}: {len(problems)} problem(s)", *(f"  {p}" for p in problems)]))


class UsageError(ListenerError):
    """A command or an action was given something that it can't use."""

    exit_code = 2


class Refused(ListenerError):
    """The action is not possible in the case's present state; the message says why."""


class StorageError(ListenerError):
    """The database can't be used; the message names the file and what to do."""


class SourceError(ListenerError):
    """A poll failed. ``advice`` says what an operator can do about it, where that is known."""

    def __init__(self, message: str, *, url: str | None = None, advice: str | None = None) -> None:
        self.url = url
        self.advice = advice
        text = f"{message} ({url})" if url and url not in message else message
        super().__init__(f"{text}. {advice}" if advice else text)


class NotModified(SourceError):
    """The source says, or its bytes show, that nothing has changed since the last poll."""

    def __init__(self, url: str | None = None) -> None:
        super().__init__("not modified", url=url)


class FetchError(SourceError):
    """A request failed: connection, time-out, too large, TLS, or an HTTP status that is an error."""

    def __init__(
        self, message: str, *, url: str | None = None, advice: str | None = None, status: int | None = None
    ) -> None:
        self.status = status
        super().__init__(message, url=url, advice=advice)


class RetryLater(FetchError):
    """The host is to be left alone for ``seconds``.

    ``asked``: it said so itself (Retry-After, a rate limit) and is well; False: its robots.txt can't be read.
    """

    def __init__(
        self,
        message: str,
        *,
        seconds: float,
        url: str | None = None,
        status: int | None = None,
        asked: bool = True,
    ) -> None:
        self.seconds = seconds
        self.asked = asked
        super().__init__(message, url=url, status=status)


class NotOurTurn(RetryLater):
    """Our own manners: requests of other sources are first at this host."""


class SourceGone(FetchError):
    """HTTP 410: the source is gone for good."""


class FetchRefused(FetchError):
    """Listener itself refuses the request: private address, scheme other than http(s), robots.txt."""


class ParseError(SourceError):
    """The answer arrived but is not what this connector reads (HTML for a feed, empty, cut in half)."""


class DeliveryError(ListenerError):
    """A responder did not accept a message.

    ``permanent``: trying again can't help; the delivery is parked and shown. ``retry_after``: seconds that the
    receiver asked for. ``uncertain``: it may have been accepted all the same (a time-out after sending), so the
    next attempt must look before it sends. ``held``: no message at all gets there until a person mends it (a token
    was revoked): all of them wait, and the others are told once. ``alone``: the fault may lie in this message, so
    the others go on.
    """

    def __init__(
        self,
        message: str,
        *,
        permanent: bool = False,
        retry_after: float | None = None,
        uncertain: bool = False,
        held: bool = False,
        alone: bool = False,
    ) -> None:
        self.permanent = permanent
        self.retry_after = retry_after
        self.uncertain = uncertain
        self.held = held
        self.alone = alone
        super().__init__(message)
