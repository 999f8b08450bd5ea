"""The routes: which method and path leads to which endpoint, and which parameters it takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rehearsal import (
    balance,
    charges,
    confirmation_tokens,
    confirming,
    customers,
    disputes,
    events,
    payment_intents,
    payment_methods,
    refunds,
    setup_intents,
    thin_events,
    webhook_endpoints,
)
from rehearsal.call import Call
from rehearsal.params import Shape
from rehearsal.store import Json


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint; `publishable` says whether a browser may call it with the publishable key."""

    method: str
    path: str
    action: Callable[[Call], Json]
    shape: Shape
    publishable: bool = False
    secret: bool = True
    takes_money: bool = False
    carries_cards: bool = False


_PI = "/v1/payment_intents"
_SI = "/v1/setup_intents"
_WE = "/v1/webhook_endpoints"

ROUTES: tuple[Route, ...] = (
    Route("POST", _PI, payment_intents.create, payment_intents.CREATE, takes_money=True),
    Route("GET", _PI, payment_intents.list_, payment_intents.LIST),
    Route("GET", f"{_PI}/:id", payment_intents.retrieve, payment_intents.RETRIEVE, publishable=True),
    Route("POST", f"{_PI}/:id", payment_intents.update, payment_intents.UPDATE),
    Route("POST", f"{_PI}/:id/confirm", confirming.confirm, payment_intents.CONFIRM, takes_money=True),
    Route("POST", f"{_PI}/:id/cancel", payment_intents.cancel, payment_intents.CANCEL),
    Route(
        "POST",
        "/v1/confirmation_tokens",
        confirmation_tokens.create,
        confirmation_tokens.CREATE,
        publishable=True,
        secret=False,
        carries_cards=True,
    ),
    Route(
        "GET",
        "/v1/confirmation_tokens/:id",
        confirmation_tokens.retrieve,
        confirmation_tokens.RETRIEVE,
    ),
    Route(
        "POST",
        "/v1/test_helpers/confirmation_tokens",
        confirmation_tokens.create,
        confirmation_tokens.CREATE,
        carries_cards=True,
    ),
    Route("GET", "/v1/payment_methods", payment_methods.list_, payment_methods.LIST),
    Route("GET", "/v1/payment_methods/:id", payment_methods.retrieve, payment_methods.RETRIEVE),
    Route("POST", "/v1/payment_methods/:id/attach", payment_methods.attach, payment_methods.ATTACH),
    Route("POST", "/v1/payment_methods/:id/detach", payment_methods.detach, payment_methods.RETRIEVE),
    Route("POST", _SI, setup_intents.create, setup_intents.CREATE),
    Route("GET", _SI, setup_intents.list_, setup_intents.LIST),
    Route("GET", f"{_SI}/:id", setup_intents.retrieve, setup_intents.RETRIEVE, publishable=True),
    Route("POST", f"{_SI}/:id", setup_intents.update, setup_intents.UPDATE),
    Route("POST", f"{_SI}/:id/confirm", setup_intents.confirm, setup_intents.CONFIRM),
    Route("POST", f"{_SI}/:id/cancel", setup_intents.cancel, setup_intents.CANCEL),
    Route("POST", "/v1/customers", customers.create, customers.CREATE),
    Route("GET", "/v1/customers", customers.list_, customers.LIST),
    Route("GET", "/v1/customers/:id", customers.retrieve, customers.RETRIEVE),
    Route("POST", "/v1/customers/:id", customers.update, customers.UPDATE),
    Route("DELETE", "/v1/customers/:id", customers.delete, {}),
    Route("POST", "/v1/refunds", refunds.create, refunds.CREATE),
    Route("GET", "/v1/refunds", refunds.list_, refunds.LIST),
    Route("GET", "/v1/refunds/:id", refunds.retrieve, refunds.RETRIEVE),
    Route("POST", "/v1/refunds/:id", refunds.update, refunds.UPDATE),
    Route("POST", "/v1/refunds/:id/cancel", refunds.cancel, refunds.CANCEL),
    Route("POST", "/v1/test_helpers/refunds/:id/expire", refunds.expire, refunds.CANCEL),
    Route("GET", "/v1/disputes", disputes.list_, disputes.LIST),
    Route("GET", "/v1/disputes/:id", disputes.retrieve, disputes.RETRIEVE),
    Route("POST", "/v1/disputes/:id", disputes.update, disputes.UPDATE),
    Route("POST", "/v1/disputes/:id/close", disputes.close, disputes.CLOSE),
    Route("GET", "/v1/radar/early_fraud_warnings", disputes.warnings, disputes.LIST),
    Route("GET", "/v1/radar/early_fraud_warnings/:id", disputes.warning, disputes.RETRIEVE),
    Route("GET", "/v1/balance_transactions", balance.list_, balance.LIST),
    Route("GET", "/v1/balance_transactions/:id", balance.retrieve, balance.RETRIEVE),
    Route("GET", "/v2/core/events", thin_events.list_, thin_events.LIST),
    Route("GET", "/v2/core/events/:id", thin_events.retrieve, thin_events.RETRIEVE),
    Route("GET", "/v1/charges", charges.list_, charges.LIST),
    Route("GET", "/v1/charges/:id", charges.retrieve, charges.RETRIEVE),
    Route("GET", "/v1/events", events.list_, events.LIST),
    Route("GET", "/v1/events/:id", events.retrieve, events.RETRIEVE),
    Route("POST", _WE, webhook_endpoints.create, webhook_endpoints.CREATE),
    Route("GET", _WE, webhook_endpoints.list_, webhook_endpoints.LIST),
    Route("GET", f"{_WE}/:id", webhook_endpoints.retrieve, webhook_endpoints.RETRIEVE),
    Route("POST", f"{_WE}/:id", webhook_endpoints.update, webhook_endpoints.UPDATE),
    Route("DELETE", f"{_WE}/:id", webhook_endpoints.delete, {}),
)


def _table() -> dict[tuple[str, int], list[tuple[list[str], Route]]]:
    table: dict[tuple[str, int], list[tuple[list[str], Route]]] = {}
    for route in ROUTES:
        steps = route.path.split("/")
        table.setdefault((route.method, len(steps)), []).append((steps, route))
    return table


_TABLE = _table()


def find(method: str, path: str) -> tuple[Route, str] | None:
    """Answers the route for a method and path, with the id in the path, or None."""
    steps = path.split("/")
    for pattern, route in _TABLE.get((method, len(steps)), ()):
        id = ""
        for want, got in zip(pattern, steps, strict=True):
            if want == ":id" and got:
                id = got
            elif want != got:
                break
        else:
            return route, id
    return None
