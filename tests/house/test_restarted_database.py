"""The database was restarted: whoever asks next is answered, and not after ten seconds."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import psycopg
import pytest
from django.db import connection, connections

SESSIONS = 8


@pytest.mark.django_db(transaction=True)
def test_a_pool_of_dead_connections_holds_nobody_up() -> None:
    together = Barrier(SESSIONS)

    def fill_the_pool(_: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            together.wait(20)
        connections.close_all()

    with ThreadPoolExecutor(SESSIONS) as crowd:
        list(crowd.map(fill_the_pool, range(SESSIONS)))
    connection.close()
    params = {
        name: value
        for name, value in connection.get_connection_params().items()
        if name in ("dbname", "user", "password", "host", "port")
    }
    with psycopg.connect(**params, autocommit=True) as outside:
        ended = outside.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone()
    assert ended is not None
    assert ended[0] >= SESSIONS

    began = time.monotonic()
    for _ in range(SESSIONS):
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            assert cursor.fetchone() == (1,)
        connection.close()
    assert time.monotonic() - began < 2
