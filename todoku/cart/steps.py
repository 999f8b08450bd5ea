"""What a flow may ask of the cart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.utils import timezone

from todoku.cart.models import Cart, Line

if TYPE_CHECKING:
    from todoku.order.models import Order


def close_cart(order: Order, _: None) -> dict[str, Any]:
    """Close the cart for good: what was paid leaves, what the shopper added meanwhile moves to a new cart.

    A cart that has touched money is never used again (public thread 20: a thawed basket charged twice).
    """
    cart = Cart.objects.select_for_update(no_key=True).get(pk=order.cart_id)
    if cart.closed_at is not None:
        return {"outcome": "closed"}
    was_aside = cart.set_aside_at is not None
    cart.closed_at = timezone.now()
    cart.save(update_fields=["closed_at", "changed_at"])
    kept = 0 if was_aside else _move_on(cart, order)
    return {"outcome": "closed", "kept": kept} if kept else {"outcome": "closed"}


def set_aside(order: Order) -> bool:
    """Take the cart out of the shopper's hand while its order waits to be paid; say whether it was there.

    Must run in a transaction. What the shopper added meanwhile moves to a new cart.
    """
    cart = Cart.objects.select_for_update(no_key=True).get(pk=order.cart_id)
    if cart.closed_at is not None or cart.set_aside_at is not None:
        return False
    cart.set_aside_at = timezone.now()
    cart.save(update_fields=["set_aside_at", "changed_at"])
    _move_on(cart, order)
    return True


def _move_on(cart: Cart, order: Order) -> int:
    """Give the shopper a new cart with what is in this one beyond its order; return how many lines that is."""
    if cart.version == order.cart_version:
        return 0
    bought = {line.product_id: line.quantity for line in order.lines.all()}
    left = [
        (line.product_id, line.quantity - bought.get(line.product_id, 0))
        for line in cart.lines.all()
        if line.quantity > bought.get(line.product_id, 0)
    ]
    if left:
        fresh = Cart.objects.create(shopper=cart.shopper)
        Line.objects.bulk_create(Line(cart=fresh, product_id=p, quantity=n) for p, n in left)
    return len(left)
