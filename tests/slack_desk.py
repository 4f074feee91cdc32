"""A world with a desk on it, for the tests of what Slack shows of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from listener.model import Author
from listener.service import act
from listener.service.desk import ServiceDesk
from tests.world import World


class Office(World):
    """A world whose source has been polled once, with a desk."""

    def __init__(self, folder: Path, **rules: Any) -> None:
        super().__init__(folder, **({"public_url": "https://listener.example.com"} | rules))
        self.desk = ServiceDesk(self.core, lambda: self.now)
        self.settled()
        self._told = 0

    def complain(self, text: str = "", name: str = "", **fields: Any) -> int:
        """Somebody new complains (or ``name`` does); the number of the case."""
        self._told += 1
        name = name or f"Customer {self._told}"
        author = Author("forum.example", name, name)
        self.hear(self.mention(self._told, text, **({"author": author} | fields)))
        return self.cases()[-1].id

    def claimed(self, who: str, text: str = "", name: str = "", **fields: Any) -> int:
        case_id = self.complain(text, name, **fields)
        act.claim(self.core, case_id, who, self.now)
        return case_id
