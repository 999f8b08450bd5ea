"""Every address x eight kinds of visitor: nobody gets more than ``routes.py`` says, and no address is forgotten."""

from __future__ import annotations

import copy
import logging
import re
import uuid
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import connection, transaction
from django.http import HttpResponse
from django.template.response import SimpleTemplateResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from rehearsal.api import Rehearsal
from tests import shop
from tests.console import desk
from tests.console.routes import ACTORS, ROUTES, Row
from todoku.audit.write import write
from todoku.console import roles
from todoku.console.site import ConsoleSite
from todoku.order import links
from todoku.order.models import MyPageEntry, Order
from todoku.quote.models import RemoteIsland
from todoku.reconciliation.models import Run
from todoku.recovery.models import Recovery
from todoku.refund.models import Refund
from todoku.ringing.models import Channel
from todoku.shop.models import Choice
from todoku.stock.models import Restock
from todoku.storefront import errors, shopper

pytestmark = pytest.mark.django_db

#: The table is asked in so many tests, so that a busy machine does not run into a test's time limit.
PARTS = 4


def walk(patterns: Any, before: str = "") -> Iterator[str]:
    """Every route of the site, as the ``urls.py`` files write it."""
    for pattern in patterns:
        here = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from walk(pattern.url_patterns, here)
        elif isinstance(pattern, URLPattern):
            # This one names every app in its pattern.
            yield "console/<app_label>/" if "(?P<app_label>" in here else here


def test_every_route_has_its_line_and_every_line_its_route() -> None:
    site = set(walk(get_resolver().url_patterns))
    assert site - set(ROUTES) == set(), "add these to tests/console/routes.py, with what each visitor gets"
    assert set(ROUTES) - site == set(), "these are gone: take them out of tests/console/routes.py"


class World:
    """A shop with one of everything, and eight browsers."""

    def __init__(self) -> None:
        self.client = Client(raise_request_exception=False)
        shop.furnish()
        RemoteIsland.objects.create(postal_prefix="100", fee=900, name_ja="伊豆")
        crab = shop.sell()
        mine, others = "m" * 43, "o" * 43
        self.order = desk.stuck_order(crab)
        Order.objects.update(shopper=shopper.fingerprint(mine))
        MyPageEntry.objects.create(order=self.order, shopper=shopper.fingerprint(mine))
        self._rows()
        self.token = links.token(self.order)
        self.browsers = {"anonymous": Client(), "shopper": Client(), "other shopper": Client()}
        self.browsers["shopper"].cookies[shopper.cookie_name()] = mine
        self.browsers["other shopper"].cookies[shopper.cookie_name()] = others
        for key in roles.ROLES:
            self.browsers[key.replace("_", " ")] = desk.member(key, key)
        expired = desk.member("expired", roles.OWNER)
        Session.objects.filter(session_key=expired.cookies["sessionid"].value).delete()
        self.browsers["expired"] = expired
        assert set(self.browsers) == set(ACTORS)

    def _rows(self) -> None:
        write(who="owner", act="changed")
        Channel.objects.create(name="mail", address="operator@example.jp")
        Choice.objects.create(topic="limits", before={}, after={}, who="owner")
        Restock.objects.create(file="restock.csv", digest="0", encoding="utf-8", rows=[], who="owner")
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO procrastinate_workers DEFAULT VALUES")  # or nobody is ready (/readyz)
        Recovery.objects.create(who="owner", chosen=0, per_second=5, at_once=20)
        Refund.objects.create(
            order=self.order, number=1, token=uuid.uuid4(), amount=100, other=100, reason="goodwill", note="broken leg",
            requested_by=User.objects.create(username="sato"),
        )  # fmt: skip
        Run.objects.create(kind="window", since=timezone.now(), started_at=timezone.now())

    def address(self, route: str, row: Row) -> str:
        """The row's address in this world."""
        of = re.match(r"console/(\w+)/(\w+)/", route)
        url = row.url or "/" + (route.replace("<int:pk>", f"{{{of[1]}.{of[2]}}}") if of else route)
        assert not re.search(r"[<(]", url), f"{route} wants an address of its own"
        return re.sub(r"\{([a-z_.]+)\}", lambda found: self._first(found[1]), url)

    def _first(self, name: str) -> str:
        if name == "token":
            return self.token
        first = apps.get_model(name)._default_manager.order_by("pk").first()
        assert first is not None, f"World._rows has no {name}"
        return str(first.pk)

    def ask(self, actor: str, method: str, address: str) -> tuple[str, bytes]:
        """What this visitor gets: one of the signs of ``routes.py``. Nothing that comes of a POST stays."""
        # One client for all: each new one would build all the middleware anew.
        self.client.cookies = copy.copy(self.browsers[actor].cookies)
        with transaction.atomic() if method == "POST" else nullcontext():
            answer = self.client.generic(method, address)
            body = b"" if answer.streaming else answer.content
            if method == "POST":
                transaction.set_rollback(True)
        return _sign(answer), body


def _sign(answer: Any) -> str:
    status = answer.status_code
    if status in (301, 302, 303):
        return "L" if answer.headers["Location"].startswith("/console/login/") else ">"
    if 200 <= status < 300:
        return "."
    return {403: "x", 404: "0", 405: "m", 400: "?", 413: "?", 415: "?", 422: "?"}.get(status, f"[{status}]")


@pytest.fixture
def world(db: None, rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """One world for the whole table. How a page looks is for other tests, so the console's pages are not drawn."""
    monkeypatch.setattr(SimpleTemplateResponse, "rendered_content", "")
    monkeypatch.setattr(errors, "_page", lambda request, status, *words: HttpResponse(status=status))
    monkeypatch.setattr(ConsoleSite, "each_context", lambda site, request: {})
    logging.disable(logging.CRITICAL)
    yield World()
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("part", range(PARTS))
def test_every_visitor_gets_what_the_table_says(part: int, world: World) -> None:
    wrong = []
    for route, row in list(ROUTES.items())[part::PARTS]:
        address = world.address(route, row)
        for method, told in (("GET", row.get), ("POST", row.post)):
            expected = told.replace(" ", "")
            got = ""
            for actor in ACTORS:
                sign, body = world.ask(actor, method, address)
                got += sign
                if row.private and actor not in ("shopper",) and world.order.number.encode() in body:
                    wrong.append(f"{route}: {actor} sees {world.order.number}")
            if got != expected:
                wrong.append(f"{route}: {method} is {got}, the table says {expected}")
    assert not wrong, "\n".join(wrong)
