"""Write an order off: a person says that it will not be carried out, and from then on nothing touches it."""

from __future__ import annotations

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from todoku.cart.models import Cart
from todoku.fulfilment.models import Delivery
from todoku.order.models import Order, Status, WriteOff
from todoku.order.moves import move
from todoku.stock import count, take


class HasLeft(Exception):
    """A parcel of the order has been shipped: it was carried out, and cannot be written off."""


def write_off(order: Order, *, who: str, why: str, kept: int, goods_back: bool) -> WriteOff:
    """Write the order off; the caller has locked its row and knows that its money cannot move any more.

    Goods that the order holds do not stay held for ever: they go back on the shelf, or, when they are not to be had
    any more, are booked out with the same reason. Goods that it has bought go back, or stay sold. Raises HasLeft, and
    ``ForbiddenMove`` for an order that has come to its end. Must run in a transaction.
    """
    assert transaction.get_connection().in_atomic_block
    parcels = Delivery.objects.select_for_update().filter(order=order)
    if any(parcel.state == Delivery.State.SHIPPED for parcel in parcels):
        raise HasLeft(order.number)
    move(order, Status.WRITTEN_OFF, next_look_at=None)
    Delivery.objects.filter(order=order, state=Delivery.State.TO_SHIP).update(
        state=Delivery.State.CANCELED, canceled_at=timezone.now()
    )
    held = take.held(order)
    take.give_back(order)
    if goods_back:
        take.take_back(order)
    elif held:
        count.adjust({product: -quantity for product, quantity in held.items()}, who=who, why=why)
    # Its cart version is used up, as a canceled order's is: the shopper may order anew.
    Cart.objects.filter(pk=order.cart_id, closed_at=None, version=order.cart_version).update(version=F("version") + 1)
    return WriteOff.objects.create(
        order=order, who=who, why=why, kept=kept, goods_back=goods_back, at=timezone.now()
    )
