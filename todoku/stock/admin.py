"""Stock in the operator's console: what there is, why it moved, and the sum that proves it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model, Q, Sum
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.paginator import InfinitePaginator

from todoku.catalog.models import Product
from todoku.console import labels
from todoku.console.adjust import AdjustForm, Overtaken, adjust, last_adjustment
from todoku.console.readonly import Card, Fact, Page, ReadOnlyAdmin, Table, address, display, link
from todoku.console.templatetags.console import jst
from todoku.stock.models import Level, Movement, Reservation

Sums = tuple[int, int, int]

#: So many products that nobody has counted are named above the list.
MOST_UNCOUNTED = 30


def moved(products: Iterable[int]) -> dict[int, Sums]:
    """What each product's movements come to: on hand, reserved, sold. One query."""
    sums = (
        Movement.objects.filter(product__in=list(products))
        .order_by()
        .values_list("product_id")
        .annotate(Sum("on_hand"), Sum("reserved"), Sum("sold"))
    )
    return {product: (on_hand, reserved, sold) for product, on_hand, reserved, sold in sums}


def adds_up(level: Level, sums: Sums | None) -> bool:
    """Say whether the level is what its movements come to."""
    return (level.on_hand, level.reserved, level.sold) == (sums or (0, 0, 0))


@admin.register(Level)
class LevelAdmin(ReadOnlyAdmin):
    """How many of each product there are, beside what their movements come to."""

    detail_template = "console/level.html"
    list_before_template = "console/uncounted.html"
    detail_select_related = ("product",)
    list_display = ("product_name", "sku", "on_hand", "reserved", "sold", "proof")
    list_select_related = ("product",)
    ordering = ("product__position", "product_id")
    search_fields = ("product__sku", "product__name_ja", "product__name_en")
    search_help_text = gettext_lazy("SKU or name")

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Say whether the operator may adjust the stock."""
        return bool(request.user.has_perm("stock.change_level"))

    def get_urls(self) -> list[URLPattern]:
        """The one act on a level."""
        return [
            path("<int:pk>/adjust/", self.admin_site.admin_view(self.adjust_view), name="stock_level_adjust"),
            *super().get_urls(),
        ]

    def find(self, request: HttpRequest, object_id: str) -> Level | None:
        """Find the product's level; one that nobody has counted yet has none of anything, and no row."""
        level: Level | None = super().find(request, object_id)
        if level is None and object_id.isascii() and object_id.isdigit() and len(object_id) < 19:
            product = Product.objects.filter(pk=int(object_id)).first()
            level = Level(product=product) if product is not None else None
        return level

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Name the products that nobody has counted yet above the list."""
        sought = request.GET.get("q", "").replace("\x00", "").strip()[:200]
        uncounted = Product.objects.filter(
            Q(sku__icontains=sought) | Q(name_ja__icontains=sought) | Q(name_en__icontains=sought), level=None
        ).order_by("position", "id")[: MOST_UNCOUNTED + 1]
        named = list(uncounted)
        shown: HttpResponse = super().changelist_view(
            request,
            {
                "uncounted": named[:MOST_UNCOUNTED],
                "more_uncounted": len(named) > MOST_UNCOUNTED,
                **(extra_context or {}),
            },
        )
        return shown

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Sum up the movements of all products on the page in one query."""
        found = super().get_changelist_instance(request)
        levels: list[Any] = list(found.result_list)
        sums = moved(level.product_id for level in levels)
        for level in levels:
            level.sums = sums.get(level.product_id)
        found.result_list = levels
        return found

    @display(description=gettext_lazy("product"), ordering="product__position")
    def product_name(self, level: Level) -> str:
        """The product's name in the operator's language."""
        return level.product.name

    @display(description=gettext_lazy("SKU"), ordering="product__sku")
    def sku(self, level: Level) -> str:
        """The product's SKU."""
        return level.product.sku

    @display(description=gettext_lazy("adds up"), label=labels.COLOURS)
    def proof(self, level: Any) -> tuple[str, str]:
        """Whether the movements come to these numbers."""
        return ("yes", _("yes")) if adds_up(level, level.sums) else ("no", _("no"))

    def title(self, thing: Level) -> str:
        """The heading: the product's name."""
        return f"{thing.product.name} ({thing.product.sku})"

    def page(self, request: HttpRequest, thing: Level) -> Page:
        """One product's stock, its proof, its last movements, and the form to adjust it."""
        level = thing
        sums = moved([level.product_id]).get(level.product_id)
        proven = adds_up(level, sums)
        last = last_adjustment(level.product_id)
        movements = Movement.objects.filter(product_id=level.product_id).select_related("order").order_by("-id")[:50]
        may = self.has_change_permission(request)
        return Page(
            cards=[
                Card(
                    _("Stock"),
                    [
                        Fact(_("On hand"), f"{level.on_hand:,}", number=True),
                        Fact(_("Held for orders"), f"{level.reserved:,}", number=True),
                        Fact(_("Sold"), f"{level.sold:,}", number=True),
                        Fact(_("Adds up"), _("yes") if proven else _("no"), state="yes" if proven else "no"),
                        *(
                            [
                                Fact(
                                    _("The movements come to"),
                                    " / ".join(f"{number:,}" for number in sums or (0, 0, 0)),
                                    number=True,
                                )
                            ]
                            if not proven
                            else []
                        ),
                        Fact(_("Product"), level.product.sku, link(request, "catalog", "product", level.product_id)),
                    ],
                )
            ],
            tables=[
                Table(
                    _("Last movements"),
                    [
                        (
                            Fact(_("At"), jst(movement.at)),
                            Fact(_("Kind"), movement.get_kind_display(), state=movement.kind),
                            Fact(_("On hand"), f"{movement.on_hand:+,}", number=True),
                            Fact(_("Held for orders"), f"{movement.reserved:+,}", number=True),
                            Fact(_("Sold"), f"{movement.sold:+,}", number=True),
                            Fact(_("Who"), movement.who or "–"),
                            Fact(
                                _("Why"),
                                movement.order.number if movement.order else movement.why or "–",
                                link(request, "order", "order", movement.order_id),
                            ),
                        )
                        for movement in movements
                    ],
                    _("Nothing has moved yet."),
                )
            ],
            more={
                "form": AdjustForm(initial={"after": last.pk if last else 0}) if may else None,
                "adjust_link": address(level, "adjust"),
            },
        )

    def adjust_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Adjust the stock by a difference. A GET shows the product's page; only a POST acts."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        level = self.find(request, str(pk))
        if level is None:
            raise Http404
        if request.method != "POST":
            return HttpResponseRedirect(address(level))
        form = AdjustForm(request.POST)
        if form.is_valid():
            try:
                adjust(request, level, **form.cleaned_data)
            except Overtaken as overtaken:
                movement = overtaken.movement
                messages.warning(
                    request,
                    _(
                        "Nothing was changed: %(who)s adjusted this product by %(delta)s at %(when)s (%(why)s). "
                        "If yours is another one, please enter it again."
                    )
                    % {
                        "who": movement.who or "–",
                        "delta": f"{movement.on_hand:+,}",
                        "when": jst(movement.at),
                        "why": movement.why or "–",
                    },
                )
                return HttpResponseRedirect(address(level))
            except ValueError:
                form.add_error("delta", _("Less than nothing would be left. What is held for orders is not on hand."))
            else:
                messages.success(
                    request, _("The stock was adjusted by %(delta)s.") % {"delta": f"{form.cleaned_data['delta']:+,}"}
                )
                return HttpResponseRedirect(address(level))
        return self.show(request, level, status=422, form=form)


