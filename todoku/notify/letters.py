"""Letters to the customer: what each kind of mail says, written once under one Message-ID, and how it is posted."""

from __future__ import annotations

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
from todoku.money import spoken
from todoku.notify.models import Mail
from todoku.order import links
from todoku.payment.models import Attempt, Voucher

if TYPE_CHECKING:
    from todoku.order.models import Order

#: Every kind of mail to a customer, and its subject.
SUBJECTS: Mapping[str, Promise] = {
    "order_complete": _("[%(shop)s] Thank you for your order %(number)s"),
    "konbini_codes": _("[%(shop)s] How to pay for your order %(number)s"),
    "konbini_reminder": _("[%(shop)s] Please pay for your order %(number)s by tomorrow"),
    "konbini_expired": _("[%(shop)s] Your order %(number)s has ended unpaid"),
}


class NeverTaken(Exception):
    """The mail server refuses this address for good."""


def write(order: Order, kind: str, *, next_try_at: datetime | None = None) -> Mail:
    """Write the order's mail of this kind unless it is written already; its text never changes afterwards."""
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "localhost"
    with translation.override(order.language):
        mail, _made = Mail.objects.get_or_create(
            order=order,
            kind=kind,
            defaults={
                # Short, so that it stays on one line: not every reader unfolds a Message-ID.
                "message_id": f"<{uuid.uuid4().hex}@{domain}>",
                "recipient": order.email,
                "subject": str(SUBJECTS[kind]) % {"shop": _shop(order.language), "number": order.number},
                "text": _text(order, kind),
                "next_try_at": next_try_at,
            },
        )
    return mail


def post(mail: Mail) -> None:
    """Hand a mail to the mail server. Talks to the outside: call it in no transaction.

    Raises ``NeverTaken`` when the server refuses the address for good, and ``smtplib.SMTPException`` or ``OSError``
    when it cannot be reached or says "later".
    """
    message = EmailMessage(
        subject=mail.subject,
        body=mail.text,
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=[mail.recipient],
        headers={"Message-ID": mail.message_id, "Auto-Submitted": "auto-generated"},
    )
    let_go()
    try:
        message.send()
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _text in error.recipients.values()]
        if codes and all(500 <= code < 600 for code in codes):
            raise NeverTaken(f"{codes}") from error
        raise


def _shop(language: str) -> str:
    return settings.SHOP_NAME_JA if language.startswith("ja") else settings.SHOP_NAME_EN


def _text(order: Order, kind: str) -> str:
    language = "ja" if order.language.startswith("ja") else "en"
    return render_to_string(
        f"notify/mail/{kind}.{language}.txt", {**_common(order, language), **_MORE[kind](order, language)}
    )


def _common(order: Order, language: str) -> dict[str, Any]:
    """What every letter tells: the order, its lines and its sums."""
    return {
        "shop": _shop(language),
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
    }


def _payment(order: Order, language: str) -> dict[str, Any]:
    """How the order was paid."""
    attempt = Attempt.objects.filter(order=order).order_by("-number").first()
    card = f"{attempt.card_brand.upper()} ****{attempt.card_last4}" if attempt and attempt.card_last4 else ""
    return {"card": card, "konbini": attempt is not None and attempt.method == "konbini"}


def _voucher(order: Order, language: str) -> dict[str, Any]:
    """The codes with which the order can be paid, and until when."""
    voucher = Voucher.objects.get(attempt__order=order, attempt__number=order.attempts)
    return {"voucher": voucher, "expires": timezone.localtime(voucher.expires_at), "stores": voucher.stores}


_MORE: Mapping[str, Callable[[Order, str], dict[str, Any]]] = {
    "order_complete": _payment,
    "konbini_codes": _voucher,
    "konbini_reminder": _voucher,
    "konbini_expired": _voucher,
}
