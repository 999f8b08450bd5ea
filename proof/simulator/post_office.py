"""The simulated mail server: what a talk with it may come to, and every mail that it has accepted."""

from __future__ import annotations

import smtplib
from collections.abc import Sequence
from typing import Any

from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.db import connection

from proof.simulator.sealed import Seal
from proof.simulator.world import Crash, World


class PostOffice:
    """What the mail server has accepted, and how often a talk broke off after it had."""

    def __init__(self) -> None:
        self.accepted: list[EmailMessage] = []
        #: Addresses that no server will ever take.
        self.unknown: set[str] = set()


class Backend(BaseEmailBackend):
    """Django's door to the mail server."""

    def send_messages(self, messages: Sequence[EmailMessage]) -> int:
        """Send mails, one talk for each."""
        world = Seal.world
        assert world is not None
        for message in messages:
            _talk(world, message)
        return len(messages)


def _talk(world: World, message: EmailMessage) -> None:
    office: PostOffice = world.office
    lot = world.lot
    if connection.in_atomic_block:
        world.broke("a mail was sent inside a transaction")
    kind = "customer" if "Message-ID" in message.extra_headers else "bell"
    world.passed(f"before SMTP connect to {kind}")
    draw = world.chance.random() if world.chaos else 1.0
    if world.chaos and lot.smtp_down_from <= world.now < lot.smtp_down_until:
        world.counts["SMTP: down"] += 1
        raise ConnectionRefusedError("the simulated mail server is down")
    if draw < lot.smtp:
        which = world.chance.choice(("down", "later", "busy"))
        world.counts[f"SMTP: {which}"] += 1
        world.note(f"SMTP {which}")
        if which == "down":
            raise ConnectionRefusedError("the simulated mail server is down")
        if which == "busy":
            raise smtplib.SMTPConnectError(421, b"busy")
        raise smtplib.SMTPRecipientsRefused(dict.fromkeys(message.to, (451, b"later")))
    if set(message.to) & office.unknown:
        world.counts["SMTP: address unknown"] += 1
        raise smtplib.SMTPRecipientsRefused(dict.fromkeys(message.to, (550, b"unknown")))
    world.passed(f"before SMTP data to {kind}")
    office.accepted.append(message)
    world.note(f"mail accepted: {_what(message)}")
    _check_not_noted(world, message)
    if draw < lot.smtp * 1.3:
        world.counts["SMTP: answer lost"] += 1
        raise smtplib.SMTPServerDisconnected("the simulated answer was lost")
    try:
        world.passed(f"after SMTP data to {kind}")
    except Crash:
        world.counts["SMTP: crash after the server's yes"] += 1
        raise


def _check_not_noted(world: World, message: EmailMessage) -> None:
    """A mail may go out again when its sender died, but never after it was noted as sent."""
    name = str(message.extra_headers.get("Message-ID", ""))
    if not name or world.counts["processes that slept"]:
        # One that was stopped between its look and its talk cannot know what others did meanwhile.
        return
    assert connection.connection is not None
    row = connection.connection.execute("SELECT sent_at FROM notify_mail WHERE message_id = %s", [name]).fetchone()
    if row is None or row[0] is not None:
        world.broke("I8 a mail was sent again after it had been noted as sent")


def _what(message: Any) -> str:
    return "to a customer" if "Message-ID" in message.extra_headers else "to the operators"
