"""No page of the console asks more questions because there are more rows. The lists are found in the console itself."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db import connection, models
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from tests.console import desk
from todoku.big_shop.build import build
from todoku.big_shop.plan import Size
from todoku.order.models import Order
from todoku.quote.models import RemoteIsland, ShippingRule
from todoku.recovery.models import Recovery
from todoku.refund.models import Refund
from todoku.shop.models import Choice

pytestmark = pytest.mark.django_db

#: Most questions that a list may ask, however it is looked at.
MOST = 16
#: Of these there is one, or as many as the house has: nothing to grow.
STAY = {"engines.Definition", "auth.Group"}


def _refund(n: int) -> list[Model]:
    """One yen of the nth newest paid order's."""
    made: Any = made_up(Refund, n)
    made.order = Order.objects.filter(status="complete").order_by("-pk")[n % 1000]
    made.amount, made.needs_two = 1, False
    return [made]


#: What a big shop has no rows of, and what cannot be made up blindly: how to make the nth.
BESIDES: dict[str, Callable[[int], list[Any]]] = {
    "quote.RemoteIsland": lambda n: [RemoteIsland(postal_prefix=f"{n:07d}", fee=900, name_ja="島")],
    "shop.Choice": lambda n: [Choice(topic="limits", before={}, after={"low_stock": n}, who="owner")],
    "refund.Refund": _refund,
    "recovery.Recovery": lambda n: [Recovery(who=f"o{n}", under_way=False, chosen=1, per_second=1, at_once=1)],
    "auth.User": lambda n: [User(username=f"operator{n}", is_staff=True)],
}


def made_up(model: type[Model], n: int) -> Model:
    """A row of a model that nobody has told this test about."""
    facts: dict[str, Any] = {}
    for field in model._meta.concrete_fields:
        if isinstance(field, models.AutoField) or field.has_default() or field.has_db_default() or field.null:
            continue
        if field.is_relation:
            related: Any = field.related_model
            keys = list(related._default_manager.values_list("pk", flat=True).order_by("pk")[:7])
            facts[field.attname] = keys[n % len(keys)] if keys else None
        elif field.choices:
            facts[field.attname] = field.choices[0][0]
        elif isinstance(field, models.GenericIPAddressField):
            facts[field.attname] = "192.0.2.1"
        elif isinstance(field, models.CharField | models.TextField):
            facts[field.attname] = f"{n}"
        elif isinstance(field, models.IntegerField):
            facts[field.attname] = n
        elif isinstance(field, models.DateField):
            facts[field.attname] = timezone.now()
        elif isinstance(field, models.UUIDField):
            facts[field.attname] = uuid.uuid4()
        elif isinstance(field, models.JSONField):
            facts[field.attname] = []
    return model(**facts)


def grow(orders: int, seed: int, before: dict[str, int] | None = None) -> None:
    """Let the shop grow by so many orders, and by so many rows of what orders do not bring along."""
    build(Size(orders=orders, products=12 * seed, seed=seed, days=60), now=timezone.now())
    before = before or {}
    for label in desk.lists():
        model: Any = apps.get_model(label)
        make = BESIDES.get(label)
        if make is not None:
            model._default_manager.bulk_create([row for n in range(orders // 3) for row in make(seed * 1000 + n)])
        elif label not in STAY and model._default_manager.count() < 2 * before.get(label, 1):
            model._default_manager.bulk_create([made_up(model, seed * 1000 + n) for n in range(orders // 3)])


def asked(browser: Client, link: str) -> int:
    """How many questions a page asks."""
    with CaptureQueriesContext(connection) as queries:
        assert browser.get(link).status_code == 200, link
    return len(queries)


def links() -> dict[str, str]:
    """Every list as it opens, searched and filtered; and the front page with its parts."""
    found = {"front": reverse("admin:index"), "now": reverse("admin:now"), "figures": reverse("admin:figures")}
    for name, link in desk.lists().items():
        found[name] = link
        found[f"{name}, second page"] = f"{link}?p=2"
        room = admin.site._registry[apps.get_model(name)]
        if room.search_fields:
            found[f"{name}, searched"] = f"{link}?q=1"
    return found


def test_no_list_asks_more_because_there_is_more(monkeypatch: pytest.MonkeyPatch) -> None:
    # A page of a dozen rows tells as much as one of fifty, in a quarter of the time.
    for room in admin.site._registry.values():
        monkeypatch.setattr(room, "list_per_page", 12)
    owner = desk.operator("owner", superuser=True)
    ShippingRule.objects.get_or_create(free_above=15000)
    Group.objects.get_or_create(name="one")
    rows: list[dict[str, int]] = []
    counts: list[dict[str, int]] = []
    # What is asked once in a process's life is no page's own question.
    for link in links().values():
        owner.get(link)
    # A few rows are enough for all that a page may ask about them; many fill a page and more.
    for seed, orders in ((1, 15), (2, 75)):
        grow(orders, seed, rows[-1] if rows else None)
        rows.append({name: apps.get_model(name)._default_manager.count() for name in desk.lists()})
        counts.append({name: asked(owner, link) for name, link in links().items()})
    few, many = rows
    # A list whose rows cannot be made up is told of in BESIDES, or this test would measure an empty page.
    assert [name for name in few if not few[name]] == []
    assert [name for name in many if many[name] < 2 * few[name] and name not in STAY] == []
    more = {name: (counts[0][name], n) for name, n in counts[1].items() if n > counts[0][name]}
    assert more == {}
    assert {name: n for name, n in counts[1].items() if n > MOST and name not in ("front", "now")} == {}