@admin.register(Movement)
class MovementAdmin(ReadOnlyAdmin):
    """Every movement of stock, the newest first: who, why, for which order."""

    list_display = ("when", "product", "reason", "on_hand_change", "held_change", "sold_change", "who", "why", "order")
    list_select_related = ("product", "order")
    list_filter = ("kind",)
    search_fields = ("=product__sku", "=order__number")
    search_help_text = gettext_lazy("SKU or order number")
    detail_select_related = ("product", "order")
    paginator = InfinitePaginator

    @display(description=gettext_lazy("at"), ordering="id")
    def when(self, movement: Movement) -> str:
        """When it moved."""
        return jst(movement.at)

    @display(description=gettext_lazy("kind"), ordering="kind", label=labels.COLOURS)
    def reason(self, movement: Movement) -> tuple[str, str]:
        """The kind of movement."""
        return movement.kind, movement.get_kind_display()

    @display(description=gettext_lazy("on hand"))
    def on_hand_change(self, movement: Movement) -> str:
        """By how much what is on hand changed."""
        return f"{movement.on_hand:+,}"

    @display(description=gettext_lazy("held for orders"))
    def held_change(self, movement: Movement) -> str:
        """By how much what is held changed."""
        return f"{movement.reserved:+,}"

    @display(description=gettext_lazy("sold"))
    def sold_change(self, movement: Movement) -> str:
        """By how much what is sold changed."""
        return f"{movement.sold:+,}"

    def title(self, thing: Movement) -> str:
        """The heading: the product and when it moved."""
        return f"{thing.product.name} · {jst(thing.at)}"

    def page(self, request: HttpRequest, thing: Movement) -> Page:
        """One movement."""
        return Page(
            cards=[
                Card(
                    _("Movement"),
                    [
                        Fact(_("Product"), thing.product.name, link(request, "stock", "level", thing.product_id)),
                        Fact(_("Kind"), thing.get_kind_display(), state=thing.kind),
                        Fact(_("On hand"), f"{thing.on_hand:+,}", number=True),
                        Fact(_("Held for orders"), f"{thing.reserved:+,}", number=True),
                        Fact(_("Sold"), f"{thing.sold:+,}", number=True),
                        Fact(
                            _("Order"),
                            thing.order.number if thing.order else "–",
                            link(request, "order", "order", thing.order_id),
                        ),
                        Fact(_("Who"), thing.who or "–"),
                        Fact(_("Why"), thing.why or "–"),
                        Fact(_("At"), jst(thing.at)),
                    ],
                )
            ]
        )


