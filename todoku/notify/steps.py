"""What a flow may ask of the mail: written once under one Message-ID, sent until somebody takes it."""

from __future__ import annotations

import smtplib
import uuid
from email.utils import parseaddr
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from todoku.bad_news import NeedsOperator, Unavailable
from todoku.database import let_go
from todoku.money import spoken
from todoku.notify.models import Mail
from todoku.order import links
from todoku.order.models import Order, Status
from todoku.order.moves import move

KIND = "order_complete"


def send(order: Order) -> Mail:
    """Write the order's mail, if it is not yet written, and hand it to the mail server.

    Talks to the mail server, so it runs outside any transaction. Raises ``Unavailable`` when the server cannot
    be reached or says "later", and ``NeedsOperator`` when it refuses this address for good.
    """
    mail = Mail.objects.filter(order=order, kind=KIND).first() or _write(order)
    if mail.sent_at is not None:
        return mail
    if mail.recipient != order.email:
        # The address was refused, and a person has corrected it in the order.
        mail.recipient = order.email
        mail.save(update_fields=["recipient"])
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
            raise NeedsOperator(
                "mail_refused", "The mail server refuses the customer's address. Correct it, then press Resume."
            ) from error
        raise Unavailable(f"the mail server says later: {codes}") from error
    except (smtplib.SMTPException, OSError) as error:
        raise Unavailable(f"the mail server is not available: {type(error).__name__}") from error
    return mail


def mark_sent(order: Order, mail: Mail) -> dict[str, Any]:
    """Note that the mail has left and that the order is complete."""
    now = timezone.now()
    Mail.objects.filter(pk=mail.pk, sent_at=None).update(sent_at=now)
    move(order, Status.COMPLETE, completed_at=now, next_look_at=None)
    return {"outcome": "sent"}


def _write(order: Order) -> Mail:
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "localhost"
    with translation.override(order.language):
        mail, _made = Mail.objects.get_or_create(
            order=order,
            kind=KIND,
            defaults={
                # Short, so that it stays on one line: not every reader unfolds a Message-ID.
                "message_id": f"<{uuid.uuid4().hex}@{domain}>",
                "recipient": order.email,
                "subject": _("[%(shop)s] Thank you for your order %(number)s")
                % {"shop": _shop(order.language), "number": order.number},
                "text": _text(order),
            },
        )
    return mail


def _shop(language: str) -> str:
    return settings.SHOP_NAME_JA if language.startswith("ja") else settings.SHOP_NAME_EN


def _text(order: Order) -> str:
    language = "ja" if order.language.startswith("ja") else "en"
    attempt = order.payment_attempts.order_by("-number").first()
    card = f"{attempt.card_brand.upper()} ****{attempt.card_last4}" if attempt and attempt.card_last4 else ""
    return render_to_string(
        f"notify/mail/order_complete.{language}.txt",
        {
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
            "card": card,
            "postal_code": f"{order.postal_code[:3]}-{order.postal_code[3:]}",
            "link": links.address(order),
        },
    )
