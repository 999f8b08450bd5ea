"""What a flow may ask of the stock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from todoku.stock import take

if TYPE_CHECKING:
    from todoku.order.models import Order


def take_stock(order: Order, _: None) -> dict[str, Any]:
    """Hold the order's goods before any money is asked for: ``taken``, or ``sold_out`` with the short lines."""
    lines = [(line.product_id, line.sku, line.quantity) for line in order.lines.all()]
    short = take.take(order, {product: quantity for product, _sku, quantity in lines})
    if not short:
        return {"outcome": "taken"}
    return {
        "outcome": "sold_out",
        "lines": [
            {"sku": sku, "remaining": short[product]} for product, sku, _quantity in lines if product in short
        ],
    }


def return_stock(order: Order, _: None) -> dict[str, Any]:
    """Put the attempt's goods back on the shelf, once."""
    return {"outcome": "returned" if take.give_back(order) else "nothing_held"}
