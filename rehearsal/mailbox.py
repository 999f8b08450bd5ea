"""A mailbox stands in for a mail server: it takes every mail, keeps it, and sends nothing anywhere."""

from __future__ import annotations

import email
import email.policy
import socket
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

from rehearsal.store import Json

if TYPE_CHECKING:
    from rehearsal.api import Rehearsal

MOST_MAILS = 1000
MOST_BYTES = 10 * 1024 * 1024
_TABLE = "mails"
REFUSALS = ("closed", "later", "never")


class Mailbox:
    """The mails of a rehearsal, and a way to refuse them.

    Refusing: `closed` breaks the connection before a word is said, `later` answers 451 (try again),
    `never` answers 550 (gone for good), None takes mail again.
    """

    def __init__(self, rehearsal: Rehearsal) -> None:
        self._rehearsal = rehearsal
        self._controller: Any = None
        self.port: int | None = None

    @property
    def refusal(self) -> str | None:
        row = self._rehearsal.find("meta", "mail_refusal")
        return row["mode"] if row else None

    def refuse(self, mode: str | None) -> None:
        """Refuses mail from now on in the given way, or takes it again with None."""
        if mode is not None and mode not in REFUSALS:
            raise ValueError(f"mode is one of {', '.join(REFUSALS)}, or null to take mail again")
        with self._rehearsal.lock:
            self._rehearsal.store.put("meta", "mail_refusal", {"mode": mode})
            self._rehearsal.store.commit()

    def take(self, sender: str, recipients: list[str], content: bytes) -> Json:
        """Keeps one mail as it came; the oldest goes when there are more than a thousand."""
        with self._rehearsal.lock:
            store = self._rehearsal.store
            id = self._rehearsal.ids.new("mail", 12)
            mail = store.put(
                _TABLE,
                id,
                {
                    "id": id,
                    "at": self._rehearsal.clock.now(),
                    "from": sender,
                    "to": recipients,
                    "raw": content.decode("utf-8", "surrogateescape"),
                },
            )
            while len(store.table(_TABLE)) > MOST_MAILS:
                store.delete(_TABLE, next(store.table(_TABLE).oldest_first())["id"])
            store.commit()
            return mail

    def list(self, most: int = 200) -> list[Json]:
        """Answers the newest mails, each with its subject and text."""
        return [_read(row) for row in self._rehearsal.rows(_TABLE, most)]

    def get(self, id: str) -> Json | None:
        row = self._rehearsal.find(_TABLE, id)
        return _read(row) if row else None

    def empty(self) -> None:
        with self._rehearsal.lock:
            for row in self._rehearsal.rows(_TABLE, MOST_MAILS):
                self._rehearsal.store.delete(_TABLE, row["id"])
            self._rehearsal.store.commit()

    def start(self, host: str, port: int) -> None:
        """Opens the SMTP door in a thread of its own; 0 lets the system choose the port."""
        from aiosmtpd.controller import Controller  # type: ignore[import-untyped,unused-ignore]
        from aiosmtpd.smtp import SMTP  # type: ignore[import-untyped,unused-ignore]

        mailbox = self

        class Door(SMTP):  # type: ignore[misc,unused-ignore]
            def connection_made(self, transport: Any) -> None:
                if mailbox.refusal == "closed":
                    transport.abort()
                    return
                super().connection_made(transport)

        class Handler:
            async def handle_RCPT(
                self, server: Any, session: Any, envelope: Any, address: str, options: Any
            ) -> str:
                refusal = mailbox.refusal
                if refusal == "later":
                    return "451 The mailbox is busy, try again later"
                if refusal == "never":
                    return "550 There is no such mailbox"
                envelope.rcpt_tos.append(address)
                return "250 OK"

            async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
                mailbox.take(envelope.mail_from or "", list(envelope.rcpt_tos), envelope.content or b"")
                return "250 OK"

        class LoopbackController(Controller):  # type: ignore[misc,unused-ignore]
            def factory(self) -> Any:
                return Door(self.handler, data_size_limit=MOST_BYTES, enable_SMTPUTF8=True)

        # aiosmtpd tells of a taken port only as a timeout, so ask first.
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            port = probe.getsockname()[1]
        self._controller = LoopbackController(Handler(), hostname=host, port=port)
        self._controller.start()
        self.port = port

    def stop(self) -> None:
        if self._controller is not None:
            self._controller.stop()
            self._controller = None


def _read(row: Json) -> Json:
    message = email.message_from_bytes(
        row["raw"].encode("utf-8", "surrogateescape"), policy=email.policy.default
    )
    assert isinstance(message, EmailMessage)
    return {
        "id": row["id"],
        "at": row["at"],
        "from": row["from"],
        "to": row["to"],
        "subject": _header(message, "subject"),
        "message_id": _header(message, "message-id"),
        "headers": [[name, _clean(str(value))] for name, value in _items(message)],
        "text": _part(message, "plain"),
        "html": _part(message, "html"),
    }


def _items(message: EmailMessage) -> list[tuple[str, str]]:
    try:
        return [(name, str(value)) for name, value in message.items()]
    except Exception:
        # Headers that cannot be read are the sender's mistake; the mail is shown all the same.
        return [(name, str(value)) for name, value in message.raw_items()]


def _header(message: EmailMessage, name: str) -> str:
    try:
        return _clean(str(message.get(name, "")))
    except Exception:
        return ""


def _part(message: EmailMessage, kind: str) -> str | None:
    part = message.get_body((kind,))
    if part is None:
        return None
    try:
        return _clean(part.get_content())
    except (LookupError, UnicodeError):
        payload = part.get_payload(decode=True)
        return payload.decode("utf-8", "replace") if isinstance(payload, bytes) else None


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
