"""Adjust the stock by hand: a difference with a reason, never a number that overwrites a sale."""

from __future__ import annotations

from django import forms
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminTextInputWidget

from todoku.console import acts
from todoku.stock.count import adjust as move
from todoku.stock.models import Kind, Level, Movement

#: More at once than this is a slip of the finger.
MOST = 100_000


class AdjustForm(forms.Form):
    """By how much the stock changed, and why. ``after`` is the last adjustment the operator has seen."""

    delta = forms.IntegerField(
        label=gettext_lazy("Difference"),
        min_value=-MOST,
        max_value=MOST,
        help_text=gettext_lazy("10 when ten came in, -1 when one is broken."),
        widget=UnfoldAdminIntegerFieldWidget(attrs={"autocomplete": "off", "inputmode": "text"}),
    )
    why = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=200,
        help_text=gettext_lazy("Delivery from the port, broken in the store, counted on Friday …"),
        widget=UnfoldAdminTextInputWidget,
    )
    after = forms.IntegerField(widget=forms.HiddenInput, min_value=0)

    def clean_delta(self) -> int:
        """Refuse a difference of nothing."""
        delta: int = self.cleaned_data["delta"]
        if delta == 0:
            raise forms.ValidationError(_("A difference of 0 changes nothing."))
        return delta


class Overtaken(Exception):
    """Somebody has adjusted this product's stock since the operator looked; names that movement."""

    def __init__(self, movement: Movement) -> None:
        super().__init__(str(movement))
        self.movement = movement


def last_adjustment(product_id: int) -> Movement | None:
    """The product's latest adjustment by a person or an import; sales do not count."""
    return Movement.objects.filter(product_id=product_id, kind=Kind.COUNTED).order_by("-id").first()


def adjust(request: HttpRequest, level: Level, *, delta: int, why: str, after: int) -> None:
    """Move the stock by the difference, in one transaction, and write down who did it.

    A second press of the same button, or an operator who counts the same crates in, raises Overtaken and moves
    nothing: the last adjustment is no longer the one that the page showed. Sales in between do no harm.
    Raises ValueError when less than nothing would be left.
    """
    with transaction.atomic():
        # A product that nobody has counted yet has no row to lock: the first adjustment brings it.
        Level.objects.bulk_create([Level(product_id=level.product_id)], ignore_conflicts=True)
        Level.objects.select_for_update(no_key=True).get(pk=level.product_id)
        last = last_adjustment(level.product_id)
        if last is not None and last.pk != after:
            raise Overtaken(last)
        move({level.product_id: delta}, who=request.user.get_username(), why=why)
        acts.write_down(
            request, level, _("Stock adjusted by %(delta)s") % {"delta": f"{delta:+,}"}, act="adjusted", reason=why
        )
