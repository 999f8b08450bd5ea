"""What a page of the checkout has to know of the shopper's cart, in one question to the database."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from django.contrib import messages
from django.db import connection
from django.db.models import Model
from django.http import HttpRequest
from django.utils.translation import gettext as _

from todoku.cart.models import Cart
from todoku.order import links
from todoku.order.models import Status
from todoku.order.place import in_payment
from todoku.order.rules import PAID
from todoku.quote.models import Draft
from todoku.storefront import shopper
from todoku.storefront.page import SeeOther, go

_M = TypeVar("_M", bound=Model)


@dataclass(frozen=True)
class Holding:
    """A shopper's open cart with its details page's draft, and what became of its order if there is one."""

    cart: Cart
    draft: Draft | None
    #: The quote of the unpaid order, and what its shopper must be told.
    unpaid_quote: uuid.UUID | None
    setback: dict[str, Any] | None


def _columns(of: str, model: type[Model]) -> str:
    return ", ".join(f"{of}.{field.column}" for field in model._meta.concrete_fields)


def _row(model: type[_M], values: Sequence[Any]) -> _M:
    return model.from_db("default", [field.attname for field in model._meta.concrete_fields], values)


# Six pages of every checkout ask this; written out it costs a fifth of what putting it together each time does.
_STATEMENT = f"""
    SELECT {_columns("cart", Cart)}, {_columns("draft", Draft)},
           EXISTS (SELECT FROM order_order WHERE cart_id = cart.id AND status = ANY(%(being_paid)s)),
           unpaid.quote_id, unpaid.setback::text
      FROM cart_cart AS cart
      LEFT JOIN quote_draft AS draft ON draft.cart_id = cart.id
      LEFT JOIN LATERAL (
           SELECT quote_id, setback FROM order_order
            WHERE cart_id = cart.id AND status = %(not_paid)s AND withdrawn_at IS NULL
            ORDER BY id DESC LIMIT 1
      ) AS unpaid ON true
     WHERE cart.shopper = %(shopper)s AND cart.closed_at IS NULL AND cart.set_aside_at IS NULL
"""  # noqa: S608 - made of the models' own column names
_CART, _DRAFT = len(Cart._meta.concrete_fields), len(Draft._meta.concrete_fields)
_BEING_PAID = [str(status) for status in (Status.PLACED, *sorted(PAID))]


def hold(request: HttpRequest) -> Holding | SeeOther | None:
    """Find the shopper's open cart.

    The way out instead when an order of this cart is being paid: that order's page, before anything new may be
    charged.
    """
    name = shopper.recognise(request)
    if not name:
        return None
    with connection.cursor() as cursor:
        cursor.execute(
            _STATEMENT, {"shopper": name, "being_paid": _BEING_PAID, "not_paid": str(Status.NOT_PAID)}
        )
        row = cursor.fetchone()
    if row is None:
        return None
    cart = _row(Cart, row[:_CART])
    drafted = row[_CART : _CART + _DRAFT]
    draft = _row(Draft, drafted) if drafted[0] is not None else None
    being_paid, unpaid_quote, setback = row[_CART + _DRAFT :]
    if being_paid:
        order = in_payment(cart)
        if order is not None:
            messages.info(request, _("An order from this cart is being paid already. Here is how it stands."))
            return go("storefront:order", links.token(order))
    return Holding(cart, draft, unpaid_quote, json.loads(setback) if setback else None)
