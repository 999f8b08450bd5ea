"""Order the same goods again: what an order that has ended was about goes back into the shopper's cart."""

from __future__ import annotations

from django.utils.translation import get_language
from django.utils.translation import gettext as _

from todoku.cart import fill
from todoku.cart.models import Line
from todoku.order.models import Order
from todoku.stock.check import short

#: More than this is summed up: what is told travels in a cookie.
MOST_TOLD = 6


def put_back(shopper: str, order: Order) -> tuple[int, list[str]]:
    """Fill the shopper's cart up to what the order was about.

    Returns how many products are in the cart now, and a sentence for each that is not, or not as many. Done
    twice it changes nothing more.
    """
    language = get_language() or "ja"
    lines = list(order.lines.select_related("product"))
    scarce = {
        missing.product.pk: missing.remaining
        for missing in short([Line(product_id=line.product_id, quantity=line.quantity) for line in lines])
    }
    cart = fill.current(shopper)
    held = {line.product_id: line.quantity for line in fill.held(cart)} if cart is not None else {}
    back, trouble = 0, []
    for line in lines:
        name = line.name_in(language)
        wanted = min(line.quantity, scarce.get(line.product_id, line.quantity))
        if not wanted:
            trouble.append(_("%(name)s has sold out.") % {"name": name})
            continue
        lacking = wanted - held.get(line.product_id, 0)
        try:
            if lacking > 0:
                fill.put(shopper, line.product.sku, lacking)
        except fill.CannotHold as refusal:
            trouble.append(_("%(name)s: %(why)s") % {"name": name, "why": refusal.message})
            continue
        back += 1
        if wanted < line.quantity:
            trouble.append(
                _("Only %(n)s of %(name)s are left; your cart has these.") % {"n": wanted, "name": name}
            )
    if len(trouble) > MOST_TOLD:
        more = len(trouble) - MOST_TOLD
        trouble = [*trouble[:MOST_TOLD], _("%(n)s more goods could not be put back.") % {"n": more}]
    return back, trouble
