"""What a flow may ask of the mail: written once under one Message-ID, sent until somebody takes it."""

from __future__ import annotations

import smtplib
from datetime import datetime
from typing import Any

from django.utils import timezone

from todoku.bad_news import NeedsOperator, Unavailable
from todoku.notify import letters
from todoku.notify.models import Mail
from todoku.order.models import Order, Status
from todoku.order.moves import move

KIND = "order_complete"


def send(order: Order) -> Mail:
    """Write the order's confirmation, if it is not yet written, and hand it to the mail server."""
    return hand_over(order, KIND)


def hand_over(order: Order, kind: str) -> Mail:
    """Write the order's mail of this kind, if it is not yet written, and hand it to the mail server.

    Talks to the mail server, so it runs outside any transaction. Raises ``Unavailable`` when the server cannot
    be reached or says "later", and ``NeedsOperator`` when it refuses this address for good.
    """
    mail = Mail.objects.filter(order=order, kind=kind).first() or letters.write(order, kind)
    if mail.sent_at is not None:
        return mail
    if mail.recipient != order.email:
        # The address was refused, and a person has corrected it in the order.
        mail.recipient = order.email
        mail.save(update_fields=["recipient"])
    try:
        letters.post(mail)
    except letters.NeverTaken as error:
        raise NeedsOperator(
            "mail_refused", "The mail server refuses the customer's address. Correct it, then press Resume."
        ) from error
    # Not chained: servers quote the customer's address in what they say, and it would be kept with the case.
    except smtplib.SMTPRecipientsRefused as error:
        codes = sorted({code for code, _text in error.recipients.values()})
        raise Unavailable(f"the mail server says later: {codes}") from None
    except smtplib.SMTPResponseException as error:
        raise Unavailable(f"the mail server answered {type(error).__name__} {error.smtp_code}") from None
    except (smtplib.SMTPException, OSError) as error:
        raise Unavailable(f"the mail server is not available: {type(error).__name__}") from None
    return mail


def mark_sent(order: Order, mail: Mail) -> dict[str, Any]:
    """Note that the mail has left and that the order is complete."""
    now = note_sent(mail)
    move(order, Status.COMPLETE, completed_at=now, next_look_at=None)
    return {"outcome": "sent"}


def note_sent(mail: Mail) -> datetime:
    """Note that a mail has left, and say when."""
    now = timezone.now()
    Mail.objects.filter(pk=mail.pk, sent_at=None).update(sent_at=now)
    return now
