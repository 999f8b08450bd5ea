"""Which state machine at AWS plays which flow: read from one setting, and refused at start when it is wrong."""

from __future__ import annotations

import re

from django.core.exceptions import ImproperlyConfigured

_ARN = re.compile(r"arn:aws[a-z-]*:states:[a-z0-9-]+:\d{12}:stateMachine:[A-Za-z0-9_-]{1,80}(:[A-Za-z0-9_.-]{1,80})?")


def read(text: str, *, needed: bool) -> dict[str, str]:
    """Read ``flow=ARN`` pairs with commas between; ``needed`` when the shop's engine is AWS.

    Raises ImproperlyConfigured with what to do.
    """
    how = "TODOKU_STATE_MACHINES must look like checkout=arn:aws:states:ap-northeast-1:123456789012:stateMachine:Name"
    if not text.strip():
        if needed:
            raise ImproperlyConfigured(f"TODOKU_ENGINE=step-functions needs TODOKU_STATE_MACHINES. {how}.")
        return {}
    machines = {}
    for pair in text.split(","):
        flow, _, arn = (part.strip() for part in pair.partition("="))
        if not flow or not _ARN.fullmatch(arn):
            raise ImproperlyConfigured(f"{how}, with commas between several; {pair.strip()!r} does not.")
        machines[flow] = arn
    if needed and "checkout" not in machines:
        raise ImproperlyConfigured(f"TODOKU_STATE_MACHINES names no state machine for checkout. {how}.")
    return machines
