"""Never a machine refund: one door leads to Stripe, one place begins a refund, and a person stands at it."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

from todoku.gateways.gateway import Gateway
from todoku.gateways.stripe import StripeGateway

SHOP = Path(__file__).parents[2] / "todoku"

#: What makes money go back: the SDK's calls, in every spelling, and the API's addresses.
FORBIDDEN = re.compile(
    r"\brefunds?\s*\.\s*(?:create|cancel|update|create_async)\b"
    r"|\bRefund\s*\.\s*create"
    r"|\b(?:credit_notes|transfers|payouts|reversals)\s*\.\s*create\b"
    r"|reverse_transfer|refund_application_fee|refund_payment_intent|raw_request"
    r"|/v1/(?:refunds|charges/[^\"'\s]*/refund|credit_notes)"
    r"|\brefunded\s*=\s*True",
)
#: Only these may even read the word's API, or make a refund: the one door to Stripe.
READERS = {"gateways/stripe.py"}
#: What a page or a letter may ask of an order's rows (``order.refunds``).
READING = ("all", "filter", "get")
#: The one line that does, and the one place that may go through it: a step of a refund that a person has approved.
THE_DOOR = ("gateways/stripe.py", "self._client.v1.refunds.create(asked, {\"idempotency_key\": key})")
THROUGH_THE_DOOR = "refund/steps.py"
#: Who may say "refund" to the engine: the person's press, and what only knocks on a refund that one has asked for.
KNOCKS = {"refund/ask.py", "webhooks/take.py"}


def offences(source: str, place: str) -> list[str]:
    """Name the lines of a file that could make a refund."""
    found = [f"{place}:{n}: {line.strip()}" for n, line in enumerate(source.splitlines(), 1) if FORBIDDEN.search(line)]
    for node in ast.walk(ast.parse(source)):
        # A call of a name with "refund" in it, on the SDK's client or got by getattr, that is not a list.
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute):
            if node.value.attr == "refunds" and node.attr not in ("list", "retrieve", *READING):
                found.append(f"{place}:{node.lineno}: refunds.{node.attr}")
            elif node.value.attr == "v1" and node.attr == "refunds" and place not in READERS:
                found.append(f"{place}:{node.lineno}: v1.refunds outside the gateway")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr":
            given = {str(one.value) for one in node.args if isinstance(one, ast.Constant)}
            if any("refund" in name for name in given - {"amount_refunded"}):
                found.append(f"{place}:{node.lineno}: getattr of a refund")
    return found


def _files() -> dict[str, str]:
    files = [path for path in SHOP.rglob("*.py") if "migrations" not in path.parts]
    assert len(files) > 100
    return {path.relative_to(SHOP).as_posix(): path.read_text("utf-8") for path in files}


def test_one_line_of_the_shop_can_make_a_refund() -> None:
    found = [one for place, source in _files().items() for one in offences(source, place)]
    assert [one for one in found if not one.startswith(f"{THE_DOOR[0]}:")] == []
    # The search finds it by its words and by its shape.
    assert len(found) == 2, found
    assert any(THE_DOOR[1] in one for one in found)


def test_only_a_step_of_the_refund_goes_through_the_door() -> None:
    calling = {
        place
        for place, source in _files().items()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and node.attr == "refund" and isinstance(node.ctx, ast.Load)
        and ast.unparse(node.value) in ("gateway", "stripe_gateway.for_worker()", "stripe_gateway.for_page()")
    }
    assert calling == {THROUGH_THE_DOOR}
    everywhere = {place for place, source in _files().items() if re.search(r"\.refund\(", source)}
    assert everywhere == {THROUGH_THE_DOOR}


def test_a_yes_is_written_in_one_place_and_the_flow_is_played_for_nothing_else() -> None:
    says_yes = {place for place, source in _files().items() if re.search(r"\bapproved_by\s*=(?!=)\s*by\b", source)}
    assert says_yes == {"refund/ask.py"}
    knocking = {place for place, source in _files().items() if re.search(r"play\(\s*[\"']refund", source)}
    assert knocking == KNOCKS


@pytest.mark.parametrize(
    "source",
    [
        "client.v1.refunds.create({'payment_intent': pi})",
        "stripe.Refund.create(charge=ch)",
        "make = client.v1.refunds.create",
        "post('/v1/refunds', data)",
        "post(f'/v1/charges/{ch}/refund')",
        "client.v1.refunds.cancel(re)",
        "client.raw_request('post', path)",
        "getattr(client.v1, 'refunds')",
        "client.v1.transfers.create({})",
        "options = {'reverse_transfer': True}",
        "service = client.v1.refunds",
    ],
)
def test_the_search_would_find_one(source: str) -> None:
    assert offences(source, "flows/checkout.py")


def test_the_gateway_knows_one_way_to_refund() -> None:
    for port in (Gateway, StripeGateway):
        names = {name for name, _ in inspect.getmembers(port, callable) if not name.startswith("_")}
        assert {name for name in names if "refund" in name} == {"refund", "refunds", "refunds_of"}
        assert inspect.signature(port.refunds).parameters.keys() == {"self", "since"}
    # Whoever adds a call to the port says here that it gives no money back.
    assert {name for name in vars(Gateway) if not name.startswith("_")} - {"refund"} <= {
        "create", "update", "look", "confirm", "cancel", "payments", "refunds", "refunds_of", "disputes", "events",
        "probe",
    }  # fmt: skip


def test_only_the_console_may_import_what_refunds() -> None:
    contract = (SHOP.parent / "pyproject.toml").read_text("utf-8").partition('id = "refunds"')[2]
    assert 'forbidden_modules = ["todoku.refund"]' in contract
    assert "todoku.console" not in contract.partition("forbidden_modules")[0], "the console is where the person sits"
    listed = set(re.findall(r'"todoku\.(\w+)"', contract.partition("forbidden_modules")[0]))
    nouns = {path.parent.name for path in SHOP.glob("*/__init__.py")} - {"console", "refund", "restartable", "locale"}
    assert nouns <= listed | {"money"}, "a new part of the shop must be named in the contract"
