"""What the tests of the mails share with those of the flow: a mail server and a clock that is moved by hand."""

from __future__ import annotations

from tests.flows.conftest import clock, mailbox

__all__ = ["clock", "mailbox"]
