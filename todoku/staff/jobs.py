"""The jobs about the shop's people: their mails, and the sweeping of tries that count no more."""

from __future__ import annotations

import logging
import smtplib
from typing import Any

from django.contrib.auth.models import User
from django.core.mail import EmailMessage
from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from todoku.database import let_go
from todoku.staff import mails, queue, tries

log = logging.getLogger(__name__)


@app.task(name=queue.TELL, queue=queue.QUEUE, retry=RetryStrategy(max_attempts=9, exponential_wait=3))
def tell_staff(user: int, kind: str, facts: dict[str, Any]) -> None:
    """Write and send one mail; a mail server that is away is tried again for some hours."""
    try:
        person = User.objects.filter(pk=user, is_active=True).first()
        if person is None or not person.email:
            return
        subject, text = mails.written(person, kind, facts)
        address = person.email
        let_go()
        try:
            EmailMessage(subject, text, to=[address]).send()
        except (OSError, smtplib.SMTPException) as error:
            log.warning("a mail to one of the shop's people could not be sent: %s", type(error).__name__)
            raise
    finally:
        let_go()


@app.periodic(cron="17 * * * *")
@app.task(name="todoku.sweep_tries", queue=queue.QUEUE, queueing_lock="sweep-tries")
def sweep_tries(timestamp: int) -> None:
    """Forget tries that count no more."""
    try:
        tries.sweep()
    finally:
        let_go()
