"""Stock in the operator's console: what there is, why it moved, and the sum that proves it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import F, Model, Q, QuerySet
from django.db.models.functions import Coalesce
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from todoku.catalog.models import Product
from todoku.console import labels, shelf
from todoku.console.adjust import (
    AdjustForm,
    CountedAlready,
    CountForm,
    Overtaken,
    WarnForm,
    adjust,
    fresh,
    in_words,
    shown_again,
    warn,
)
from todoku.console.movements import MovementAdmin, ReservationAdmin
from todoku.console.readonly import Page, ReadOnlyAdmin, address, display
from todoku.console.restock import RestockAdmin
from todoku.console.templatetags.console import jst
from todoku.shop import chosen
from todoku.stock import low, proof
from todoku.stock.count import NotEnough
from todoku.stock.models import Level, Movement, Reason, Reservation, Restock

#: So many products that nobody has counted are named above the list.
MOST_UNCOUNTED = 30

admin.site.register(Movement, MovementAdmin)
admin.site.register(Reservation, ReservationAdmin)
admin.site.register(Restock, RestockAdmin)


class RunningOut(admin.SimpleListFilter):
    """Products that are running out."""

    title = gettext_lazy("running out")
    parameter_name = "low"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Only those that are."""
        return [("yes", _("running out"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Level]) -> QuerySet[Level]:
        """Only the levels at or under their number."""
        if self.value() != "yes":
            return queryset
        return queryset.filter(product__on_sale=True, on_hand__lte=Coalesce(F("low_at"), chosen.now().low_stock))


@admin.register(Level)
class LevelAdmin(ReadOnlyAdmin):
    """How many of each product there are, beside what their movements come to."""

    detail_template = "console/level.html"
    list_before_template = "console/levels.html"
    detail_select_related = ("product",)
    list_display = ("product_name", "sku", "on_hand_now", "reserved", "sold", "warns_from", "proof")
    list_select_related = ("product",)
    list_filter = (RunningOut,)
    ordering = ("product__position", "product_id")
    search_fields = ("product__sku", "product__name_ja", "product__name_en")
    search_help_text = gettext_lazy("SKU or name")

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Say whether the operator may adjust the stock."""
        return bool(request.user.has_perm("stock.change_level"))

    def get_urls(self) -> list[URLPattern]:
        """The acts on a level."""
        acts: list[tuple[str, Callable[..., HttpResponse]]] = [
            ("adjust", self.adjust_view), ("count", self.count_view), ("warn", self.warn_view),
        ]  # fmt: skip
        return [
            *(
                path(f"<int:pk>/{act}/", self.admin_site.admin_view(view), name=f"stock_level_{act}")
                for act, view in acts
            ),
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
        """Above the list: the proof of the whole shop, and the products that nobody has counted yet."""
        sought = request.GET.get("q", "").replace("\x00", "").strip()[:200]
        uncounted = Product.objects.filter(
            Q(sku__icontains=sought) | Q(name_ja__icontains=sought) | Q(name_en__icontains=sought), level=None
        ).order_by("position", "id")[: MOST_UNCOUNTED + 1]
        named = list(uncounted)
        whole = proof.of_the_shop()
        shown: HttpResponse = super().changelist_view(
            request,
            {
                "uncounted": named[:MOST_UNCOUNTED],
                "more_uncounted": len(named) > MOST_UNCOUNTED,
                "proof": shelf.told(request, whole.shelves, whole.moved, whole.proven, *whole.skus),
                **(extra_context or {}),
            },
        )
        return shown

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Sum up the movements of all products on the page in one query."""
        found = super().get_changelist_instance(request)
        levels: list[Any] = list(found.result_list)
        sums = proof.of_products(level.product_id for level in levels)
        for level in levels:
            level.sums = sums.get(level.product_id, proof.Sums())
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

    @display(description=gettext_lazy("on hand"), ordering="on_hand", label=labels.COLOURS)
    def on_hand_now(self, level: Level) -> tuple[str, str]:
        """How many are free to sell, in colour where they are running out."""
        state = "no" if not level.on_hand else "paid" if low.is_low(level) else "pending"
        return state, f"{level.on_hand:,}"

    @display(description=gettext_lazy("warns from"), ordering="low_at")
    def warns_from(self, level: Level) -> str:
        """From how many downwards it is running out."""
        return f"{low.threshold(level):,}"

    @display(description=gettext_lazy("adds up"), label=labels.COLOURS)
    def proof(self, level: Any) -> tuple[str, str]:
        """Whether the movements come to these numbers."""
        return ("yes", _("✓ adds up")) if level.sums.proves(level) else ("no", _("✗ does not"))

    def title(self, thing: Level) -> str:
        """The heading: the product's name."""
        return f"{thing.product.name} ({thing.product.sku})"

    def page(self, request: HttpRequest, thing: Level) -> Page:
        """One product's stock, its proof, its last movements, and the forms to adjust it."""
        may = self.has_change_permission(request)
        return Page(
            cards=[shelf.stock_card(request, thing)],
            tables=[shelf.movements(request, thing)],
            more={
                "proof": shelf.proven(request, thing),
                "tiles": shelf.tiles(thing),
                "form": AdjustForm(initial=fresh(thing)) if may else None,
                "count_form": CountForm(initial=fresh(thing)) if may else None,
                "warn_form": WarnForm(initial={"low_at": thing.low_at}) if may else None,
                "shop_low": chosen.now().low_stock,
                "adjust_link": address(thing, "adjust"),
                "count_link": address(thing, "count"),
                "warn_link": address(thing, "warn"),
            },
        )

    def _level(self, request: HttpRequest, pk: int) -> Level:
        if not self.has_change_permission(request):
            raise PermissionDenied
        level = self.find(request, str(pk))
        if level is None:
            raise Http404
        return level

    def adjust_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Adjust the stock by a difference. A GET shows the product's page; only a POST acts."""
        level = self._level(request, pk)
        if request.method != "POST":
            return HttpResponseRedirect(address(level))
        form = AdjustForm(request.POST)
        if not form.is_valid():
            return self.show(request, level, status=422, form=form)
        return self._adjust(request, level, form, "delta", **form.cleaned_data)

    def count_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Take a count: first show what it comes to, then, when that is confirmed, move the stock by so much."""
        level = self._level(request, pk)
        if request.method != "POST":
            return HttpResponseRedirect(address(level))
        form = CountForm(request.POST)
        if not form.is_valid():
            return self.show(request, level, status=422, count_form=form)
        told = form.cleaned_data
        if told["delta"]:
            # What was shown counts, also when something was sold meanwhile: it was counted before that.
            return self._adjust(
                request, level, form, "counted", delta=told["delta"], why=told["why"], after=told["after"],
                token=told["token"], reason=Reason.COUNT.value,
            )  # fmt: skip
        return self._shown(request, level, told["counted"], told["why"], told["token"])

    def _shown(self, request: HttpRequest, level: Level, counted: int, why: str, token: uuid.UUID) -> HttpResponse:
        delta = counted - level.on_hand
        if not delta:
            right = _("Right: %(n)s are on hand. There is nothing to change.")
            messages.success(request, right % {"n": f"{counted:,}"})
            return HttpResponseRedirect(address(level))
        ready = CountForm(initial={**fresh(level), "token": token, "counted": counted, "why": why, "delta": delta})
        for name in ("counted", "why"):
            ready.fields[name].widget = forms.HiddenInput()
        comes_to = {"counted": counted, "on_hand": level.on_hand, "delta": f"{delta:+,}"}
        return self.show(request, level, count_form=ready, comes_to=comes_to)

    def _adjust(
        self, request: HttpRequest, level: Level, form: forms.Form, field: str, *, delta: int, **more: Any
    ) -> HttpResponse:
        shown = "form" if field == "delta" else "count_form"
        try:
            now = adjust(request, level, delta=delta, **more)
        except CountedAlready as before:
            messages.info(
                request,
                _("This form was sent before, and counted once: %(delta)s at %(when)s. Nothing more was changed.")
                % {"delta": f"{before.movement.on_hand:+,}", "when": jst(before.movement.at)},
            )
            return HttpResponseRedirect(address(level))
        except Overtaken as overtaken:
            movement = overtaken.movement
            messages.warning(
                request,
                _(
                    "Nothing was changed: %(who)s adjusted this product by %(delta)s at %(when)s (%(why)s). "
                    "If yours is another one, please press the button again."
                )
                % {
                    "who": movement.who or "–",
                    "delta": f"{movement.on_hand:+,}",
                    "when": jst(movement.at),
                    "why": in_words(movement.reason, movement.why),
                },
            )
            level = self._level(request, level.product_id)
            again = type(form)(initial=shown_again(form, level, **({"delta": ""} if shown == "count_form" else {})))
            return self.show(request, level, status=409, **{shown: again})
        except NotEnough as error:
            [(on_hand, _delta)] = error.short.values()
            form.add_error(
                field,
                _(
                    "Less than nothing would be left: only %(n)s are on hand. What is held for orders is not on hand."
                )
                % {"n": f"{on_hand:,}"},
            )
            return self.show(request, level, status=422, **{shown: form})
        messages.success(
            request,
            _("The stock was adjusted by %(delta)s. %(now)s are now on hand.")
            % {"delta": f"{delta:+,}", "now": f"{now:,}"},
        )
        return HttpResponseRedirect(address(level))

    def warn_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Set the number from which the product warns. A GET shows the product's page; only a POST acts."""
        level = self._level(request, pk)
        if request.method != "POST":
            return HttpResponseRedirect(address(level))
        form = WarnForm(request.POST)
        if not form.is_valid():
            return self.show(request, level, status=422, warn_form=form)
        if warn(request, level, form.cleaned_data["low_at"]):
            messages.success(request, _("The warning is set."))
        return HttpResponseRedirect(address(level))
