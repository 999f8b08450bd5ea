"""The outbox: mails that no flow waits for, written with the fact that they tell of and sent afterwards.

A mail is written in the transaction of the fact (a voucher was issued, its time ran out), so there is no fact
without its mail. ``send_due`` sends what is due; a mail server that is down is tried again for three days.
"""

from __future__ import annotations

import logging
import smtplib
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from django.db import transaction
from django.utils import timezone

from todoku.notify import bell, letters
from todoku.notify.models import Mail

if TYPE_CHECKING:
    from todoku.order.models import Order

log = logging.getLogger(__name__)

#: How many mails one round sends.
AT_ONCE = 100
#: Nobody else sends the one mail that a sender has in hand; after so long the sender is taken for dead. Sending one
#: takes at most eight times EMAIL_TIMEOUT (connect, greet, secure, log in, from, to, text, leave).
IN_HAND = timedelta(minutes=2)
LONGEST_PAUSE = timedelta(hours=1)
#: RFC 5321 has senders try for four to five days; a konbini code is worth nothing after three.
GIVE_UP_AFTER = timedelta(hours=72)

#: What became of a mail in hand: it has left; it will not, or not now; or no mail server is there for any mail.
Came = Literal["sent", "not_sent", "away"]


def write(order: Order, kind: str) -> None:
    """Write the order's mail of this kind, once, in the caller's transaction; it is sent within seconds."""
    letters.write(order, kind, next_try_at=timezone.now())


def send_due() -> int:
    """Send every mail that is due; return how many have left. Several may do this at once."""
    sent = 0
    for _ in range(AT_ONCE):
        mail = _take()
        if mail is None:
            break
        came = _send(mail)
        if came == "away":
            # The others would wait for the same server; they stay due.
            break
        sent += came == "sent"
    return sent


def _take() -> Mail | None:
    """Take one mail that nobody else has in hand; should its sender die, it is due again in two minutes."""
    now = timezone.now()
    with transaction.atomic():
        mail = (
            Mail.objects.select_for_update(skip_locked=True, no_key=True, of=("self",))
            .select_related("order")
            .filter(next_try_at__lte=now)
            .order_by("next_try_at")
            .first()
        )
        if mail is not None:
            mail.tries += 1
            mail.next_try_at = now + IN_HAND
            mail.save(update_fields=["tries", "next_try_at"])
    return mail


def _send(mail: Mail) -> Came:
    if not letters.is_so(mail):
        _settle(mail, overtaken_at=timezone.now())
        return "not_sent"
    if mail.recipient != mail.order.email:
        # The address was wrong, and a person has corrected it in the order.
        mail.recipient = mail.order.email
        mail.save(update_fields=["recipient"])
    try:
        letters.post(mail)
    except letters.NeverTaken:
        _give_up(mail, "the mail server refuses the customer's address")
    except (smtplib.SMTPRecipientsRefused, smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
        _later(mail, error)
    except OSError as error:
        # That is every other SMTPException too.
        _later(mail, error)
        return "away"
    except Exception as error:
        # A mail that cannot be sent for a reason that nobody thought of does not hold up the others.
        log.exception("mail %s could not be sent", mail.pk)
        _later(mail, error)
    else:
        _settle(mail, sent_at=timezone.now())
        return "sent"
    return "not_sent"


def _settle(mail: Mail, **facts: object) -> None:
    """Write down the mail's end. What another sender has settled, who took this one for dead, stays as it is."""
    Mail.objects.filter(pk=mail.pk, sent_at=None).update(next_try_at=None, **facts)


def _later(mail: Mail, error: Exception) -> None:
    log.warning("mail %s could not be sent: %s", mail.pk, type(error).__name__)
    if timezone.now() - mail.written_at > GIVE_UP_AFTER:
        _give_up(mail, "no mail server has taken it for three days")
        return
    pause = min(LONGEST_PAUSE, timedelta(seconds=15 * 2 ** min(mail.tries - 1, 10)))
    Mail.objects.filter(pk=mail.pk, sent_at=None).update(next_try_at=timezone.now() + pause)


def _give_up(mail: Mail, why: str) -> None:
    """Stop trying, and tell a person: the customer may be waiting for what the mail says."""
    with transaction.atomic():
        _settle(mail, given_up_at=timezone.now())
        bell.report(
            "mail_not_taken",
            about=f"mail {mail.pk}",
            order=mail.order,
            why=f"A mail ({mail.kind}) could not be delivered: {why}. Tell the customer in another way.",
        )
