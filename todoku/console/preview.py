"""What an act will do, said before it is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from todoku.console.money import Truth


@dataclass(frozen=True)
class Preview:
    """What will happen and what will not; or why the act cannot be done now."""

    will: Sequence[str] = ()
    will_not: Sequence[str] = ()
    button: str = ""
    blocked: str = ""
    #: What Stripe says, where the act is about money.
    truth: Truth | None = None
    #: What the form needs to know of what was read for the preview.
    read: dict[str, Any] = field(default_factory=dict)
