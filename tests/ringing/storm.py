"""Many orders that have stopped, made in a few statements: what a bug after the payment leaves behind in a storm."""

from __future__ import annotations

from django.utils import timezone

from tests.console import desk
from todoku.cart.models import Cart
from todoku.catalog.models import Product
from todoku.engines.models import Execution, State
from todoku.notify.models import Case
from todoku.order.models import Order
from todoku.payment.models import Intent
from todoku.quote.models import Quote


def stopped(product: Product, many: int, *, code: str = "Unavailable", step: str = "SendMail") -> list[Case]:
    """So many paid orders that have stopped, each with its case, which is to ring now."""
    first = Order.objects.first() or desk.stuck_order(product)
    Case.objects.filter(order=first).delete()
    n = Order.objects.count()
    now = timezone.now()
    kept = {
        field.attname: getattr(first, field.attname)
        for field in Order._meta.concrete_fields
        if field.attname not in ("id", "number", "cart_id", "cart_version", "intent_id", "quote_id", "uuid")
    }
    like = {
        field.attname: getattr(first.quote, field.attname)
        for field in Quote._meta.concrete_fields
        if field.attname not in ("id", "cart_id", "created_at", "quoted_at")
    }
    carts = Cart.objects.bulk_create(Cart(shopper=first.shopper, closed_at=now) for _ in range(many))
    quotes = Quote.objects.bulk_create(Quote(**like, cart=cart) for cart in carts)
    intents = Intent.objects.bulk_create(
        Intent(cart=quote.cart, quote=quote, stripe_id=f"pi_storm{n + i}", amount=first.total, ready=True)
        for i, quote in enumerate(quotes)
    )
    orders = Order.objects.bulk_create(
        Order(**kept, number=f"T261128-{n + i:06d}", cart=quote.cart, cart_version=1, quote=quote, intent=intent)
        for i, (quote, intent) in enumerate(zip(quotes, intents, strict=True))
    )
    plays = Execution.objects.bulk_create(
        Execution(
            order=order, flow="checkout", number=1, definition=desk.definition(), knock="press",
            status=State.FAILED, position=step, error=code, stopped_at=now,
        )
        for order in orders
    )  # fmt: skip
    return Case.objects.bulk_create(
        Case(
            order=order, execution=play, code=code, step=step, why=f"{step} failed: {code}.", failed_at=now, ring_at=now
        )
        for order, play in zip(orders, plays, strict=True)
    )