@admin.register(Reservation)
class ReservationAdmin(ReadOnlyAdmin):
    """What is held, or was held, for which order."""

    list_display = ("order", "product", "quantity", "status", "held", "ended")
    list_select_related = ("order", "product")
    list_filter = ("state",)
    ordering = ("-id",)
    search_fields = ("=order__number", "=product__sku")
    search_help_text = gettext_lazy("Order number or SKU")
    detail_select_related = ("order", "product")
    paginator = InfinitePaginator

    @display(description=gettext_lazy("state"), ordering="state", label=labels.COLOURS)
    def status(self, reservation: Reservation) -> tuple[str, str]:
        """Held, returned or sold."""
        return reservation.state, reservation.get_state_display()

    @display(description=gettext_lazy("held since"), ordering="id")
    def held(self, reservation: Reservation) -> str:
        """Since when it was held."""
        return jst(reservation.held_at)

    @display(description=gettext_lazy("ended"))
    def ended(self, reservation: Reservation) -> str:
        """When it was sold or returned."""
        return jst(reservation.ended_at)

    def title(self, thing: Reservation) -> str:
        """The heading: the order and the product."""
        return f"{thing.order.number} · {thing.product.name}"

    def page(self, request: HttpRequest, thing: Reservation) -> Page:
        """One hold."""
        return Page(
            cards=[
                Card(
                    _("Hold"),
                    [
                        Fact(_("Order"), thing.order.number, link(request, "order", "order", thing.order_id)),
                        Fact(_("Product"), thing.product.name, link(request, "stock", "level", thing.product_id)),
                        Fact(_("Quantity"), thing.quantity, number=True),
                        Fact(_("Attempt"), thing.attempt, number=True),
                        Fact(_("State"), thing.get_state_display(), state=thing.state),
                        Fact(_("Held since"), jst(thing.held_at)),
                        Fact(_("Ended"), jst(thing.ended_at)),
                    ],
                )
            ]
        )
