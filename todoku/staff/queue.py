"""Put a mail to one of the shop's people into the queue: nobody's login waits for a mail server."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from procrastinate.contrib.django import app

TELL = "todoku.tell_staff"
QUEUE = "staff"


def tell(user: User, kind: str, **facts: Any) -> None:
    """Enqueue a mail of this kind (``mails.KINDS``), in the caller's transaction. No link and no code travels here."""
    if user.email:
        app.configure_task(TELL, queue=QUEUE).defer(user=user.pk, kind=kind, facts=facts)
