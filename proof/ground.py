"""The ground on which a proof is played: a database of its own, made anew, with the tests' settings.

Call ``laid`` before anything of the shop is imported.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def laid(name: str, *, durable: bool = False) -> Iterator[None]:
    """Set Django up on a fresh database of this name, for as long as this lasts.

    A proof in which no server dies need not wait for the disk at each commit; one in which it does is ``durable``.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    if durable:
        from todoku import database

        # Before the tests' settings do it, which let a server in a folder for temporary files not wait for the disk.
        database.ensure()
    import django

    django.setup()
    from django.db import connection, connections
    from django.test.utils import setup_test_environment, teardown_test_environment

    setup_test_environment()
    before = connection.settings_dict["NAME"]
    connection.settings_dict["TEST"]["NAME"] = f"proof_{name}"
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    if durable:
        with connection.cursor() as cursor:
            cursor.execute("SHOW fsync")
            assert cursor.fetchone() == ("on",), "this proof is about a server that waits for the disk"
    else:
        with connection.cursor() as cursor:
            cursor.execute(f'ALTER DATABASE "{connection.settings_dict["NAME"]}" SET synchronous_commit = off')
        connection.close()
        connection.close_pool()  # type: ignore[attr-defined]  # PostgreSQL's has one
    try:
        yield
    finally:
        connections.close_all()
        connection.creation.destroy_test_db(before, verbosity=0)
        connection.close_pool()  # type: ignore[attr-defined]  # PostgreSQL's has one
        teardown_test_environment()
