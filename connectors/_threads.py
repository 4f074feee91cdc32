"""Which threads of a forum are to be read, and where: the cursor of the forum connector."""

from __future__ import annotations

from pydantic import BaseModel, ValidationError

from connectors._pages import digest
from listener.errors import FetchError, FetchRefused, ParseError, SourceError, SourceGone

_THREADS = 300  # that the cursor remembers at least, about 10 kB; always as many as the list shows


class Visit(BaseModel):
    """A page of a thread that is to be read."""

    thread: str
    page: str
    stamp: str = ""
    title: str = ""
    number: int = 1


class Known(BaseModel):
    """A thread as it was when it was last read; ``page`` is where it ended, if that is not its first page."""

    stamp: str = ""
    page: str | None = None


class Threads(BaseModel):
    """The cursor of a forum. A round begins with the list of threads and ends when ``todo`` is empty."""

    start: str = ""
    site: str = ""  # of the list, after redirects
    threads: dict[str, Known] = {}  # by digest of the address, the longest unseen first
    todo: list[Visit] = []
    listed: int = 0
    complete: bool = False  # the last round: only then does an unchanged list mean that nothing is new
    ever: bool = False  # has any thread been read
    misses: int = 0  # threads that the selectors did not fit since one was read

    @classmethod
    def load(cls, cursor: str | None, start: str) -> Threads:
        try:
            at = cls.model_validate_json(cursor or "{}")
        except ValidationError:  # that of another version
            at = cls()
        return at if at.start == start else cls(start=start)

    def offer(self, url: str, stamp: str, title: str) -> None:
        """A thread stands in the list; it will be visited unless it is as it was (``stamp`` empty: not known)."""
        key = digest(url)
        if any(v.thread == url for v in self.todo):
            return
        known = self.threads.pop(key, None)
        if known:
            self.threads[key] = known
        if not (known and stamp and known.stamp == stamp):
            page = known.page if known and known.page else url
            self.todo.append(Visit(thread=url, page=page, stamp=stamp, title=title[:200]))
        self.listed += 1
        self.complete = self.complete and bool(stamp)

    def read(self, visit: Visit, more: str | None, limit: int) -> None:
        """The first page to do has been read; ``more`` is the thread's next page, ``limit`` the most at a time."""
        self.todo.pop(0)
        self.ever, self.misses = True, 0
        at_limit = more is not None and visit.number >= limit
        if more and not at_limit:
            self.todo.insert(0, visit.model_copy(update={"page": more, "number": visit.number + 1}))
            return
        page = more or visit.page
        stamp = "" if at_limit else visit.stamp  # the next round goes on from ``page``
        self.complete = self.complete and not at_limit
        self._remember(visit, Known(stamp=stamp, page=page if page != visit.thread else None))

    def failed(self, visit: Visit, error: SourceError) -> None:
        """The first page to do could not be read."""
        self.todo.pop(0)
        self.misses += isinstance(error, ParseError)
        lasting = isinstance(error, ParseError | FetchRefused | SourceGone) or (
            isinstance(error, FetchError) and error.status is not None and 400 <= error.status < 500
        )
        if not lasting:
            self.complete = False  # it comes again with the next round
        elif visit.number == 1 and visit.page != visit.thread:  # where it ended last time is gone
            self.todo.insert(0, visit.model_copy(update={"page": visit.thread}))
        else:  # not again before it changes
            self._remember(visit, Known(stamp=visit.stamp))

    def forget(self) -> None:
        """Keep the cursor small: the threads that were not seen for longest go."""
        keep = max(_THREADS, self.listed)
        self.threads = dict(list(self.threads.items())[-keep:])
        if not self.todo:
            self.listed = 0

    def _remember(self, visit: Visit, known: Known) -> None:
        key = digest(visit.thread)
        self.threads.pop(key, None)
        self.threads[key] = known
