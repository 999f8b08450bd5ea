"""Where a parcel goes, as facts on a page: whole for those whose work needs it, masked for everybody else."""

from __future__ import annotations

from django.http import HttpRequest
from django.utils.translation import gettext as _

from todoku.console import masking
from todoku.console.readonly import Fact
from todoku.quote.models import Details


def facts(request: HttpRequest, to: Details, *, mail: bool) -> list[Fact]:
    """The facts of a destination, as far as this operator may see them; ``mail``: with the mail address."""
    phone, address = masking.shown(request, "phone", to.phone), masking.shown(request, "mail", to.email)
    return [
        Fact(_("Name"), masking.shown(request, "name", to.name)),
        Fact(_("Kana"), masking.shown(request, "kana", to.kana)),
        Fact(_("Address"), where(request, to)),
        Fact(_("Phone"), phone, f"tel:{phone}" if phone == to.phone else "", mono=True),
        *([Fact(_("Mail"), address, f"mailto:{address}" if address == to.email else "")] if mail else []),
        Fact(_("Wished day"), to.wished_on or _("none")),
    ]


def where(request: HttpRequest, to: Details) -> str:
    """The address in one line; as far as the city for those who need no more."""
    postal_code = f"〒{to.postal_code[:3]}-{to.postal_code[3:]}"
    if not masking.may_see(request, "address"):
        return f"〒{to.postal_code[:3]}-**** {to.prefecture}{to.city} ***"
    building = f" {to.building}" if to.building else ""
    return f"{postal_code} {to.prefecture}{to.city}{to.street}{building}"
