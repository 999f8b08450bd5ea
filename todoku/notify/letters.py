"""Letters to the customer: what each kind of mail says, written once under one Message-ID, and how it is posted."""

from __future__ import annotations

import re
import smtplib
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import parseaddr
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.utils import timezone, translation
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from todoku.database import let_go
from todoku.fulfilment import rules
from todoku.fulfilment.models import Delivery, carrier_name
from todoku.money import spoken
from todoku.notify import texts
from todoku.notify.models import Mail
from todoku.order import links
from todoku.order.models import Status
from todoku.payment import stores
from todoku.payment.models import Attempt, Outcome, Voucher
from todoku.shop import chosen

if TYPE_CHECKING:
    from todoku.order.models import Order

#: Every kind of mail to a customer, and its subject.
SUBJECTS: Mapping[str, Promise] = {
    "order_complete": _("[%(shop)s] Thank you for your order %(number)s"),
    "konbini_codes": _("[%(shop)s] How to pay for your order %(number)s"),
    "konbini_reminder": _("[%(shop)s] The time to pay for your order %(number)s ends soon"),
    "konbini_expired": _("[%(shop)s] Your order %(number)s has ended unpaid"),
    "konbini_canceled": _("[%(shop)s] Your order %(number)s has been canceled"),
    "shipped": _("[%(shop)s] Your order %(number)s is on its way"),
    "renumbered": _("[%(shop)s] The right tracking number for your order %(number)s"),
    "refund": _("[%(shop)s] We are refunding your order %(number)s"),
}


class NeverTaken(Exception):
    """No mail server will ever take this mail: it refuses the address for good, or there is no such address."""


def is_so(mail: Mail) -> bool:
    """Say whether what the mail says is still so: nobody is asked to pay what is paid, or told of an end that was none.

    ``mail.order`` must be fresh.
    """
    order = mail.order
    if mail.kind in ("konbini_codes", "konbini_reminder"):
        return order.status == Status.PLACED and order.withdrawn_at is None and timezone.now() < order.pay_by
    if mail.kind in ("konbini_expired", "konbini_canceled"):
        return order.status == Status.CANCELED
    if _sort(mail.kind) in ("shipped", "renumbered"):
        # Taken back, or told anew with the right number.
        return order.deliveries.filter(told_in=mail.kind, state=Delivery.State.SHIPPED).exists()
    return True


def _sort(kind: str) -> str:
    """What sort of mail a kind is: there may be several of one sort, such as shipped-1 and shipped-2."""
    return kind.partition("-")[0]


def write(order: Order, kind: str, *, next_try_at: datetime | None = None) -> Mail:
    """Write the order's mail of this kind unless it is written already; its text never changes afterwards."""
    written = Mail.objects.filter(order=order, kind=kind).first()
    if written is not None:
        return written
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "localhost"
    language = "ja" if order.language.startswith("ja") else "en"
    with translation.override(order.language):
        mail, _made = Mail.objects.get_or_create(
            order=order,
            kind=kind,
            defaults={
                # Short, so that it stays on one line: not every reader unfolds a Message-ID.
                "message_id": f"<{uuid.uuid4().hex}@{domain}>",
                "recipient": order.email,
                "subject": texts.said(_sort(kind), language, "subject", _values(order, language)),
                "text": _text(order, kind),
                "next_try_at": next_try_at,
            },
        )
    return mail


def post(mail: Mail) -> None:
    """Hand a mail to the mail server. Talks to the outside: call it in no transaction.

    Raises ``NeverTaken`` when no server will ever take it, and ``smtplib.SMTPException`` or ``OSError``
    when it cannot be reached or says "later".
    """
    message = EmailMessage(
        subject=mail.subject,
        body=mail.text,
        from_email=chosen.now().from_email,
        to=[mail.recipient],
        headers={"Message-ID": mail.message_id, "Auto-Submitted": "auto-generated"},
    )
    let_go()
    try:
        message.send()
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _text in error.recipients.values()]
        if codes and all(500 <= code < 600 for code in codes):
            # Not chained: what the server said of the address would be kept with the case.
            raise NeverTaken(f"{codes}") from None
        raise
    except ValueError as error:
        # A line break in a header, or an address that is none (django.core.mail): nothing has been sent.
        raise NeverTaken(type(error).__name__) from error


def _text(order: Order, kind: str) -> str:
    language = "ja" if order.language.startswith("ja") else "en"
    sort, values = _sort(kind), _values(order, language)
    own = {part: texts.said(sort, language, part, values) for part in ("greeting", "footer")}
    more = _refund(order, language, int(kind.partition("-")[2])) if sort == "refund" else _MORE[sort](order, language)
    facts = {**_common(order, language), **more, **_parcels(order, kind, language)}
    return told(sort, language, {**facts, **own})


