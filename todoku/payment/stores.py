"""The convenience stores where a voucher is paid: their names and how one pays there, for mails and pages alike.

Which chains there are, and that each wants a payment code and, where Stripe gives one, a confirmation number, is
from https://docs.stripe.com/payments/konbini. The chains change the words on their machines from time to time, so
the steps say no more than what has long been so. Everything here is said in the language that is active now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from todoku.payment.models import Voucher

#: Stripe's word for a chain, and what people call it.
NAMES: Mapping[str, Promise] = {
    "familymart": _("FamilyMart"),
    "lawson": _("Lawson"),
    "ministop": _("Ministop"),
    "seicomart": _("Seicomart"),
}

_LOPPI: tuple[Promise, ...] = (
    _("On the Loppi machine in the store, choose the button for customers who have a number."),
    _("Enter the payment code and then the confirmation number, check what is shown, and print the slip."),
    _("Take the slip to the till without delay and pay in cash."),
)
_STEPS: Mapping[str, tuple[Promise, ...]] = {
    "familymart": (
        _("On the multi-copy machine in the store, choose the payment of bills (代金支払い)."),
        _("Enter the payment code and then the confirmation number, check what is shown, and print the slip."),
        _("Take the slip to the till without delay and pay in cash."),
    ),
    "lawson": _LOPPI,
    "ministop": _LOPPI,
    "seicomart": (
        _("At the till, say that you would like to pay for an online order (インターネット代金支払い)."),
        _("Give the payment code and the confirmation number, check what is shown, and pay in cash."),
    ),
}
#: For a chain that Stripe may add one day.
_ANYWHERE: tuple[Promise, ...] = (
    _("Show the payment code and the confirmation number in the store and ask how to enter them."),
    _("Check what is shown and pay in cash."),
)


@dataclass(frozen=True)
class Store:
    """One chain as a customer needs it: its name, the numbers to enter there, and how to pay in short steps."""

    chain: str
    name: str
    payment_code: str
    #: Empty where Stripe gives none.
    confirmation_number: str
    steps: tuple[str, ...]


def name(chain: str) -> str:
    """Say what people call a chain; one that we do not know keeps Stripe's word, and none is an empty string."""
    return str(NAMES.get(chain, chain))


def steps(chain: str) -> tuple[str, ...]:
    """Say in short steps how one pays at a chain."""
    return tuple(str(step) for step in _STEPS.get(chain, _ANYWHERE))


def shown(voucher: Voucher) -> list[Store]:
    """Make ready what a customer is shown of a voucher: every chain that it can be paid at, in our order."""
    return [
        Store(
            chain=store["chain"],
            name=name(store["chain"]),
            payment_code=store["payment_code"],
            confirmation_number=store.get("confirmation_number", ""),
            steps=steps(store["chain"]),
        )
        for store in voucher.stores
    ]
