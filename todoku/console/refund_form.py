"""The form with which a person says how much goes back to a customer, and what becomes of the goods."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django import forms
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _
from unfold.widgets import UnfoldAdminSelectWidget as Select
from unfold.widgets import (
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from todoku.console.templatetags.console import yen
from todoku.order.models import Order, OrderLine
from todoku.refund.ask import Purse
from todoku.refund.models import Reason
from todoku.refund.rules import Part, Wish, Wrong, all_of, priced

BACK = [
    ("", gettext_lazy("please choose")),
    ("yes", gettext_lazy("back on the shelf, for sale")),
    ("no", gettext_lazy("not back on the shelf")),
]


class NumberField(forms.IntegerField):
    """A whole number as people type it: full-width digits, commas, a yen sign; nothing typed is none."""

    def to_python(self, value: Any) -> int:
        """Read it."""
        typed = unicodedata.normalize("NFKC", str(value or "")).strip()
        for sign in (",", "、", "¥", "円", " "):
            typed = typed.replace(sign, "")
        if len(typed) > 9:
            raise forms.ValidationError(_("Please give a whole number, such as 1200."))
        return super().to_python(typed) or 0


def _number(label: str, most: int, **data: Any) -> NumberField:
    attrs = {"inputmode": "numeric", "autocomplete": "off", "size": "8", "maxlength": "12", **data}
    return NumberField(
        label=label,
        required=False,
        min_value=0,
        max_value=most,
        widget=UnfoldAdminTextInputWidget(attrs=attrs),
        error_messages={
            "invalid": gettext_lazy("Please give a whole number, such as 1200."),
            "max_value": gettext_lazy("At most %(limit_value)s can be refunded here."),
            "min_value": gettext_lazy("A refund is never negative."),
        },
    )


@dataclass(frozen=True)
class Row:
    """One line of the order in the form."""

    line: OrderLine
    left: int
    quantity: Any
    back: Any
    name: str


class RefundForm(forms.Form):
    """How many of each line, how much of the shipping fee, what else; why; and whether the customer gets a mail."""

    reason = forms.ChoiceField(
        label=gettext_lazy("Reason"),
        choices=[("", gettext_lazy("please choose")), *Reason.choices],
        error_messages={"required": gettext_lazy("Please choose why money is given back.")},
        widget=Select,
    )
    note = forms.CharField(
        label=gettext_lazy("What happened"),
        max_length=200,
        min_length=3,
        help_text=gettext_lazy("For the shop's own people; the customer does not see it."),
        error_messages={
            "required": gettext_lazy("Please say in a few words what happened."),
            "min_length": gettext_lazy("Please say in a few words what happened."),
        },
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )
    mail = forms.BooleanField(
        label=gettext_lazy("Send a mail to the customer"),
        required=False,
        widget=UnfoldBooleanSwitchWidget,
    )
    token = forms.CharField(widget=forms.HiddenInput, max_length=400)

    def __init__(self, order: Order, has: Purse, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.order, self.has = order, has
        self.lines = {line.pk: line for line in order.lines.all()}
        for goods in has.goods:
            if not goods.left:
                continue
            self.fields[f"line_{goods.id}"] = _number(
                _("How many to refund"), goods.left, **{"data-refund-price": goods.unit_price}
            )
            self.fields[f"back_{goods.id}"] = forms.ChoiceField(
                label=_("The goods"), choices=BACK, required=False, widget=Select
            )
        if has.shipping_left:
            self.fields["shipping"] = _number(
                _("Of the shipping fee (%(left)s)") % {"left": yen(has.shipping_left)},
                has.shipping_left,
                **{"data-refund-price": 1},
            )
        self.fields["other"] = _number(_("Another amount, without goods"), has.left, **{"data-refund-price": 1})

    def rows(self) -> Iterator[Row]:
        """The lines that can still be refunded."""
        language = get_language() or "ja"
        for goods in self.has.goods:
            if goods.left:
                line = self.lines[goods.id]
                yield Row(
                    line, goods.left, self[f"line_{goods.id}"], self[f"back_{goods.id}"], line.name_in(language)
                )

    def amounts(self) -> list[Any]:
        """The fields for money that is not a line's."""
        return [self[name] for name in ("shipping", "other") if name in self.fields]

    def clean(self) -> dict[str, Any]:
        """See that goods that are refunded have been decided on, and that the whole is not too much."""
        typed = super().clean() or {}
        for goods in self.has.goods:
            back = f"back_{goods.id}"
            if typed.get(f"line_{goods.id}") and back in self.fields and not typed.get(back):
                self.add_error(back, _("Please say whether the goods go back on the shelf."))
        if not self.errors:
            try:
                _amounts, self.whole = priced(
                    self.wish(), self.has.goods, shipping_left=self.has.shipping_left, left=self.has.left
                )
            except Wrong as wrong:
                raise forms.ValidationError(said(wrong)) from wrong
        return typed

    def wish(self) -> Wish:
        """What was typed, in the refund's own words."""
        typed = self.cleaned_data
        lines = {
            goods.id: Part(typed[f"line_{goods.id}"], typed.get(f"back_{goods.id}") == "yes")
            for goods in self.has.goods
            if typed.get(f"line_{goods.id}")
        }
        return Wish(
            reason=typed["reason"],
            note=typed["note"],
            lines=lines,
            shipping=typed.get("shipping") or 0,
            other=typed.get("other") or 0,
            mail=typed["mail"],
        )


def all_typed(has: Purse) -> dict[str, Any]:
    """What stands in the form when everything that is left is to be refunded."""
    wish = all_of(
        has.goods, shipping_left=has.shipping_left, left=has.left, reason="", note="", back=False, mail=True
    )
    plain = all(
        part.amount == goods.unit_price * part.quantity
        for goods in has.goods
        if (part := wish.lines.get(goods.id)) is not None
    )
    if not plain:
        # Money was given back without goods before: what is left is an amount, not so many goods.
        return {"other": has.left}
    typed: dict[str, Any] = {f"line_{line}": part.quantity for line, part in wish.lines.items()}
    return {**typed, **({"shipping": wish.shipping} if wish.shipping else {}), **_other(wish.other)}


def _other(amount: int) -> dict[str, int]:
    return {"other": amount} if amount else {}


def said(wrong: Wrong) -> str:
    """Say what is wrong with a wish, and what would be right."""
    if wrong.code == "nothing":
        return _("Please say how much is refunded: a number of goods, of the shipping fee, or another amount.")
    if wrong.code == "more_than_left":
        return _("That is more than is left of the payment: at most %(most)s can be refunded.") % {
            "most": yen(wrong.most)
        }
    if wrong.code == "too_many":
        return _("Of one of the goods only %(most)s are left to refund.") % {"most": wrong.most}
    return _("The order has changed meanwhile. Please look at it again.")
