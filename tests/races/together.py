"""Let many do the same thing at the same moment, each with a database connection of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from django.db import connection, connections

Found = TypeVar("Found")


def together(*acts: Callable[[], Found]) -> list[Found | Exception]:
    """Do all of them at once, in a thread each; answer what each returned or raised, in their order."""
    ready = threading.Barrier(len(acts))

    def run(act: Callable[[], Found]) -> Found | Exception:
        try:
            ready.wait(timeout=30)
            return act()
        except Exception as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


@contextmanager
def without(*dropped: tuple[str, str]) -> Iterator[None]:
    """Take constraints and indexes (table, name) away, and put them back as they were."""
    definitions = []
    with connection.cursor() as cursor:
        for table, name in dropped:
            cursor.execute("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %s", [name])
            row = cursor.fetchone()
            if row is not None:
                definitions.append((table, f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {row[0]}'))
                cursor.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
            else:
                cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = %s", [name])
                definitions.append((table, cursor.fetchone()[0]))
                cursor.execute(f'DROP INDEX "{name}"')
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            for table, definition in definitions:
                # What was done without the constraint must go before it can come back.
                cursor.execute(f"TRUNCATE {table} CASCADE")
                cursor.execute(definition)
