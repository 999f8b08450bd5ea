"""What tests of the shop on AWS may ask for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from rehearsal.api import Rehearsal
from rehearsal.mailbox import Mailbox
from tests.aws import street


@pytest.fixture
def at_aws(transactional_db: None, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[str]:
    """The shop's flows play on AWS Step Functions (moto's server over HTTP)."""
    with street.opened(monkeypatch, settings) as url:
        yield url


@pytest.fixture
def mailbox(rehearsal: Rehearsal, settings: Any) -> Iterator[Mailbox]:
    """A mail server of its own, which the shop talks SMTP to."""
    opened = Mailbox(rehearsal)
    opened.start("127.0.0.1", 0)
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_PORT = opened.port
    yield opened
    opened.stop()
