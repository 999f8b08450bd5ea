"""The port to an engine: play, resume. Which engine it is, a setting says.

The customer's press, a Stripe webhook, the return from 3-D Secure, the poller and the operator's Resume
all do one thing: ``play("checkout", order)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from django.conf import settings
from django.utils.module_loading import import_string

if TYPE_CHECKING:
    from todoku.engines.models import Execution
    from todoku.order.models import Order


class Engine(Protocol):
    """What an engine can do. Executions are rows on every engine: listing and showing need no engine."""

    def play(self, flow: str, order: Order, *, knock: str, who: str = "") -> Execution | None:
        """Play the flow for the order from the top; finished steps answer from the ledger.

        Runs in the caller's transaction: no order without its play, no play without its order. When a play of
        this order is under way it is told, and plays once more at its end if there may be news: then None is
        returned. ``knock`` says what was learned: press, webhook, return, poller or resume.
        """
        ...

    def resume(self, execution: Execution, *, who: str) -> Execution | None:
        """Play on after a failure, for the named operator. None when there is nothing to resume."""
        ...

    def look_after(self) -> None:
        """Set right what was left behind; every worker asks for it every few seconds."""
        ...


def engine() -> Engine:
    """The engine that the settings name."""
    chosen: Any = import_string(settings.ENGINE)
    return chosen()  # type: ignore[no-any-return]  # the setting names a class that follows the port


def play(flow: str, order: Order, *, knock: str, who: str = "") -> Execution | None:
    """Play a flow for an order on the shop's engine."""
    return engine().play(flow, order, knock=knock, who=who)


def resume(execution: Execution, *, who: str) -> Execution | None:
    """Resume a failed execution on the shop's engine; one winner under many clicks."""
    return engine().resume(execution, who=who)
