"""Find goods by hand: what a person has found is added to the stock and held for its paid order in one move."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from unfold.widgets import UnfoldAdminIntegerFieldWidget

from todoku.console import acts
from todoku.console.adjust import MOST
from todoku.console.preview import Preview
from todoku.console.stopped import NoLonger, WhyForm, go_on, hold, tell
from todoku.notify.models import Case
from todoku.order.models import Order, Status
from todoku.stock import count, take
from todoku.stock.models import Level


@dataclass(frozen=True)
class Wanted:
    """A line of the order and what there is of it."""

    product: int
    name: str
    sku: str
    quantity: int
    on_hand: int

    @property
    def short(self) -> int:
        """How many are missing."""
        return max(0, self.quantity - self.on_hand)

    @property
    def told(self) -> str:
        """What is ordered and what there is, in words."""
        return _("%(ordered)s ordered, %(on_hand)s on the shelf") % {
            "ordered": f"{self.quantity:,}",
            "on_hand": f"{self.on_hand:,}",
        }


class FoundForm(WhyForm):
    """How many of each were found, and where."""

    def __init__(self, typed: Mapping[str, Any] | None, lines: list[Wanted], **more: Any) -> None:
        super().__init__(typed, **more)
        self.lines = lines
        for line in lines:
            self.fields[f"found_{line.product}"] = forms.IntegerField(
                label=_("Found: %(name)s (%(sku)s)") % {"name": line.name, "sku": line.sku},
                help_text=line.told,
                min_value=0,
                max_value=MOST,
                initial=line.short,
                widget=UnfoldAdminIntegerFieldWidget(attrs={"autocomplete": "off"}),
            )
        self.fields["why"].help_text = _("Where they were: from the other store, came in this morning …")
        self.order_fields([*(f"found_{line.product}" for line in lines), "why"])

    def clean(self) -> dict[str, Any]:
        """Refuse to find fewer than the order needs: half an order cannot be sent."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        found: dict[int, int] = {}
        for line in self.lines:
            number = cleaned.pop(f"found_{line.product}", None)
            if number is None:
                continue
            found[line.product] = number
            missing = line.short - number
            if missing > 0:
                self.add_error(
                    f"found_{line.product}", _("%(n)s are still missing for this order.") % {"n": f"{missing:,}"}
                )
        cleaned["found"] = found
        return cleaned


def fits(case: Case) -> bool:
    """Say whether the case is about goods that are missing for a paid order."""
    return case.code == "paid_unallocated" and case.order is not None and case.order.status == Status.PAID


def wanted(order: Order) -> list[Wanted]:
    """The order's lines with what there is of each."""
    lines = list(order.lines.all())
    there = dict(Level.objects.filter(product__in=[line.product_id for line in lines]).values_list("pk", "on_hand"))
    language = get_language() or "ja"
    return [
        Wanted(line.product_id, line.name_in(language), line.sku, line.quantity, there.get(line.product_id, 0))
        for line in lines
    ]


def preview(case: Case) -> Preview:
    """Say what finding the goods does."""
    assert case.order is not None
    return Preview(
        will=[
            _("What you have found is added to the stock, with your reason."),
            _("It is set aside for this order in the same moment: no other customer can buy it."),
            _("The order goes on: parcel, customer's page, mail."),
        ],
        will_not=[_("Nothing is charged again.")],
        button=_("Set aside for this order and go on"),
        read={"lines": wanted(case.order)},
    )


def form(case: Case, typed: Mapping[str, Any] | None, shown: Preview) -> FoundForm:
    """The form, with a number for each line."""
    lines = shown.read["lines"]
    # A line of which there is enough needs no question, unless there is enough of everything by now.
    asked = [line for line in lines if line.short] or lines
    return FoundForm(typed, asked, initial={"seen": case.code})


def act(request: HttpRequest, case: Case, *, why: str, seen: str, found: dict[int, int]) -> None:
    """Add what was found, hold it for the order and play on, in one transaction. Raises NoLonger."""
    who = request.user.get_username()
    with transaction.atomic():
        stopped = hold(case, seen)
        order = stopped.order
        if order.status != Status.PAID or take.held(order):
            raise NoLonger(_("Nothing was changed: the goods of this order are set aside already."))
        count.adjust({product: number for product, number in found.items() if number}, who=who, why=why)
        short = take.hold_found(order, {line.product_id: line.quantity for line in order.lines.all()})
        if short:
            # Somebody has bought of it since the page was shown; nothing of this is kept.
            raise NoLonger(
                _("Nothing was changed: others have bought meanwhile, and there is not enough. Please count again.")
            )
        pieces = sum(found.values())
        acts.write_down(
            request,
            order,
            _("Found by hand and set aside for this order: %(n)s pieces") % {"n": f"{pieces:,}"},
            act="allocated",
            reason=why,
        )
        play = go_on(request, stopped)
    tell(request, _("The goods are set aside for this order."), play)
