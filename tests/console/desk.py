"""An operator's desk for tests: people, and a shop with orders in every state."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.db.models import Model, QuerySet
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests import shop
from todoku.audit.models import Entry
from todoku.cart.models import Cart
from todoku.catalog.models import Product
from todoku.console import roles
from todoku.engines.models import Definition, Execution, Mishap, State
from todoku.flows import registry
from todoku.flows.models import Done
from todoku.fulfilment.models import Delivery
from todoku.notify.models import Case, Mail
from todoku.order.models import Order, OrderLine
from todoku.payment.models import Attempt, Intent
from todoku.quote.models import Quote
from todoku.stock.models import Kind, Movement, Reservation
from todoku.webhooks.models import StripeEvent

SECRET = "pi_secret_that_nobody_may_see"
TOKEN = "ctoken_that_nobody_may_see"

STEPS = ["TakeStock", "TakePayment", "RecordOrder", "CloseCart", "PublishToMyPage"]


def operator(name: str, *permissions: str, superuser: bool = False) -> Client:
    """A browser in which an operator with these permissions has logged in."""
    user = User(username=name, is_staff=True, is_superuser=superuser)
    user.set_unusable_password()
    user.save()
    for permission in permissions:
        app, codename = permission.split(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    browser = Client()
    browser.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return browser


def member(name: str, role: str) -> Client:
    """A browser in which somebody of this role (``roles.OWNER`` and so on) has logged in."""
    user = User(username=name, email=f"{name}@example.jp")
    user.set_unusable_password()
    user.save()
    roles.give(user, role)
    browser = Client()
    browser.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return browser


def acts() -> QuerySet[Entry]:
    """What the audit log has of acts, the newest first; that somebody looked at an order is not one."""
    return Entry.objects.exclude(act="looked")


def definition() -> Definition:
    """The checkout flow's definition."""
    flow = registry.flow("checkout")
    return Definition.objects.get_or_create(flow="checkout", digest=flow.digest, defaults={"text": flow.text})[0]


def stuck_order(product: Product, **facts: Any) -> Order:
    """A paid order that has stopped at SendMail, with everything that its life leaves behind."""
    now = timezone.now()
    n = Order.objects.count() + 1
    cart = Cart.objects.create(shopper=shop.new_shopper(), closed_at=now)
    cart.lines.create(product=product, quantity=1)
    amounts = {"goods_total": 4800, "shipping": 600, "total": 5400}
    quote = Quote.objects.create(
        cart=cart,
        cart_version=1,
        **amounts,
        parcels=[{"temperature": "chilled", "size": 80, "fee": 600, "remote": 0}],
        taxes=[{"percent": 8, "base": 4800, "tax": 355}, {"percent": 10, "base": 600, "tax": 54}],
        fingerprint="0" * 64,
    )
    intent = Intent.objects.create(
        cart=cart, quote=quote, stripe_id=f"pi_{n:06d}", amount=5400, client_secret=f"{SECRET}{n}", ready=True
    )
    order = Order.objects.create(
        number=f"T261122-{n:06d}",
        shopper=cart.shopper,
        cart=cart,
        cart_version=1,
        quote=quote,
        intent=intent,
        **amounts,
        parcels=quote.parcels,
        taxes=quote.taxes,
        status=facts.pop("status", "recorded"),
        pay_by=now,
        paid_at=now,
        **{**shop.HANAKO, **facts},
    )
    OrderLine.objects.create(
        order=order, product=product, sku=product.sku, name_ja=product.name_ja, name_en=product.name_en,
        unit_price=4800, quantity=1, percent=8, tax_class="reduced", temperature="chilled", parcel_size=80,
    )  # fmt: skip
    Attempt.objects.create(
        order=order, number=1, confirmation_token=f"{TOKEN}{n}", outcome="paid", charge=f"ch_{n}",
        card_brand="visa", card_last4="4242",
    )  # fmt: skip
    execution = Execution.objects.create(
        order=order, flow="checkout", number=1, definition=definition(), knock="press", status=State.FAILED,
        position="SendMail", error="Unavailable", cause="ConnectionRefusedError: [Errno 111]",
        stopped_at=now + timedelta(seconds=9),
    )  # fmt: skip
    for step in STEPS:
        Done.objects.create(
            order=order, step=step, attempt=1 if step == "TakeStock" else 0, execution=execution.name,
            answer={"outcome": {"TakeStock": "taken", "TakePayment": "paid"}.get(step, "done")},
            began_at=now, ended_at=now + timedelta(milliseconds=7),
        )  # fmt: skip
    for again in (now + timedelta(seconds=2), None):
        Mishap.objects.create(
            execution=execution, state="SendMail", error="Unavailable", cause="refused", again_at=again
        )
    Case.objects.create(
        order=order, execution=execution, code="Unavailable", step="SendMail",
        why="SendMail failed: Unavailable.", technical="ConnectionRefusedError: [Errno 111]", failed_at=now,
    )  # fmt: skip
    details = {name: getattr(order, name) for name in shop.HANAKO}
    Delivery.objects.create(
        order=order, number=1, temperature="chilled", size=80, **details,
        contents=[{"sku": product.sku, "name_ja": "毛がに", "name_en": "Hairy crab", "quantity": 1}],
    )  # fmt: skip
    Mail.objects.create(
        order=order, kind="order_complete", message_id=f"<{n}@example.jp>", recipient=order.email,
        subject=f"ご注文 {order.number}", text="ありがとうございます",
    )  # fmt: skip
    StripeEvent.objects.create(
        event_id=f"evt_{n}", type="payment_intent.succeeded", object_id=intent.stripe_id, livemode=False, order=order
    )
    Reservation.objects.create(order=order, attempt=1, product=product, quantity=1, state="sold")
    Movement.objects.create(product=product, kind=Kind.SOLD, on_hand=0, order=order, who="checkout")
    return order


def lists() -> dict[str, str]:
    """The address of every list in the console, by model."""
    return {
        model._meta.label: reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        for model in admin.site._registry
    }


def details() -> dict[str, str]:
    """The address of one row's page of every kind of row that there is, by model."""
    found = {}
    for model in admin.site._registry:
        row = apps.get_model(model._meta.label).objects.order_by("pk").first()  # type: ignore[attr-defined]
        if row is not None:
            found[model._meta.label] = reverse(
                f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[row.pk]
            )
    return found


def page(thing: Model, act: str = "change") -> str:
    """The address of a row, or of an act on it."""
    return reverse(f"admin:{thing._meta.app_label}_{thing._meta.model_name}_{act}", args=[thing.pk])
