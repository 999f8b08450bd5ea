"""Real orders that have stopped, each in the way in which it happens: played by the engine, against the rehearsal."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from django.utils import timezone

from rehearsal.api import Rehearsal
from tests import shop
from tests.quick import knock, play
from todoku.bad_news import NeedsOperator, Unavailable
from todoku.catalog.models import Product
from todoku.flows.checkout import STEPS
from todoku.notify.models import Case
from todoku.order.models import Order
from todoku.stock.count import adjust

THREE_D_SECURE = "4000002760003184"


@contextmanager
def broken(step: str, error: Callable[[], Exception]) -> Any:
    """Let a step fail for as long as this lasts."""

    def fail(*_: Any) -> Any:
        raise error()

    whole = STEPS[step]
    STEPS[step] = replace(whole, outside=fail) if whole.outside is not None else replace(whole, effect=fail)
    try:
        yield
    finally:
        STEPS[step] = whole


def at(rehearsal: Rehearsal, product: Product, step: str, error: Callable[[], Exception]) -> Case:
    """An order that has stopped at a step."""
    order = shop.order_one(rehearsal, product)
    with broken(step, error):
        play(order)
    return Case.objects.get(order=order, closed_at=None)


def without_mail_server(rehearsal: Rehearsal, product: Product) -> Case:
    """The mail server is away."""
    return at(rehearsal, product, "SendMail", lambda: Unavailable("no mail server"))


def with_a_wrong_address(rehearsal: Rehearsal, product: Product) -> Case:
    """The mail server knows no such address."""
    return at(rehearsal, product, "SendMail", lambda: NeedsOperator("mail_refused", "refused for good"))


def by_a_bug(rehearsal: Rehearsal, product: Product) -> Case:
    """Our own code has a fault."""
    return at(rehearsal, product, "PublishToMyPage", lambda: ZeroDivisionError("a bug planted here"))


def with_other_money(rehearsal: Rehearsal, product: Product, *, given_back: int = 300) -> Case:
    """Somebody has given a part back at Stripe before the order was recorded."""
    order = play(shop.order_one(rehearsal, product, number=THREE_D_SECURE))
    rehearsal.authenticate(str(order.intent.stripe_id), passed=True)
    charge = next(one for one in shop.charges(rehearsal) if one["payment_intent"] == order.intent.stripe_id)
    rehearsal.refund_by_hand(charge["id"], given_back, "requested_by_customer")
    knock(order)
    return Case.objects.get(order=order, closed_at=None)


def without_goods(rehearsal: Rehearsal, product: Product, *, quantity: int = 1) -> Case:
    """A store has reported a payment after the end, and the shelf is empty by now."""
    order = play(shop.order_at_konbini(rehearsal, product, quantity))
    rehearsal.expire_voucher(str(order.intent.stripe_id))
    Order.objects.filter(pk=order.pk).update(pay_by=timezone.now())
    order = knock(order)
    on_hand = shop.levels(product)[0]
    adjust({product.pk: -on_hand}, who="test", why="sold in the store")
    rehearsal.report_late(str(order.intent.stripe_id))
    knock(order)
    return Case.objects.get(order=order, closed_at=None)
