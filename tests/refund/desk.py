"""A shop with a paid order, and the people who give money back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from rehearsal.api import Rehearsal
from tests import shop
from todoku.catalog.models import Product
from todoku.engines import engine
from todoku.order.models import Order
from todoku.refund import ask
from todoku.refund.models import Refund
from todoku.refund.rules import Part, Wish


def person(name: str = "sato") -> User:
    """Somebody who works in the shop."""
    found = User.objects.filter(username=name).first()
    return found or User.objects.create(username=name, is_staff=True)


def bought(rehearsal: Rehearsal, product: Product, quantity: int = 2, number: str = shop.VISA) -> Order:
    """An order that has arrived: two crabs and their chilled parcel, 10,200 yen."""
    order = shop.order_one(rehearsal, product, quantity, number)
    shop.work_off()
    order.refresh_from_db()
    assert order.status == "complete", order.status
    return order


def bought_at_konbini(rehearsal: Rehearsal, product: Product) -> Order:
    """An order paid at a convenience store."""
    order = shop.order_at_konbini(rehearsal, product)
    shop.work_off()
    order.refresh_from_db()
    assert order.intent.stripe_id is not None
    rehearsal.pay_at_till(order.intent.stripe_id)
    engine.play("checkout", order, knock="webhook")
    shop.work_off()
    order.refresh_from_db()
    assert order.status == "complete", order.status
    return order


def knock(order: Order) -> None:
    """Stripe tells something of the order's refunds, and the worker plays what there is to play."""
    engine.play("refund", order, knock="webhook")
    shop.work_off()


def wish(order: Order, *, crabs: int = 0, back: bool = False, other: int = 0, **more: Any) -> Wish:
    """What is to be given back."""
    line = order.lines.get()
    lines: Mapping[int, Part] = {line.pk: Part(crabs, back)} if crabs else {}
    return Wish(**{"reason": "damaged", "note": "脚が折れていた", "lines": lines, "other": other, "mail": True, **more})


def request(order: Order, by: User | None = None, *, token: str = "", **wanted: Any) -> Refund:
    """Ask for a refund as the console does."""
    by = by or person()
    return ask.request(order, by=by, wish=wish(order, **wanted), token=token or ask.issue(order, by))


def at_stripe(rehearsal: Rehearsal) -> list[dict[str, Any]]:
    """Every refund that Stripe has, the newest first."""
    answer = rehearsal.handle("GET", "/v1/refunds?limit=100", {"Authorization": "Bearer sk_test_rehearsal"})
    return list(json.loads(answer.body)["data"])


def stands(refund: Refund) -> str:
    """How the refund stands by now."""
    return str(Refund.objects.values_list("state", flat=True).get(pk=refund.pk))


def long_ago(refund: Refund, **ago: float) -> None:
    """Let so much time have gone by since Stripe was first asked."""
    Refund.objects.filter(pk=refund.pk).update(asked_at=timezone.now() - timedelta(**ago))
