"""Carts in the operator's console: what is being held, by nobody in particular."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from todoku.cart.models import Cart
from todoku.console.readonly import Card, Fact, Page, ReadOnlyAdmin, Table, display, link
from todoku.console.templatetags.console import jst


@admin.register(Cart)
class CartAdmin(ReadOnlyAdmin):
    """Carts, the newest first. Whose they are is not shown: it opens a session."""

    list_display = ("__str__", "lines_in_it", "created", "changed", "closed")
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Cart]:
        """Count the lines of all carts of the page in the same query."""
        carts: QuerySet[Cart] = super().get_queryset(request)
        return carts.defer("shopper").annotate(line_count=Count("lines"))

    @display(description=gettext_lazy("lines"))
    def lines_in_it(self, cart: Cart) -> int:
        """How many different products it holds."""
        count: int = getattr(cart, "line_count", 0)
        return count

    @display(description=gettext_lazy("created"), ordering="created_at")
    def created(self, cart: Cart) -> str:
        """When the cart was begun."""
        return jst(cart.created_at)

    @display(description=gettext_lazy("changed"), ordering="changed_at")
    def changed(self, cart: Cart) -> str:
        """When it was last changed."""
        return jst(cart.changed_at)

    @display(description=gettext_lazy("closed at"), ordering="closed_at")
    def closed(self, cart: Cart) -> str:
        """When its order was paid."""
        return jst(cart.closed_at)

    def page(self, request: HttpRequest, thing: Cart) -> Page:
        """One cart and what became of it."""
        return Page(
            cards=[
                Card(
                    _("Cart"),
                    [
                        Fact(_("Version"), thing.version),
                        Fact(_("Created"), jst(thing.created_at)),
                        Fact(_("Changed"), jst(thing.changed_at)),
                        Fact(_("Closed at"), jst(thing.closed_at)),
                    ],
                )
            ],
            tables=[
                Table(
                    _("Lines"),
                    [
                        (
                            Fact(_("Product"), line.product.name, link(request, "catalog", "product", line.product_id)),
                            Fact(_("Quantity"), line.quantity, number=True),
                        )
                        for line in thing.lines.select_related("product")
                    ],
                    _("The cart is empty."),
                ),
                Table(
                    _("Orders"),
                    [
                        (
                            Fact(_("Order"), order.number, link(request, "order", "order", order.pk)),
                            Fact(_("Status"), order.get_status_display(), state=order.status),
                        )
                        for order in thing.orders.order_by("id")
                    ],
                    _("No order has been made from it."),
                ),
            ],
        )
