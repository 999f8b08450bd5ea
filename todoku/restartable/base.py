"""Django's PostgreSQL, with a pool that gets over a restart of the database at once.

The pool looks at a connection before it gives it out. When the database was restarted all of them are dead, and
the pool by itself finds that out one by one, waiting longer after each: a page with fifteen dead connections
before it would give up. So the first dead one has all the others looked at too.
"""

from __future__ import annotations

from typing import Any

from django.db.backends.postgresql import base
from psycopg import Connection, OperationalError
from psycopg_pool import ConnectionPool


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's own wrapper, with another look at the pool's connections."""

    @property
    def pool(self) -> Any:
        """The pool of this database's connections, made at the first call; None when there is none to be."""
        found = super().pool
        if found is not None and not isinstance(found, _Restartable):
            found.__class__ = _Restartable
        return found


class _Restartable(ConnectionPool[Any]):
    """A pool that, on meeting a dead connection, throws all dead ones out before it hands out the next."""

    def _check_connection(self, conn: Connection[Any]) -> None:
        try:
            super()._check_connection(conn)
        except OperationalError:
            self.check()
            raise
