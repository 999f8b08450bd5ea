"""What every test of the shop may ask for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from rehearsal.api import Rehearsal
from tests import broom, stripe_door
from tests.rehearsal.stripe_schemas import SchemaWatch
from todoku.catalog.models import Product

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


# Before xdist's own, which writes the groups into the tests' names.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests that need the open shop share one, in one process (--dist loadgroup); others go where there is time.

    Two shops that open at once would look for the same free ports.
    """
    for item in items:
        if Path(item.path).parent.name == "open_shop":
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.xdist_group("open_shop"))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, without a screen; one for all of a process's tests, because Playwright allows no second."""
    if not Path(CHROMIUM).exists():
        pytest.fail("the browser tests need Debian's chromium (.ci/run installs it)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture
def rehearsal() -> Iterator[Rehearsal]:
    """A fresh rehearsal Stripe, in process, that the shop's own gateway talks to."""
    from todoku.gateways import stripe as gateway

    fresh = Rehearsal()
    watch = SchemaWatch(strict=True)
    fresh.observers.append(watch)
    stripe_door.current.append(fresh)
    gateway.forget()
    yield fresh
    stripe_door.current.remove(fresh)
    # Every request the shop sent, and every answer and event it got, is as Stripe's own SDK describes it.
    watch.verify(fresh)


@pytest.fixture
def transactional_db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """A database with real commits, swept afterwards in one statement (Django's way takes most of a second)."""
    from django.core.management import call_command
    from django.db import DatabaseError, connection

    with django_db_blocker.unblock():
        yield
        connection.close()
        try:
            broom.sweep()
        except DatabaseError:
            # Not every database of a person's own lets us put its rules aside for a moment.
            call_command("flush", verbosity=0, interactive=False, allow_cascade=True, inhibit_post_migrate=True)


@pytest.fixture
def _django_db_helper(request: pytest.FixtureRequest) -> None:
    """A test that asks for real commits in pytest-django's words gets ours: the audit log refuses its TRUNCATE."""
    marker = request.node.get_closest_marker("django_db")
    real = "transactional_db" in request.fixturenames or (marker is not None and marker.kwargs.get("transaction"))
    request.getfixturevalue("transactional_db" if real else "_django_db_helper")


@pytest.fixture
def crab(transactional_db: None) -> Product:
    """A furnished shop that sells one thing: a chilled crab at 4,800 yen, ten of them."""
    from tests import shop

    shop.furnish()
    return shop.sell()


@pytest.fixture(autouse=True)
def _forget_definitions() -> Iterator[None]:
    """A test's database is emptied after it; what the process remembers of its rows goes too."""
    yield
    from todoku.engines import embedded, plays

    plays.known.clear()
    embedded._read.cache_clear()


@pytest.fixture(autouse=True)
def _forget_choices() -> Iterator[None]:
    """What the process remembers of the owner's choices goes with the test's database."""
    from todoku.shop import chosen

    chosen.forget()
    yield
    chosen.forget()


@pytest.fixture(autouse=True)
def _sweep_last(request: pytest.FixtureRequest) -> None:
    """What else a test asks for is put away before its database is swept."""
    if "transactional_db" in request.fixturenames:
        request.getfixturevalue("transactional_db")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """The tests' database, and its broom; whoever still talks to it at the end is sent home, so that it can go."""
    from django.db import connection

    with django_db_blocker.unblock():
        broom.make()
        connection.close()
    yield
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
