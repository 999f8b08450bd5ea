"""Disputes and early fraud warnings: the card's owner takes the money back, or the bank says it might be fraud.

Sources: https://docs.stripe.com/disputes and https://docs.stripe.com/testing#disputes. A dispute takes the money out
of the balance at once; an inquiry only asks. Whether it is won or lost is decided at the panel.
"""

from __future__ import annotations

from typing import Final

from rehearsal import balance, lists
from rehearsal.call import Call
from rehearsal.cards import BY_NAME
from rehearsal.errors import invalid
from rehearsal.params import CREATED, EXPAND, PAGING, Shape, merged_metadata, metadata, missing_here, text
from rehearsal.store import Json

AFTER_SECONDS: Final = 2.0
EVIDENCE_DAYS: Final = 7
_EVIDENCE = missing_here("disputes are decided at the panel, evidence is not read.")

LIST: Shape = {**PAGING, "created": CREATED, "charge": text(200), "payment_intent": text(200)}
RETRIEVE: Shape = {"expand": EXPAND}
UPDATE: Shape = {"metadata": metadata, "expand": EXPAND, "evidence": _EVIDENCE, "submit": _EVIDENCE}
CLOSE: Shape = {"expand": EXPAND}

_OPEN = ("needs_response", "warning_needs_response", "under_review", "warning_under_review")
_REASON_CODES = {"fraudulent": "10.4", "product_not_received": "13.1"}
_NO_EVIDENCE: Final = dict.fromkeys(
    (
        "access_activity_log",
        "billing_address",
        "cancellation_policy",
        "cancellation_policy_disclosure",
        "cancellation_rebuttal",
        "customer_communication",
        "customer_email_address",
        "customer_name",
        "customer_purchase_ip",
        "customer_signature",
        "duplicate_charge_documentation",
        "duplicate_charge_explanation",
        "duplicate_charge_id",
        "product_description",
        "receipt",
        "refund_policy",
        "refund_policy_disclosure",
        "refund_refusal_explanation",
        "service_date",
        "service_documentation",
        "shipping_address",
        "shipping_carrier",
        "shipping_date",
        "shipping_documentation",
        "shipping_tracking_number",
        "uncategorized_file",
        "uncategorized_text",
    )
)


def retrieve(call: Call) -> Json:
    return call.find("disputes", "dispute")


def list_(call: Call) -> Json:
    wanted = {name: call.params[name] for name in ("charge", "payment_intent") if name in call.params}
    return lists.page(
        call,
        "disputes",
        "/v1/disputes",
        lambda row: all(row[name] == value for name, value in wanted.items()),
    )


def update(call: Call) -> Json:
    row = call.find("disputes", "dispute")
    if "metadata" in call.params:
        row = call.store.change(
            "disputes", row["id"], metadata=merged_metadata(row["metadata"], call.params["metadata"])
        )
        call.emit("charge.dispute.updated", row)
    return row


def close(call: Call) -> Json:
    """The shop gives in: the dispute is lost."""
    row = call.find("disputes", "dispute")
    if row["status"] not in _OPEN:
        raise invalid(f"This dispute is already closed ({row['status']}).")
    return decide(call, row["id"], won=False)


def warnings(call: Call) -> Json:
    wanted = {name: call.params[name] for name in ("charge", "payment_intent") if name in call.params}
    return lists.page(
        call,
        "early_fraud_warnings",
        "/v1/radar/early_fraud_warnings",
        lambda row: all(row[name] == value for name, value in wanted.items()),
    )


def warning(call: Call) -> Json:
    return call.find("early_fraud_warnings", "early fraud warning")


def expect(call: Call, charge: Json, card_name: str) -> None:
    """Sets the timer for what a test card does after it was charged."""
    if BY_NAME[card_name].afterwards:
        call.rehearsal.timers.set("dispute", charge["id"], call.now + AFTER_SECONDS)


