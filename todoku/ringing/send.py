"""Send one message through one channel; what went wrong comes back as a sentence without secrets.

Nothing here is called inside a transaction, and nothing here waits for long: every door has its time limit.
"""

from __future__ import annotations

import contextlib
import logging
import smtplib
import socket
import threading
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage

from todoku.ringing import rules
from todoku.ringing.message import Message
from todoku.ringing.models import Channel

log = logging.getLogger("todoku.bell")

#: How many characters a channel's message may have, where the service does not say (Amazon SNS: 256 KiB).
ROOM = {rules.MAIL: 200_000, rules.SNS: 80_000, rules.APPRISE: 3_500}
#: Seconds to connect, and to wait for an answer.
CONNECT, ANSWER = 4, 6

#: apprise tells why it failed in its log only, and its log is the whole process's.
_listening = threading.Lock()


def room(channel: Channel) -> int:
    """How many characters a message on this channel may have."""
    if channel.kind != rules.APPRISE:
        return ROOM[channel.kind]
    plugin = _plugin(channel.whole_address)
    most = int(getattr(plugin, "body_maxlen", 0) or ROOM[rules.APPRISE])
    return max(300, min(most, 30_000) - 300)


def send(channel: Channel, message: Message) -> str:
    """Send it; return an empty string when somebody has taken it, or the reason why not, without secrets."""
    address = channel.whole_address
    if not address:
        return "it has no address any more"
    try:
        if channel.kind == rules.MAIL:
            _mail(address, message)
        elif channel.kind == rules.SNS:
            _sns(address, message)
        else:
            _apprise(address, message)
    except Failed as error:
        return rules.without_secrets(str(error), "" if channel.kind == rules.MAIL else address) or "it failed"
    except Exception as error:
        # A channel must never take the bell down with it; whatever it is, the others are rung.
        log.warning("the bell's channel %s failed: %s", channel.name, type(error).__name__)
        return type(error).__name__
    return ""


class Failed(Exception):
    """The channel did not take the message; the text says why, and may still hold parts of the address."""


def _mail(address: str, message: Message) -> None:
    mail = EmailMessage(
        subject=message.subject,
        body=message.text,
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=[one.strip() for one in address.split(",")],
        headers={"Auto-Submitted": "auto-generated"},
    )
    try:
        mail.send()
    except smtplib.SMTPRecipientsRefused as error:
        codes = sorted({code for code, _text in error.recipients.values()})
        raise Failed(f"the mail server refuses the address ({', '.join(map(str, codes))})") from None
    except smtplib.SMTPResponseException as error:
        raise Failed(f"the mail server answered {error.smtp_code}") from None
    except (smtplib.SMTPException, OSError) as error:
        raise Failed(f"the mail server cannot be reached ({type(error).__name__})") from None


def _sns(arn: str, message: Message) -> None:
    # Loaded when it is needed: it takes half a second and 30 MB.
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    limits = Config(connect_timeout=CONNECT, read_timeout=ANSWER, retries={"total_max_attempts": 1})
    try:
        # A session of its own: the default one is not safe between threads. Keys come from the IAM role or the profile.
        client = boto3.session.Session().client("sns", region_name=rules.region_of(arn), config=limits)
        client.publish(TopicArn=arn, Subject=message.plain_subject, Message=message.text)
    except ClientError as error:
        raise Failed(f"Amazon SNS answered {error.response.get('Error', {}).get('Code', 'an error')}") from None
    except (BotoCoreError, ValueError) as error:
        raise Failed(f"Amazon SNS cannot be reached ({type(error).__name__})") from None


def _apprise(url: str, message: Message) -> None:
    import apprise

    refuse_internal(url)
    plugin = _plugin(url)
    if plugin is None:
        raise Failed("apprise cannot read this address")
    listening: Any = apprise.LogCapture
    with _listening, listening(level=logging.WARNING, fmt="%(message)s") as heard:
        taken = plugin.notify(
            title=message.subject,
            body=message.text,
            body_format=apprise.NotifyFormat.TEXT,
            notify_type=apprise.NotifyType.WARNING,
        )
        said = heard.getvalue()
    if not taken:
        raise Failed(said or "the service did not take it")


def _plugin(url: str) -> Any:
    import apprise

    with contextlib.suppress(Exception):
        plugin = apprise.Apprise.instantiate(url, suppress_exceptions=True)
        if plugin is not None:
            plugin.socket_connect_timeout, plugin.socket_read_timeout = float(CONNECT), float(ANSWER)
            # Whom a redirect leads to has been examined by nobody.
            plugin.redirects = False
        return plugin
    return None


def is_readable(url: str) -> bool:
    """Say whether apprise knows the service that an address names."""
    return _plugin(url) is not None


def refuse_internal(url: str) -> None:
    """Raise ``Failed`` for an address that leads to a cloud's metadata or (in production) to this very machine."""
    plugin = _plugin(url)
    if plugin is not None and not any("{host}" in template for template in plugin.templates):
        # A service with its own address: what stands in the place of the host is a token, no name server's business.
        return
    host = rules.host_of(url)
    found: list[str] = []
    if host:
        with contextlib.suppress(OSError, UnicodeError):
            found = [str(one[4][0]) for one in socket.getaddrinfo(host, None)]
    if rules.is_forbidden(host, found or [host], loopback=not settings.PRODUCTION):
        raise Failed("this address leads to the machine itself or to a cloud's metadata, and is refused")
