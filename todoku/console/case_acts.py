"""The acts for what Resume cannot mend: each has a page of its own that says what will happen, and one button."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from todoku.console import accept, address, allocate, writing_off
from todoku.console.preview import Preview
from todoku.notify.models import Case


@dataclass(frozen=True)
class CaseAct:
    """One act on a case: who may do it, when it fits, what its page says, and what it does."""

    name: str
    permission: str
    title: Any
    icon: str
    #: Whether it can be of use for this case as it stands.
    fits: Callable[[Case], bool]
    preview: Callable[[Case], Preview]
    form: Callable[[Case, Mapping[str, Any] | None, Preview], forms.Form]
    #: Does it, given what the form has read, and returns what to tell. Raises NoLonger.
    act: Callable[..., None]

    def may(self, request: HttpRequest) -> bool:
        """Say whether the operator may do it."""
        return bool(request.user.has_perm(self.permission))


ACTS: Sequence[CaseAct] = (
    CaseAct(
        "accept",
        "notify.accept_amount",
        gettext_lazy("Accept the amount that was paid"),
        "price_check",
        accept.fits,
        accept.preview,
        accept.form,
        accept.act,
    ),
    CaseAct(
        "allocate",
        "notify.allocate_stock",
        gettext_lazy("I have found the goods"),
        "inventory_2",
        allocate.fits,
        allocate.preview,
        allocate.form,
        allocate.act,
    ),
    CaseAct(
        "address",
        "notify.correct_address",
        gettext_lazy("Correct name, address or phone"),
        "edit_location_alt",
        address.fits,
        address.preview,
        address.form,
        address.act,
    ),
    CaseAct(
        "write-off",
        "notify.write_off",
        gettext_lazy("Write the order off"),
        "do_not_disturb_on",
        writing_off.fits,
        writing_off.preview,
        writing_off.form,
        writing_off.act,
    ),
)


def named(name: str) -> CaseAct | None:
    """The act of that name."""
    return next((act for act in ACTS if act.name == name), None)


@dataclass(frozen=True)
class Offered:
    """The acts that an operator may do on a case now: the one that fits its cause, and the others."""

    first: CaseAct | None = None
    others: Sequence[CaseAct] = field(default_factory=tuple)


def offered(request: HttpRequest, case: Case, first: str) -> Offered:
    """Sort what fits the case and what this operator may do."""
    checkout = case.execution is not None and case.execution.flow == "checkout"
    able = [act for act in ACTS if checkout and act.may(request) and act.fits(case)]
    return Offered(
        next((act for act in able if act.name == first), None), [act for act in able if act.name != first]
    )
