"""Everything that knows SQL. The use cases hold a ``Connection`` for a transaction's length and read ``Row``s."""

from sqlalchemy import Connection, Row

__all__ = ["Connection", "Row"]
