"""The door to the mail server: Django's own SMTP backend, which also notes whether a transaction was open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.mail.backends.smtp import EmailBackend
from django.db import connection

in_transaction: list[bool] = []


class Backend(EmailBackend):
    """Sends by SMTP."""

    def send_messages(self, email_messages: Sequence[Any]) -> int:
        """Note the transaction, then send."""
        in_transaction.append(connection.in_atomic_block)
        return super().send_messages(email_messages)
