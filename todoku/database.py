"""The database: PostgreSQL at ``DATABASE_URL``, or an embedded one under ``var/``.

How the embedded one is started, shared and stopped is told in postgres.py.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from todoku import postgres
from todoku.postgres import DatabaseUnusable as DatabaseUnusable

LEAST_POSTGRESQL = 15


def var() -> Path:
    """The folder for everything the shop writes: ``TODOKU_VAR``, or ``var/`` beside the code."""
    chosen = os.environ.get("TODOKU_VAR")
    return Path(chosen).expanduser().resolve() if chosen else Path(__file__).resolve().parent.parent / "var"


def start_embedded(directory: Path | None = None, *, lasting: bool = True) -> str:
    """Start the embedded PostgreSQL, or join the one that runs there, and return its URL.

    Raises DatabaseUnusable with a message for the person at the terminal.
    """
    return postgres.start((directory or var()) / "postgres", lasting=lasting)


def ensure(*, lasting: bool = True) -> str:
    """Make sure that ``DATABASE_URL`` names a database, starting the embedded one if it must; return the URL."""
    url = os.environ.get("DATABASE_URL", "")
    if not url:
        url = start_embedded(lasting=lasting)
        os.environ["DATABASE_URL"] = url
    return url


def django_settings(url: str) -> dict[str, Any]:
    """Turn a PostgreSQL URL into Django's ``DATABASES["default"]``, with a connection pool.

    Raises DatabaseUnusable for a URL that names no PostgreSQL.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise DatabaseUnusable(
            f"DATABASE_URL cannot be read ({error}). It must look like postgresql://user:password@host:5432/name; "
            "write signs such as / @ : in the password as %2F %40 %3A."
        ) from error
    if parts.scheme not in ("postgres", "postgresql"):
        raise DatabaseUnusable(
            "DATABASE_URL must look like postgresql://user:password@host:5432/name, "
            f"but it starts with {parts.scheme or 'nothing'!r}. Todoku runs on PostgreSQL only."
        )
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    host = query.pop("host", None) or unquote(parts.hostname or "")
    return {
        "ENGINE": "todoku.restartable",
        "NAME": unquote(parts.path.lstrip("/")) or "postgres",
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": str(port or query.pop("port", "")),
        "CONN_MAX_AGE": 0,
        # One round trip for each request, so that nobody meets a connection that died with the database.
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            **query,
            "pool": {
                "min_size": int(os.environ.get("TODOKU_DB_POOL_MIN", "1")),
                "max_size": int(os.environ.get("TODOKU_DB_POOL_MAX", "16")),
                "timeout": 10,
            },
            "connect_timeout": 5,
            # The server reads a question that comes again and again once: a third less work for it. (A pooler in
            # between must know prepared statements, as PgBouncer does from 1.21 on.)
            "server_side_binding": True,
            "prepare_threshold": 3,
            # A statement or a lock that hangs must not hold a worker for ever; the step is tried again.
            "options": "-c statement_timeout=30000 -c lock_timeout=8000 "
            "-c idle_in_transaction_session_timeout=60000",
        },
    }


def let_go() -> None:
    """Give this thread's connection back to the pool: nobody keeps one while waiting for somebody outside."""
    from django.db import connection

    if not connection.in_atomic_block:
        connection.close()


def check_reachable() -> None:
    """Ask the database for its version; raise DatabaseUnusable with what to do if it will not or is too old."""
    import psycopg

    url = os.environ.get("DATABASE_URL", "")
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            version = connection.info.server_version // 10000
    except psycopg.Error as error:
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DatabaseUnusable(
            f"The database does not answer: {first_line}\n"
            "Check that PostgreSQL runs and that DATABASE_URL is right, or unset DATABASE_URL "
            "to use the embedded one."
        ) from error
    if version < LEAST_POSTGRESQL:
        raise DatabaseUnusable(f"PostgreSQL {version} is too old; Todoku needs {LEAST_POSTGRESQL} or newer.")
