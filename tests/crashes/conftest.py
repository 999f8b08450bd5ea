"""A street for each module of tests, with the shop's own furniture put in anew for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection

from tests import shop, stripe_door
from tests.crashes.street import StripeAndMail, Workers
from todoku.gateways import stripe as gateway


@pytest.fixture(scope="module")
def street() -> Iterator[StripeAndMail]:
    """A Stripe and a mail server with doors of their own."""
    opened = StripeAndMail()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def _workers(
    street: StripeAndMail, django_db_setup: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Workers]:
    workers = Workers(street, tmp_path_factory.mktemp("workers"))
    yield workers
    workers.close()


@pytest.fixture
def workers(street: StripeAndMail, transactional_db: None, _workers: Workers) -> Iterator[Workers]:
    """Real worker processes on the test's database, and a furnished shop whose pages talk to the same Stripe."""
    stripe_door.current.append(street.rehearsal)
    gateway.forget()
    shop.furnish()
    with connection.cursor() as cursor:
        # The gate's row is written by the very first call to Stripe; every worker here passes the same boundaries.
        cursor.execute("INSERT INTO gateways_gate (id, booked, failures, reason) VALUES (1, '{}', 0, '')")
    yield _workers
    _workers.clear()
    street.mailbox.refuse(None)
    street.rehearsal.reset()
    street.rehearsal.confirm_seconds = 0.0
    stripe_door.current.remove(street.rehearsal)
