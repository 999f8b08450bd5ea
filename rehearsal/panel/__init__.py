"""The panel: pages for people, to see what the rehearsal holds and to steer it."""

from __future__ import annotations

from starlette.routing import BaseRoute

from rehearsal.api import Rehearsal
from rehearsal.mailbox import Mailbox
from rehearsal.panel import layout, mail, payments, steering, traffic


def routes(rehearsal: Rehearsal, mailbox: Mailbox) -> list[BaseRoute]:
    """Answers the routes of every panel page."""
    return [
        *layout.routes(),
        *payments.routes(rehearsal),
        *traffic.routes(rehearsal),
        *steering.routes(rehearsal),
        *mail.routes(rehearsal, mailbox),
    ]
