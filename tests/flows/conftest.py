"""What the tests of the flow share: a mail server, and luck that is always the same."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from rehearsal.api import Rehearsal
from rehearsal.mailbox import Mailbox
from tests.clock import Clock, moved_by_hand
from tests.flows import mail_door


@pytest.fixture
def longest_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Full jitter draws between nothing and the whole wait; here it always draws the whole."""
    monkeypatch.setattr(random, "random", lambda: 1.0)


@pytest.fixture
def mailbox(rehearsal: Rehearsal, settings: Any) -> Iterator[Mailbox]:
    """A mail server of its own, which the shop talks SMTP to."""
    opened = Mailbox(rehearsal)
    opened.start("127.0.0.1", 0)
    settings.EMAIL_BACKEND = "tests.flows.mail_door.Backend"
    settings.EMAIL_PORT = opened.port
    mail_door.in_transaction.clear()
    yield opened
    opened.stop()


@pytest.fixture
def clock(rehearsal: Rehearsal) -> Iterator[Clock]:
    """One clock for the shop and for Stripe, moved by hand."""
    with moved_by_hand(rehearsal) as clock:
        yield clock