def told(sort: str, language: str, facts: Mapping[str, Any]) -> str:
    """Write a mail's text out of its facts."""
    text = render_to_string(f"notify/mail/{sort}.{language}.txt", dict(facts))
    # The parts of a letter end in lines of their own; one empty line between two is enough.
    return re.sub(r"\n{3,}", "\n\n", text)


def _values(order: Order, language: str) -> dict[str, str]:
    """What the owner's own words may name in braces."""
    return {
        "name": order.name,
        "shop": chosen.now().name(language),
        "number": order.number,
        "total": spoken(order.total, language),
        "link": links.address(order),
        "home": f"{settings.SITE_URL}/",
    }


def _common(order: Order, language: str) -> dict[str, Any]:
    """What every letter tells: the order, its lines and its sums."""
    return {
        "shop": chosen.now().name(language),
        "company": chosen.now().seller(language)["company"],
        "invoice_number": chosen.now().printed_invoice_number,
        "order": order,
        "placed": timezone.localtime(order.placed_at),
        "lines": [
            {
                "name": line.name_in(language),
                "reduced": line.tax_class == "reduced",
                "unit_price": spoken(line.unit_price, language),
                "quantity": line.quantity,
                "amount": spoken(line.amount, language),
            }
            for line in order.lines.all()
        ],
        "goods_total": spoken(order.goods_total, language),
        "shipping": spoken(order.shipping, language),
        "total": spoken(order.total, language),
        "taxes": [
            {
                "percent": tax["percent"],
                "base": spoken(tax["base"], language),
                "tax": spoken(tax["tax"], language),
            }
            for tax in order.taxes
        ],
        "postal_code": f"{order.postal_code[:3]}-{order.postal_code[3:]}",
        "link": links.address(order),
        "home": f"{settings.SITE_URL}/",
    }


def _payment(order: Order, language: str) -> dict[str, Any]:
    """How the order was paid."""
    attempt = Attempt.objects.filter(order=order, outcome=Outcome.PAID).order_by("-number").first()
    if attempt is None:
        return {}
    card = f"{attempt.card_brand.upper()} ****{attempt.card_last4}" if attempt.card_last4 else ""
    return {"card": card, "konbini": attempt.method == "konbini", "store": stores.name(attempt.chain)}


def _voucher(order: Order, language: str) -> dict[str, Any]:
    """The codes with which the order can be paid, and until when."""
    voucher = Voucher.objects.get(attempt__order=order, attempt__number=order.attempts)
    return {"expires": timezone.localtime(voucher.expires_at), "stores": stores.shown(voucher)}


def _parcels(order: Order, kind: str, language: str) -> dict[str, Any]:
    """The parcels that a mail of a shipment tells of; they name the mail."""
    if _sort(kind) not in ("shipped", "renumbered"):
        return {}
    parcels = list(order.deliveries.order_by("number"))
    return {
        "parcels": [
            {
                "number": parcel.number,
                "temperature": parcel.get_temperature_display(),
                "carrier": carrier_name(parcel.carrier),
                "tracking_number": parcel.tracking_number,
                "link": rules.tracked_at(parcel.carrier, parcel.tracking_number),
                "contents": [
                    {"name": thing[f"name_{language}"], "quantity": thing["quantity"]} for thing in parcel.contents
                ],
            }
            for parcel in parcels
            if parcel.told_in == kind
        ],
        "several": len(parcels) > 1,
        "rest": sum(parcel.state == Delivery.State.TO_SHIP for parcel in parcels),
    }


def _end(order: Order, language: str) -> dict[str, Any]:
    """An order that has ended needs no more than what every letter tells."""
    return {}


def _refund(order: Order, language: str, number: int) -> dict[str, Any]:
    """What is given back, and how it comes to the customer."""
    refund = order.refunds.get(number=number)
    return {
        **_payment(order, language),
        "refunded": spoken(refund.amount, language),
        "rest": spoken(order.total - sum(one.amount for one in order.refunds.all() if one.state in GIVEN), language),
        "of_lines": [
            {
                "name": part.line.name_in(language),
                "quantity": part.quantity,
                "amount": spoken(part.amount, language),
            }
            for part in refund.lines.select_related("line")
        ],
        "of_shipping": spoken(refund.shipping, language) if refund.shipping else "",
        "of_other": spoken(refund.other, language) if refund.other else "",
    }


#: A refund in one of these has been given back, or is on its way (``todoku.refund``'s own table has the moves).
GIVEN = ("approved", "asked", "requires_action", "pending", "succeeded")

_MORE: Mapping[str, Callable[[Order, str], dict[str, Any]]] = {
    "order_complete": _payment,
    "konbini_codes": _voucher,
    "konbini_reminder": _voucher,
    "konbini_expired": _end,
    "konbini_canceled": _end,
    "shipped": _end,
    "renumbered": _end,
}