def open_by_card(call: Call, charge_id: str) -> None:
    charge = call.store.get("charges", charge_id)
    used = call.store.get("cards_used", charge["payment_method"]) if charge else None
    if charge is None or used is None or charge["disputed"]:
        return
    afterwards = BY_NAME[used["card"]].afterwards
    if afterwards == "warning":
        warn(call, charge)
    else:
        reason = "product_not_received" if afterwards == "not_received" else "fraudulent"
        open_dispute(call, charge, reason, inquiry=afterwards == "inquiry")


def open_dispute(call: Call, charge: Json, reason: str = "fraudulent", inquiry: bool = False) -> Json:
    """Opens a dispute about what is left of a charge; the money is taken at once unless it is an inquiry."""
    if not charge["paid"] or charge["disputed"] or charge["payment_method_details"]["type"] != "card":
        raise LookupError(f"{charge['id']} cannot be disputed")
    amount = charge["amount"] - charge["amount_refunded"]
    if amount <= 0:
        raise LookupError(f"{charge['id']} was refunded, nothing is left to dispute")
    id = call.new_id("du")
    brand = charge["payment_method_details"]["card"]["brand"]
    due_by = call.now + EVIDENCE_DAYS * 86400
    row = call.store.put(
        "disputes",
        id,
        {
            "id": id,
            "object": "dispute",
            "amount": amount,
            "balance_transactions": [] if inquiry else [_taken(call, id, amount)],
            "charge": charge["id"],
            "created": call.now,
            "currency": "jpy",
            "enhanced_eligibility_types": [],
            "evidence": {**_NO_EVIDENCE, "enhanced_evidence": {}},
            "evidence_details": {
                "due_by": due_by,
                "enhanced_eligibility": {},
                "has_evidence": False,
                "past_due": False,
                "submission_count": 0,
                "submission_method": "not_submitted",
            },
            "is_charge_refundable": inquiry,
            "livemode": False,
            "metadata": {},
            "network_reason_code": _REASON_CODES.get(reason),
            "payment_intent": charge["payment_intent"],
            "payment_method_details": {
                "type": "card",
                "card": {
                    "brand": brand,
                    "case_type": "inquiry" if inquiry else "chargeback",
                    "network": brand,
                    "network_reason_code": _REASON_CODES.get(reason),
                },
            },
            "reason": reason,
            "status": "warning_needs_response" if inquiry else "needs_response",
        },
    )
    if not inquiry:
        call.store.change("charges", charge["id"], disputed=True)
    call.emit("charge.dispute.created", row)
    if not inquiry:
        call.emit("charge.dispute.funds_withdrawn", row)
    return row


def decide(call: Call, id: str, won: bool) -> Json:
    """Closes a dispute: won brings the money back, lost leaves it with the card's owner."""
    row = call.store.get("disputes", id)
    if row is None or row["status"] not in _OPEN:
        raise LookupError(f"{id} is no open dispute")
    if row["status"].startswith("warning"):
        row = call.store.change("disputes", id, status="warning_closed")
    elif won:
        back = balance.book(
            call, "adjustment", "dispute_reversal", id, row["amount"], why="Chargeback reversal"
        )
        row = call.store.change(
            "disputes", id, status="won", balance_transactions=[*row["balance_transactions"], back]
        )
        call.emit("charge.dispute.funds_reinstated", row)
    else:
        row = call.store.change("disputes", id, status="lost")
    call.emit("charge.dispute.closed", row)
    return row


def warn(call: Call, charge: Json) -> Json:
    """The card's bank reports suspected fraud; a refund now may spare a dispute."""
    id = call.new_id("issfr")
    row = call.store.put(
        "early_fraud_warnings",
        id,
        {
            "id": id,
            "object": "radar.early_fraud_warning",
            "actionable": not charge["refunded"] and not charge["disputed"],
            "charge": charge["id"],
            "created": call.now,
            "fraud_type": "made_with_stolen_card",
            "livemode": False,
            "payment_intent": charge["payment_intent"],
        },
    )
    call.emit("radar.early_fraud_warning.created", row)
    return row


def _taken(call: Call, id: str, amount: int) -> Json:
    return balance.book(
        call, "adjustment", "dispute", id, -amount, balance.DISPUTE_FEE, why=f"Chargeback withdrawal ({id})"
    )
