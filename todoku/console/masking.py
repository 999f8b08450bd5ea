"""Personal data on the console's pages: whole for those whose work needs it, masked for everybody else.

Two permissions say who needs what. ``order.view_personal_data`` opens all of it. ``order.view_parcel_data`` opens what
stands on a parcel (name, kana, address, phone), and not the mail address. Who has neither sees 北野 **,
h***@example.com and the last four digits of the phone number: enough to know an order again while somebody is on the
phone.
"""

from __future__ import annotations

import re
from typing import Literal

from django.http import HttpRequest
from django.utils.translation import gettext as _

Kind = Literal["name", "kana", "phone", "address", "mail", "text", "technical"]

#: What stands on a parcel.
ON_A_PARCEL = frozenset({"name", "kana", "phone", "address"})
#: A mail address in a technical text: what a mail server says quotes it.
_ADDRESS = re.compile(r"[^\s<>\"'(),:;]+@[^\s<>\"'(),:;]+")
ALL_OF_IT = "order.view_personal_data"
OF_THE_PARCEL = "order.view_parcel_data"


def may_see(request: HttpRequest, kind: Kind) -> bool:
    """Say whether the operator sees this kind of personal data whole."""
    user = request.user
    return user.has_perm(ALL_OF_IT) or (kind in ON_A_PARCEL and user.has_perm(OF_THE_PARCEL))


def may_see_any(request: HttpRequest) -> bool:
    """Say whether the operator sees any personal data whole: then what they looked at is written down."""
    return may_see(request, "name")


def shown(request: HttpRequest, kind: Kind, value: str) -> str:
    """The value as this operator may see it."""
    return value if may_see(request, kind) else masked(kind, value)


def masked(kind: Kind, value: str) -> str:
    """The value so that who knows it knows it again, and nobody else learns it."""
    if not value:
        return value
    if kind in ("name", "kana"):
        family, _space, given = value.replace("　", " ").strip().partition(" ")
        return f"{family} **" if given else f"{family[:1]}**"
    if kind == "phone":
        return _("last 4 digits %(digits)s") % {"digits": value[-4:]} if len(value) > 6 else "****"
    if kind == "mail":
        name, _at, domain = value.rpartition("@")
        return f"{name[:1]}***@{domain}" if name else "***"
    if kind == "technical":
        return _ADDRESS.sub(lambda found: masked("mail", found[0]), value)
    # An address is shown as far as the city by whoever calls; a text that may quote anything is not shown at all.
    return "***" if kind == "address" else _("Not shown: this text holds a customer's data.")
