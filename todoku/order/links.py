"""The link that opens an order without a login: nobody can guess it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import uuid
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from todoku.order.models import Order

#: How long a link opens its order.
OPENS_FOR = timedelta(days=400)


def token(order: Order) -> str:
    """The order's token for URLs: its random uuid and a 128-bit seal made with the shop's key."""
    return _text(order.uuid.bytes + _seal(order.uuid))


def find(token: str, *fields: str) -> Order | None:
    """Find the order that a token opens; None for a token we did not make, or too old an order.

    With ``fields``, only those are read: a page that asks again and again need not carry the whole order.
    """
    if len(token) != 43 or not token.isascii():
        return None
    try:
        raw = base64.urlsafe_b64decode(token + "=")
    except (binascii.Error, ValueError):
        return None
    if len(raw) != 32:
        return None
    named = uuid.UUID(bytes=raw[:16])
    if not hmac.compare_digest(raw[16:], _seal(named)):
        return None
    orders = Order.objects.only(*fields) if fields else Order.objects.select_related("intent")
    return orders.filter(uuid=named, placed_at__gt=timezone.now() - OPENS_FOR).first()


def path(order: Order) -> str:
    """The path of the order's own page."""
    return f"/orders/{token(order)}/"


def address(order: Order) -> str:
    """The full address of the order's own page, for mails and for Stripe's return."""
    return f"{settings.SITE_URL}{path(order)}"


def _seal(named: uuid.UUID) -> bytes:
    key = hashlib.sha256(b"todoku.order.links:" + settings.SECRET_KEY.encode()).digest()
    return hmac.digest(key, named.bytes, "sha256")[:16]


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
