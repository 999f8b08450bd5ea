"""The outbox: mails that no flow waits for, written with the fact that they tell of and sent afterwards.

A mail is written in the transaction of the fact (a voucher was issued, its time ran out), so there is no fact
without its mail. ``send_due`` sends what is due; a mail server that is down is tried again for three days.
"""

from __future__ import annotations

import logging
import smtplib
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from todoku.notify import bell, letters
from todoku.notify.models import Mail

if TYPE_CHECKING:
    from todoku.order.models import Order

log = logging.getLogger(__name__)

#: How many mails one round sends.
AT_ONCE = 100
#: Nobody else sends a mail that a round has in hand; after so long its sender is taken for dead.
IN_HAND = timedelta(minutes=2)
LONGEST_PAUSE = timedelta(hours=1)
#: RFC 5321 has senders try for four to five days; a konbini code is worth nothing after three.
GIVE_UP_AFTER = timedelta(hours=72)


def write(order: Order, kind: str) -> None:
    """Write the order's mail of this kind, once, in the caller's transaction; it is sent within seconds."""
    letters.write(order, kind, next_try_at=timezone.now())


def send_due() -> int:
    """Send every mail that is due; return how many have left. Several may do this at once."""
    return sum(_send(mail) for mail in _take())


def _take() -> list[Mail]:
    """Take mails that nobody else has in hand; one whose sender dies is due again in two minutes."""
    now = timezone.now()
    with transaction.atomic():
        mails = list(
            Mail.objects.select_for_update(skip_locked=True, no_key=True)
            .filter(next_try_at__lte=now)
            .order_by("next_try_at")[:AT_ONCE]
        )
        Mail.objects.filter(pk__in=[mail.pk for mail in mails]).update(
            next_try_at=now + IN_HAND, tries=F("tries") + 1
        )
    return mails


def _send(mail: Mail) -> bool:
    try:
        letters.post(mail)
    except letters.NeverTaken:
        _give_up(mail, "the mail server refuses the customer's address")
    except (smtplib.SMTPException, OSError) as error:
        log.warning("mail %s could not be sent: %s", mail.pk, type(error).__name__)
        if timezone.now() - mail.written_at > GIVE_UP_AFTER:
            _give_up(mail, "no mail server has taken it for three days")
        else:
            pause = min(LONGEST_PAUSE, timedelta(seconds=15 * 2 ** min(mail.tries, 10)))
            Mail.objects.filter(pk=mail.pk).update(next_try_at=timezone.now() + pause)
    else:
        Mail.objects.filter(pk=mail.pk).update(sent_at=timezone.now(), next_try_at=None)
        return True
    return False


def _give_up(mail: Mail, why: str) -> None:
    """Stop trying, and tell a person: the customer may be waiting for what the mail says."""
    with transaction.atomic():
        Mail.objects.filter(pk=mail.pk).update(given_up_at=timezone.now(), next_try_at=None)
        bell.report(
            "mail_not_taken",
            about=f"mail {mail.pk}",
            order=mail.order,
            why=f"A mail ({mail.kind}) could not be delivered: {why}. Tell the customer in another way.",
        )
