"""Balance transactions: every movement of money, with Stripe's fee, and when it can be paid out.

Source: https://docs.stripe.com/api/balance_transactions. The rates are those of Stripe's Japanese price list: 3.6 %
for cards, 3.6 % and at least 120 yen for konbini; the fee for a dispute is the rehearsal's guess. Stripe books a
charge a moment after it succeeded and then sends `charge.updated`; so does the rehearsal, unless the intent was made
with `capture_method=automatic`.
"""

from __future__ import annotations

from typing import Final

from rehearsal import lists
from rehearsal.call import Call
from rehearsal.params import CREATED, EXPAND, PAGING, Shape, text
from rehearsal.store import Json

BOOKED_AFTER_SECONDS: Final = 2.0
PAYABLE_AFTER_DAYS: Final = 4
"""Business days until money can be paid out, in Japan."""
CARD_RATE: Final = 36
KONBINI_RATE: Final = 36
KONBINI_LEAST_FEE: Final = 120
DISPUTE_FEE: Final = 1500
_DAY: Final = 86400

LIST: Shape = {**PAGING, "created": CREATED, "source": text(200), "type": text(60), "currency": text(10)}
RETRIEVE: Shape = {"expand": EXPAND}


def retrieve(call: Call) -> Json:
    return as_it_is(call.find("balance_transactions", "balance transaction"), call.now)


def list_(call: Call) -> Json:
    params = call.params
    wishes = [name for name in ("source", "type", "currency") if name in params]
    found = lists.page(
        call,
        "balance_transactions",
        "/v1/balance_transactions",
        lambda row: all(row[name] == params[name] for name in wishes),
    )
    return {**found, "data": [as_it_is(row, call.now) for row in found["data"]]}


def as_it_is(row: Json, now: int) -> Json:
    """Answers a transaction as of now: money becomes available with time alone."""
    return {**row, "status": "available"} if row["available_on"] <= now else row


def book(call: Call, kind: str, category: str, source: str, amount: int, fee: int = 0, why: str = "") -> Json:
    """Books a movement; a fee always takes away, whatever the direction of the amount."""
    id = call.new_id("txn")
    details = []
    if fee:
        details.append(
            {
                "amount": fee,
                "application": None,
                "currency": "jpy",
                "description": "Stripe processing fees",
                "type": "stripe_fee",
            }
        )
    return call.store.put(
        "balance_transactions",
        id,
        {
            "id": id,
            "object": "balance_transaction",
            "amount": amount,
            "available_on": business_days_on(call.now, PAYABLE_AFTER_DAYS) if amount > 0 else call.now,
            "balance_type": "payments",
            "created": call.now,
            "currency": "jpy",
            "description": why or None,
            "exchange_rate": None,
            "fee": fee,
            "fee_details": details,
            "net": amount - fee,
            "reporting_category": category,
            "source": source,
            "status": "pending",
            "type": kind,
        },
    )


def book_charge(call: Call, charge: Json) -> Json:
    """Books a charge that succeeded and answers the charge with its transaction."""
    card = charge["payment_method_details"]["type"] == "card"
    transaction = book(
        call,
        "charge" if card else "payment",
        "charge",
        charge["id"],
        charge["amount"],
        card_fee(charge["amount"]) if card else konbini_fee(charge["amount"]),
        charge["description"] or "",
    )
    return call.store.change("charges", charge["id"], balance_transaction=transaction["id"])


def arrive(call: Call, charge_id: str) -> None:
    """Books a charge a moment after it succeeded, and tells of it."""
    charge = call.store.get("charges", charge_id)
    if charge is not None and charge["balance_transaction"] is None:
        call.emit("charge.updated", book_charge(call, charge), {"balance_transaction": None})


def card_fee(amount: int) -> int:
    return (amount * CARD_RATE + 500) // 1000


def konbini_fee(amount: int) -> int:
    return max(KONBINI_LEAST_FEE, (amount * KONBINI_RATE + 500) // 1000)


def business_days_on(second: int, days: int) -> int:
    """Answers the second so many working days later, Saturdays and Sundays of Japan left out."""
    while days:
        second += _DAY
        # The first of January 1970 was a Thursday.
        weekday = ((second + 9 * 3600) // _DAY + 3) % 7
        days -= weekday < 5
    return second
