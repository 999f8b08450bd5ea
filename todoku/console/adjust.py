"""Adjust the stock by hand: a difference with a reason, never a number that overwrites a sale."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from django import forms
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminSelectWidget

from todoku.console import acts
from todoku.console.typed import TextField, WholeField
from todoku.stock.count import adjust as move
from todoku.stock.models import Kind, Level, Movement, Reason

#: More at once than this is a slip of the finger.
MOST = 100_000
#: The most that can lie on a shelf, and the highest number to warn from.
MOST_ON_HAND = 1_000_000


class _Once(forms.Form):
    """A form that counts once: ``token`` names it, and ``after`` is the last adjustment that the operator has seen."""

    token = forms.UUIDField(widget=forms.HiddenInput)
    after = forms.IntegerField(widget=forms.HiddenInput, min_value=0)


class AdjustForm(_Once):
    """By how much the stock changed, and why."""

    delta = WholeField(
        label=gettext_lazy("Difference"),
        min_value=-MOST,
        max_value=MOST,
        help_text=gettext_lazy("10 when ten came in, -1 when one is broken."),
    )
    reason = forms.ChoiceField(
        label=gettext_lazy("Reason"), choices=Reason.choices, initial=Reason.DELIVERY, widget=UnfoldAdminSelectWidget
    )
    why = TextField(
        label=gettext_lazy("In your own words"),
        max_length=200,
        required=False,
        help_text=gettext_lazy("Delivery from the port, broken in the store, counted on Friday …"),
    )

    def clean_delta(self) -> int:
        """Refuse a difference of nothing."""
        delta: int = self.cleaned_data["delta"]
        if delta == 0:
            raise forms.ValidationError(_("A difference of 0 changes nothing."))
        return delta

    def clean(self) -> dict[str, Any]:
        """Ask for words where the list has none."""
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("reason") == Reason.OTHER and not cleaned.get("why") and "why" not in self.errors:
            self.add_error("why", _("Please say the reason in your own words."))
        return cleaned


class CountForm(_Once):
    """How many somebody has counted; ``delta``, once it has been shown, is what the count comes to."""

    counted = WholeField(label=gettext_lazy("Counted"), min_value=0, max_value=MOST_ON_HAND)
    why = TextField(label=gettext_lazy("In your own words"), max_length=200, required=False)
    delta = forms.IntegerField(
        widget=forms.HiddenInput, required=False, min_value=-MOST_ON_HAND, max_value=MOST_ON_HAND
    )


class WarnForm(forms.Form):
    """From how many on hand downwards the product is running out."""

    low_at = WholeField(label=gettext_lazy("Warn from"), min_value=0, max_value=MOST_ON_HAND, required=False)


class Overtaken(Exception):
    """Somebody has adjusted this product's stock since the operator looked; names that movement."""

    def __init__(self, movement: Movement) -> None:
        super().__init__(str(movement))
        self.movement = movement


class CountedAlready(Overtaken):
    """This very form has been sent before; names the movement that it made."""


def fresh(level: Level) -> dict[str, Any]:
    """What a new form begins with."""
    last = last_adjustment(level.product_id)
    return {"token": uuid.uuid4(), "after": last.pk if last else 0}


def shown_again(form: forms.Form, level: Level, **more: object) -> dict[str, Any]:
    """What was typed, under a new token: for a person who has seen what happened meanwhile and goes on."""
    return {**{name: form.data.get(name, "") for name in form.fields}, **fresh(level), **more}


def last_adjustment(product_id: int) -> Movement | None:
    """The product's latest adjustment by a person or an import; sales do not count."""
    return Movement.objects.filter(product_id=product_id, kind=Kind.COUNTED).order_by("-id").first()


def adjust(
    request: HttpRequest, level: Level, *, delta: int, why: str, after: int, token: uuid.UUID, reason: str
) -> int:
    """Move the stock by the difference, in one transaction, write down who did it, and tell how many are now on hand.

    A second press of the same button raises CountedAlready. An operator who counts the same crates in raises
    Overtaken: the last adjustment is no longer the one that the page showed. Either way nothing moves. Sales in
    between do no harm. Raises ``NotEnough`` (a ValueError) when less than nothing would be left.
    """
    with transaction.atomic():
        # A product that nobody has counted yet has no row to lock: the first adjustment brings it.
        Level.objects.bulk_create([Level(product_id=level.product_id)], ignore_conflicts=True)
        held = Level.objects.select_for_update(no_key=True).get(pk=level.product_id)
        before = Movement.objects.filter(token=token).first()
        if before is not None:
            raise CountedAlready(before)
        last = last_adjustment(level.product_id)
        if last is not None and last.pk != after:
            raise Overtaken(last)
        move({level.product_id: delta}, who=request.user.get_username(), why=why, reason=reason, token=token)
        acts.write_down(
            request,
            level,
            _("Stock adjusted by %(delta)s") % {"delta": f"{delta:+,}"},
            act="adjusted",
            before={"on_hand": held.on_hand},
            after={"on_hand": held.on_hand + delta},
            reason=in_words(reason, why),
        )
        return held.on_hand + delta


def warn(request: HttpRequest, level: Level, low_at: int | None) -> bool:
    """Let the product warn from its own number downwards, or from the shop's (None); False when it does already."""
    with transaction.atomic():
        Level.objects.bulk_create([Level(product_id=level.product_id)], ignore_conflicts=True)
        held = Level.objects.select_for_update(no_key=True).get(pk=level.product_id)
        if held.low_at == low_at:
            return False
        acts.write_down(
            request,
            level,
            _("Warning set"),
            before={"low_at": held.low_at},
            after={"low_at": low_at},
        )
        held.low_at = low_at
        held.save(update_fields=["low_at"])
    return True


def in_words(reason: str, why: str) -> str:
    """A movement's reason as a person reads it."""
    named: Mapping[str, Any] = dict(Reason.choices)
    parts = [str(named[reason])] if reason in named and not (reason == Reason.OTHER and why) else []
    return " · ".join([*parts, *([why] if why else [])]) or "–"
