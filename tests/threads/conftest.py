"""The threads' tests are many and small, so their database is swept and not built anew between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection

from rehearsal.api import Rehearsal
from tests.pages.conftest import visitor
from tests.threads.street import Witness

__all__ = ["visitor"]

# What stays: the schema's own rows, which were there before the first test, and the queue, which is emptied elsewhere.
_SWEEP = """
    DO $$ DECLARE t regclass; BEGIN
      SET LOCAL session_replication_role = replica;
      FOR t IN SELECT c.oid FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
                AND c.relname NOT LIKE 'procrastinate%'
                AND c.relname NOT IN ('django_migrations', 'django_content_type', 'auth_permission') LOOP
        EXECUTE format('DELETE FROM %s', t);
      END LOOP;
    END $$
"""


@pytest.fixture
def transactional_db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """A database with real commits, as everywhere; emptied in one statement (Django's way takes most of a second)."""
    with django_db_blocker.unblock():
        yield
        with connection.cursor() as cursor:
            cursor.execute(_SWEEP)


@pytest.fixture
def witness(rehearsal: Rehearsal) -> Witness:
    """Who sees what reaches Stripe."""
    return Witness(rehearsal)


@pytest.fixture(autouse=True)
def _says_its_numbers(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> None:
    """A report (--junitxml) says of each test which threads it rebuilds."""
    for name in ("threads", "seen"):
        value = getattr(request.function, name, None)
        if value:
            record_property(name, " ".join(map(str, value)) if isinstance(value, tuple) else value)
