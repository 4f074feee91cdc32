"""The one way out to the network: an httpx client made safe and polite.

    guard.py    where it may connect to (public addresses only) and for how long (a total deadline)
    body.py     how much it reads, compressed and decoded
    headers.py  Retry-After, Cache-Control, Expires
    hosts.py    the manners towards a host: pace, concurrency, "come back later", robots.txt
    memory.py   what is remembered of a source between polls: validators, permanent redirects
    client.py   ``Fetcher`` (one a process) and the client that a connector gets for one poll

A connector's ``http`` is an ``httpx.Client`` that raises ``listener.errors.FetchError`` and its kin. It knows
these request extensions: ``listener_if_changed`` (see ``ports.get_if_changed``), ``listener_any_status``
(give me error statuses as answers) and ``listener_api`` (a documented API: robots.txt, which is for crawlers,
does not apply).
"""

from listener.fetch.client import Fetcher, FetchSettings
from listener.fetch.hosts import HostState
from listener.fetch.memory import SourceMemory

__all__ = ["FetchSettings", "Fetcher", "HostState", "SourceMemory"]
