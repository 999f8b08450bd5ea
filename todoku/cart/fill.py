"""Fill a cart: put in, change, take out.

Every real change takes the cart's row lock and gives the cart its next version, so a quote that was shown
for the old contents can no longer be ordered. What cannot be held is refused with words for the shopper.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Literal

from django.db import connection, transaction
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from todoku.cart.models import MOST_LINES, MOST_OF_ONE, Cart, Line
from todoku.catalog.models import Product

Code = Literal["not_a_number", "too_few", "too_many", "unknown", "withdrawn", "too_many_products", "not_held"]

#: Why something cannot be held, and what to do instead.
REASONS: Mapping[Code, Promise] = {
    "not_a_number": _("Please give the quantity as a whole number from 1 to %(most)s."),
    "too_few": _("Please choose a quantity of 1 or more."),
    "too_many": _(
        "A cart can hold up to %(most)s of one product. Please choose a smaller quantity, "
        "or ask us about larger orders."
    ),
    "unknown": _("We could not find that product. Please choose one from the list."),
    "withdrawn": _("That product is no longer on sale. Please choose another one."),
    "too_many_products": _(
        "A cart can hold up to %(most)s different products. Please take one out first, or make two orders."
    ),
    "not_held": _("That product is no longer in your cart. Please look at your cart once more."),
}


class CannotHold(Exception):
    """The cart cannot hold this; the message says in the reader's language what to do."""

    def __init__(self, code: Code) -> None:
        super().__init__(code)
        self.code = code

    @property
    def message(self) -> str:
        """Words for the shopper, in the language that is active now."""
        most = MOST_LINES if self.code == "too_many_products" else MOST_OF_ONE
        return str(REASONS[self.code]) % {"most": most}

    def __str__(self) -> str:
        return self.message


def read_quantity(typed: object) -> int:
    """Read a quantity as shoppers type it, full-width digits too; zero or more. Raises CannotHold."""
    if isinstance(typed, bool) or not isinstance(typed, int | str):
        raise CannotHold("not_a_number")
    text = unicodedata.normalize("NFKC", str(typed)[:64]).strip()
    if text.startswith(("-", "−")) and text[1:].isascii() and text[1:].isdigit():
        raise CannotHold("too_few")
    if not (text.isascii() and text.isdigit()):
        raise CannotHold("not_a_number")
    # The length is looked at first: a number of a thousand digits is not worth reading.
    digits = text.lstrip("0") or "0"
    if len(digits) > len(str(MOST_OF_ONE)) or int(digits) > MOST_OF_ONE:
        raise CannotHold("too_many")
    return int(digits)


def current(shopper: str) -> Cart | None:
    """Find the shopper's open cart. ``shopper`` is the SHA-256 of their cookie, "" for a stranger."""
    return Cart.objects.filter(shopper=shopper, closed_at=None, set_aside_at=None).first() if shopper else None


def held(cart: Cart) -> list[Line]:
    """List what the cart holds, each line with its product, in one query."""
    return list(cart.lines.select_related("product"))


def count(shopper: str) -> int:
    """Count the pieces in the shopper's open cart."""
    if not shopper:
        return 0
    # Every page asks this, so it is asked in plain words.
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT COALESCE(SUM(line.quantity), 0) FROM cart_cart AS cart JOIN cart_line AS line"
            " ON line.cart_id = cart.id"
            " WHERE cart.shopper = %s AND cart.closed_at IS NULL AND cart.set_aside_at IS NULL",
            [shopper],
        )
        return int(cursor.fetchone()[0])


def put(shopper: str, sku: str, quantity: object) -> Cart:
    """Put so many of a product into the shopper's cart, opening one if there is none. Raises CannotHold."""
    wanted = read_quantity(quantity)
    if wanted < 1:
        raise CannotHold("too_few")
    product = _product(sku)
    with transaction.atomic():
        cart = _open_locked(shopper)
        line = cart.lines.filter(product=product).first()
        if line is None:
            if cart.lines.count() >= MOST_LINES:
                raise CannotHold("too_many_products")
            cart.lines.create(product=product, quantity=wanted)
        else:
            if line.quantity + wanted > MOST_OF_ONE:
                raise CannotHold("too_many")
            line.quantity += wanted
            line.save(update_fields=["quantity"])
        _next_version(cart)
    return cart


def change(shopper: str, sku: str, quantity: object) -> Cart:
    """Set how many of a product the cart holds; 0 takes it out. Raises CannotHold."""
    wanted = read_quantity(quantity)
    with transaction.atomic():
        cart = _locked(shopper)
        line = cart.lines.filter(product__sku=sku).first() if cart and _speakable(sku) else None
        if cart is None or line is None:
            raise CannotHold("not_held")
        if wanted == 0:
            line.delete()
            _next_version(cart)
        elif line.quantity != wanted:
            line.quantity = wanted
            line.save(update_fields=["quantity"])
            _next_version(cart)
    return cart


def take_out(shopper: str, sku: str) -> Cart | None:
    """Take a product out of the cart; nothing happens when it is not in it."""
    with transaction.atomic():
        cart = _locked(shopper)
        if cart is not None and _speakable(sku) and cart.lines.filter(product__sku=sku).delete()[0]:
            _next_version(cart)
    return cart


def _speakable(sku: str) -> bool:
    # PostgreSQL's text holds no NUL, and no product is called anything unprintable.
    return 0 < len(sku) <= 64 and sku.isprintable()


def _product(sku: str) -> Product:
    product = Product.objects.filter(sku=sku).first() if _speakable(sku) else None
    if product is None:
        raise CannotHold("unknown")
    if not product.on_sale:
        raise CannotHold("withdrawn")
    return product


def _locked(shopper: str) -> Cart | None:
    if not shopper:
        return None
    return (
        Cart.objects.select_for_update(no_key=True)
        .filter(shopper=shopper, closed_at=None, set_aside_at=None)
        .first()
    )


def _open_locked(shopper: str) -> Cart:
    """Lock the shopper's open cart, making it first if need be; two first presses at once make one cart."""
    for _again in range(3):
        cart = _locked(shopper)
        if cart is not None:
            return cart
        # Waits for a rival's commit and then does nothing: the unique constraint decides who made it.
        Cart.objects.bulk_create([Cart(shopper=shopper)], ignore_conflicts=True)
    raise CannotHold("not_held")


def _next_version(cart: Cart) -> None:
    cart.version += 1
    cart.save(update_fields=["version", "changed_at"])
