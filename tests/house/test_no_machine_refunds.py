"""Never a machine refund: no code of the shop can make one, and these tests would notice if some could."""

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
#: Only these may even read the word's API: the list of what somebody did by hand.
READERS = {"gateways/stripe.py"}


def offences(source: str, place: str) -> list[str]:
    """Name the lines of a file that could make a refund."""
    found = [f"{place}:{n}: {line.strip()}" for n, line in enumerate(source.splitlines(), 1) if FORBIDDEN.search(line)]
    for node in ast.walk(ast.parse(source)):
        # A call of a name with "refund" in it, on the SDK's client or got by getattr, that is not a list.
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute):
            if node.value.attr == "refunds" and node.attr not in ("list", "retrieve"):
                found.append(f"{place}:{node.lineno}: refunds.{node.attr}")
            elif node.value.attr == "v1" and node.attr == "refunds" and place not in READERS:
                found.append(f"{place}:{node.lineno}: v1.refunds outside the gateway")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr":
            given = {str(one.value) for one in node.args if isinstance(one, ast.Constant)}
            if any("refund" in name for name in given - {"amount_refunded"}):
                found.append(f"{place}:{node.lineno}: getattr of a refund")
    return found


def test_no_code_of_the_shop_can_make_a_refund() -> None:
    files = [path for path in SHOP.rglob("*.py") if "migrations" not in path.parts]
    assert len(files) > 100
    wrong = [one for path in files for one in offences(path.read_text("utf-8"), path.relative_to(SHOP).as_posix())]
    assert wrong == []


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


def test_the_gateway_knows_no_way_to_refund() -> None:
    for port in (Gateway, StripeGateway):
        names = {name for name, _ in inspect.getmembers(port, callable) if not name.startswith("_")}
        assert {name for name in names if "refund" in name} == {"refunds"}
        assert inspect.signature(port.refunds).parameters.keys() == {"self", "since"}
    # Whoever adds a call to the port says here that it gives no money back.
    assert {name for name in vars(Gateway) if not name.startswith("_")} <= {
        "create", "update", "look", "confirm", "cancel", "payments", "refunds", "disputes", "events", "probe",
    }  # fmt: skip


def test_only_the_console_will_be_allowed_to_import_what_refunds() -> None:
    contract = (SHOP.parent / "pyproject.toml").read_text("utf-8").partition('id = "refunds"')[2]
    assert 'forbidden_modules = ["todoku.refund"]' in contract
    listed = set(re.findall(r'"todoku\.(\w+)"', contract.partition("forbidden_modules")[0]))
    nouns = {path.parent.name for path in SHOP.glob("*/__init__.py")} - {"console", "refund", "restartable", "locale"}
    assert nouns <= listed | {"money"}, "a new part of the shop must be named in the contract"
