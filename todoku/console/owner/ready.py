"""Ready to open? What is set, what is missing before real customers come, and where to mend it."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.mail import EmailMessage
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from todoku.catalog.models import Product, TaxClass, Temperature
from todoku.console import acts, roles
from todoku.console.owner.pages import address, may_choose, may_look, page
from todoku.database import let_go
from todoku.notify.models import Mail
from todoku.quote import rules, shipping_table
from todoku.quote.ask import JST
from todoku.quote.models import TaxRate
from todoku.ringing.models import Channel
from todoku.shop import chosen, seller
from todoku.shop.chosen import Chosen
from todoku.shop.models import Topic

#: Facts that the law wants told, and that every shop has of its own.
OWN_FACTS = ("company", "responsible", "address")


@dataclass(frozen=True)
class Point:
    """One point of the list: ``yes``, ``no`` (must be mended before opening) or ``look`` (a person must judge)."""

    state: str
    title: str
    says: str
    link: str = ""


def checklist(request: HttpRequest) -> HttpResponse:
    """The list. A POST sends the person a test mail."""
    if not may_look(request):
        raise PermissionDenied
    if request.method == "POST":
        if not may_choose(request):
            raise PermissionDenied
        _send_test(request)
        return HttpResponseRedirect(reverse("admin:shop_ready"))
    holds = chosen.read()
    points = [*_told(holds), *_priced(holds), *_sold(), *_around(request)]
    missing = sum(point.state == "no" for point in points)
    return page(
        request,
        "console/owner/ready.html",
        _("Ready to open?"),
        points=sorted(points, key=lambda point: ("no", "look", "yes").index(point.state)),
        missing=missing,
        to_judge=sum(point.state == "look" for point in points),
        mail=request.user.email if hasattr(request.user, "email") else "",
    )


def _point(good: bool, title: str, right: str, wrong: str, link: str = "", *, otherwise: str = "no") -> Point:
    return Point("yes" if good else otherwise, title, right if good else wrong, link)


def _told(holds: Chosen) -> Iterator[Point]:
    """What the shop says of itself."""
    demo = seller.told("ja") if seller.is_demo() else {}
    facts = holds.seller("ja")
    yield _point(
        holds.name("ja") != settings.DEMO_NAME_JA,
        _("Shop name"),
        holds.name("ja"),
        _("The shop still has the demo's name."),
        address(Topic.NAME),
    )
    contact = [facts["mail"], facts["phone"]]
    yield _point(
        not any(value in (demo.get("mail"), demo.get("phone")) for value in contact),
        _("Contact"),
        " · ".join(contact),
        _("The mail address or the phone number is still the demo's."),
        address(Topic.NAME),
    )
    still = [name for name in OWN_FACTS if facts[name] == demo.get(name)]
    yield _point(
        not still,
        _("Legal notice"),
        facts["company"],
        _("Seller, person responsible or address are still those of the imaginary demo company."),
        address(Topic.LEGAL),
    )
    yield _point(
        bool(holds.printed_invoice_number),
        _("Invoice registration number"),
        holds.invoice_number,
        _("None, or the demo's. If you are registered, enter yours; if you are not, leave it empty."),
        address(Topic.INVOICE),
        otherwise="look" if not holds.invoice_number else "no",
    )


def _priced(holds: Chosen) -> Iterator[Point]:
    """Whether everything can be priced and paid."""
    fees = shipping_table.read().fees
    sent = set(Product.objects.filter(on_sale=True).order_by().values_list("temperature", flat=True).distinct())
    unserved = [
        prefecture
        for prefecture in rules.PREFECTURES
        if any((prefecture.region, kept, size) not in fees for kept in sent for size in rules.SIZES)
    ]
    japanese = (get_language() or "ja").startswith("ja")
    names = [p.name_ja if japanese else p.name_en for p in unserved[:8]]
    yield _point(
        bool(sent) and not unserved,
        _("Shipping to all 47 prefectures"),
        _("There is a fee for every size and temperature that you sell."),
        _("Some parcels are not sent to: %(names)s.") % {"names": ", ".join([*names, *(["…"] if unserved[8:] else [])])}
        if unserved
        else _("Nothing is on sale yet."),
        address(Topic.SHIPPING),
        otherwise="look" if 0 < len(unserved) < 47 else "no",
    )
    today = timezone.localdate(timezone=JST)
    rates = [rules.DatedRate(*row) for row in TaxRate.objects.values_list("tax_class", "starts_on", "percent")]
    lacking = []
    for tax_class in TaxClass:
        try:
            rules.rate_on(rates, tax_class.value, today)
        except rules.NoTaxRate:
            lacking.append(str(tax_class.label))
    yield _point(
        not lacking,
        _("Tax rates"),
        ", ".join(f"{_name(c)} {rules.rate_on(rates, c.value, today)} %" for c in TaxClass) if not lacking else "",
        _("No rate holds today: %(names)s. Nobody can order.") % {"names": ", ".join(lacking)},
        address(Topic.TAX),
    )
    ways = [name for name, on in ((_("Credit card"), holds.card), (_("Convenience stores"), holds.konbini)) if on]
    yield Point("yes", _("Ways to pay"), " · ".join(ways), address(Topic.PAYMENT))


def _name(tax_class: TaxClass) -> str:
    return str(tax_class.label)


def _sold() -> Iterator[Point]:
    """Whether there is something to sell."""
    on_sale = Product.objects.filter(on_sale=True)
    uncounted = on_sale.filter(level=None).count()
    number = on_sale.count()
    temperatures = ", ".join(
        str(Temperature(kept).label) for kept in on_sale.order_by().values_list("temperature", flat=True).distinct()
    )
    yield _point(
        bool(number) and not uncounted,
        _("Goods and stock"),
        _("%(n)s products on sale (%(kept)s), all counted.") % {"n": f"{number:,}", "kept": temperatures},
        _("%(n)s products have not been counted; nobody can buy them.") % {"n": f"{uncounted:,}"}
        if number
        else _("Nothing is on sale yet."),
        reverse("admin:stock_level_changelist"),
        otherwise="look" if number else "no",
    )


def _around(request: HttpRequest) -> Iterator[Point]:
    """What is around the shop: Stripe, mail, bell, people."""
    yield _point(
        settings.STRIPE.livemode,
        _("Stripe"),
        _("Live keys: real money."),
        _("The rehearsal Stripe: no real money. Your developer sets the live keys.")
        if settings.STRIPE.rehearsal
        else _("Stripe's test mode: no real money. Your developer sets the live keys."),
    )
    yield _point(
        settings.PRODUCTION and settings.SITE_URL.startswith("https://"),
        _("Production"),
        settings.SITE_URL,
        _("The shop runs as a rehearsal. Your developer sets TODOKU_ENV=production and an https:// address."),
    )
    yield _point(
        Mail.objects.filter(sent_at__isnull=False).exists(),
        _("Mail"),
        _("Mails have been sent."),
        _("No mail has been sent yet. Send yourself a test mail below and see whether it comes."),
        otherwise="look",
    )
    on = list(Channel.objects.filter(on=True))
    heard = [channel for channel in on if channel.heard_at is not None]
    yield Point(
        "yes" if heard else "look" if on else "no",
        _("The bell"),
        _("Has rung: %(names)s.") % {"names": ", ".join(channel.name for channel in heard)}
        if heard
        else _("No channel has got through yet. Test each one, and see whether it rings.")
        if on
        else _("There is no channel: nobody is told when an order needs a person."),
        reverse("admin:ringing_channel_changelist"),
    )
    yield _second_factor(request)
    people = roles.owners().count()
    yield _point(
        people >= 2,
        _("Two persons"),
        _("%(n)s owners: refunds above the limit can be agreed to by a second one.") % {"n": people},
        _("There is one owner only: nobody else can agree to a refund above the limit, or let you in again."),
        reverse("admin:auth_user_changelist"),
        otherwise="look",
    )


def _second_factor(request: HttpRequest) -> Point:
    if not apps.is_installed("allauth.mfa"):
        return Point("look", _("Second factor"), _("Logins are not protected by a second factor."))
    model: Any = apps.get_app_config("mfa").get_model("Authenticator")
    bare = roles.owners().exclude(pk__in=model.objects.values("user")).count()
    return _point(
        not bare,
        _("Second factor"),
        _("All owners log in with a second factor."),
        _("%(n)s owners log in without a second factor.") % {"n": bare},
    )


def _send_test(request: HttpRequest) -> None:
    """Send the person who asks a mail, and say what the mail server said."""
    to = getattr(request.user, "email", "")
    if not to:
        messages.error(request, _("Your user has no mail address. Enter one first."))
        return
    with transaction.atomic():
        acts.write_down(request, None, _("Test mail sent"))
    holds = chosen.now()
    message = EmailMessage(
        subject=_("[%(shop)s] Test mail") % {"shop": holds.name(get_language() or "ja")},
        body=_("This mail was sent from the shop's settings. If you can read it, mails arrive."),
        from_email=holds.from_email,
        to=[to],
    )
    let_go()
    try:
        message.send()
    except (smtplib.SMTPException, OSError, ValueError) as error:
        messages.error(
            request,
            _("The mail server did not take the mail (%(error)s). Ask your developer to check TODOKU_SMTP_….")
            % {"error": type(error).__name__},
        )
    else:
        messages.success(request, _("The mail server took the mail to %(to)s. Look whether it arrives.") % {"to": to})
