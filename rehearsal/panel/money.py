"""The panel's part about money on its way: the voucher at the till, refunds, disputes, and what a bank ponders."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from rehearsal import late_till
from rehearsal.api import Rehearsal
from rehearsal.call import Call
from rehearsal.errors import ApiError
from rehearsal.konbini import CHAINS, open_voucher
from rehearsal.markup import Html, html, join
from rehearsal.panel.layout import (
    back_to,
    button,
    code,
    facts,
    guarded,
    link,
    moment,
    page,
    status_badge,
    table,
    yen,
)
from rehearsal.store import Json

_NAMES = {"familymart": "FamilyMart", "lawson": "Lawson", "ministop": "Ministop", "seicomart": "Seicomart"}


def routes(rehearsal: Rehearsal) -> list[Route]:
    """Answers the routes of the buttons on a payment's page."""

    def act(request: Request, fields: dict[str, str]) -> Response:
        id = request.path_params["id"]
        subject = fields.get("subject", "")
        actions: dict[str, Callable[[], Json]] = {
            "pay": lambda: rehearsal.pay_at_till(id, fields.get("chain", "familymart")),
            "till": lambda: rehearsal.go_to_till(id),
            "walk_away": lambda: rehearsal.walk_away(id),
            "expire": lambda: rehearsal.expire_voucher(id),
            "late": lambda: rehearsal.report_late(id),
            "processing": lambda: rehearsal.hold_in_processing(id),
            "settle": lambda: rehearsal.settle_processing(id, fields.get("paid") == "yes"),
            "refund": lambda: rehearsal.refund_by_hand(
                subject, int(fields["amount"]), fields.get("reason") or None
            ),
            "move_refund": lambda: rehearsal.move_refund(subject, fields.get("how", "")),
            "dispute": lambda: rehearsal.dispute(subject, fields.get("reason", "fraudulent")),
            "warn": lambda: rehearsal.warn_of_fraud(subject),
            "decide": lambda: rehearsal.decide_dispute(subject, fields.get("won") == "yes"),
        }
        try:
            actions[request.path_params["what"]]()
        except (KeyError, LookupError, ValueError, ApiError) as wrong:
            note = html(
                '<p class="note bad">Nothing was done: {}</p>{}', wrong, link(f"/payments/{id}", "Back")
            )
            return page("Not possible now", note, "/", 409)
        return back_to(f"/payments/{id}")

    return [Route("/payments/{id}/do/{what}", guarded(act), methods=["POST"])]


def waiting(rehearsal: Rehearsal, intent: Json) -> list[Html]:
    """What can be done for a payment that waits for the store or for the bank."""
    here = f"/payments/{intent['id']}/do"
    parts = []
    with rehearsal.lock:
        voucher = open_voucher(Call(rehearsal, params={}), intent["id"])
        may_come_late = late_till.may_tell(Call(rehearsal, params={}), intent)
    if voucher is not None:
        at_till = voucher["at_till"] is not None
        stands = "The customer stands at the till: no cancel works now. " if at_till else ""
        chains = join([html('<option value="{}">{}</option>', chain, _NAMES[chain]) for chain in CHAINS])
        parts.append(
            html(
                '<section class="wait"><h2>Konbini voucher</h2><p>{}{}</p>{}'
                '<form method="post" action="{}/pay" class="fields"><label>Pay at the till of<select name="chain">{}'
                '</select></label><button class="primary">Pay</button></form>'
                '<div class="buttons more">{}{}</div></section>',
                stands,
                link(f"/_konbini/{voucher['id']}", "See the voucher"),
                facts(
                    [
                        ("Expires (Japan)", moment(voucher["expires_at"])),
                        ("Stripe gives up", moment(voucher["gives_up_at"])),
                        ("Confirmation number", code(voucher["confirmation_number"])),
                        ("By itself", voucher["behaviour"].replace("_", " ")),
                    ]
                ),
                here,
                chains,
                button(f"{here}/walk_away", "Walk away from the till")
                if at_till
                else button(f"{here}/till", "Go to the till"),
                button(f"{here}/expire", "Expire now", "danger"),
            )
        )
    if may_come_late:
        parts.append(
            html(
                '<div class="note"><p>The voucher\'s time is over. A till that was offline could still report it '
                'as paid (beyond Stripe\'s documentation).</p><div class="buttons">{}</div></div>',
                button(f"{here}/late", "A till reports late"),
            )
        )
    if intent["status"] == "processing":
        parts.append(
            html(
                '<div class="note wait"><p>The bank has not decided yet.</p><div class="buttons">{}{}</div></div>',
                button(f"{here}/settle", "Paid", "primary", paid="yes"),
                button(f"{here}/settle", "Declined", "danger", paid="no"),
            )
        )
    elif voucher is None and intent["status"] in ("requires_confirmation", "requires_action"):
        parts.append(button(f"{here}/processing", "Let it be processing"))
    return parts


def moved(rehearsal: Rehearsal, intent: Json, charges: list[Json]) -> list[Html]:
    """The charges of a payment with what can be done to them, and the refunds and disputes there are."""
    here = f"/payments/{intent['id']}/do"
    parts = [
        html(
            "<h2>Charges</h2>{}",
            table(
                ("Made", "Amount", "Status", "Fee", "Why", "Charge"),
                [
                    [
                        moment(row["created"]),
                        yen(row["amount"]),
                        status_badge("disputed" if row["disputed"] else row["status"]),
                        _fee(rehearsal, row),
                        row["outcome"]["reason"] or row["outcome"]["seller_message"],
                        code(row["id"]),
                    ]
                    for row in charges
                ],
                "No money was asked for yet.",
            ),
        )
    ]
    paid = next((row for row in charges if row["paid"]), None)
    if paid is None:
        return parts
    refunds = [row for row in rehearsal.rows("refunds", 5000) if row["charge"] == paid["id"]]
    disputes = [row for row in rehearsal.rows("disputes", 5000) if row["charge"] == paid["id"]]
    left = paid["amount"] - paid["amount_refunded"]
    doing = []
    if left and not paid["disputed"]:
        doing.append(
            html(
                '<form method="post" action="{}/refund" class="fields"><input type="hidden" name="subject" value="{}">'
                '<label>Yen<input name="amount" type="number" min="1" max="{}" value="{}" required></label>'
                '<label>Reason<select name="reason"><option value="">none</option><option '
                'value="requested_by_customer">requested by customer</option>'
                '<option value="duplicate">duplicate</option><option value="fraudulent">'
                'fraudulent</option></select></label><button class="primary">Refund</button></form>',
                here,
                paid["id"],
                left,
                left,
            )
        )
        if paid["payment_method_details"]["type"] == "card":
            doing.append(
                html(
                    '<div class="buttons more">{}{}{}</div>',
                    button(f"{here}/dispute", "Dispute as fraud", "danger", subject=paid["id"]),
                    button(
                        f"{here}/dispute",
                        "Dispute as not received",
                        "danger",
                        subject=paid["id"],
                        reason="product_not_received",
                    ),
                    button(f"{here}/warn", "Early fraud warning", subject=paid["id"]),
                )
            )
    if doing:
        parts.append(
            html(
                "<section><h2>{}</h2>{}</section>",
                "As in Stripe's Dashboard, and as the card's owner"
                if len(doing) > 1
                else "As in Stripe's Dashboard",
                join(doing),
            )
        )
    if refunds:
        parts.append(
            html(
                "<h2>Refunds</h2>{}",
                table(
                    ("Made", "Amount", "Status", "Refund", ""),
                    [
                        [
                            moment(row["created"]),
                            yen(row["amount"]),
                            status_badge(row["status"]),
                            code(row["id"]),
                            _refund_buttons(here, row),
                        ]
                        for row in refunds
                    ],
                    "",
                ),
            )
        )
    if disputes:
        parts.append(
            html(
                "<h2>Disputes</h2>{}",
                table(
                    ("Made", "Amount", "Status", "Why", "Dispute", ""),
                    [
                        [
                            moment(row["created"]),
                            yen(row["amount"]),
                            status_badge(row["status"]),
                            row["reason"].replace("_", " "),
                            code(row["id"]),
                            _dispute_buttons(here, row),
                        ]
                        for row in disputes
                    ],
                    "",
                ),
            )
        )
    return parts


def _fee(rehearsal: Rehearsal, charge: Json) -> Html:
    booked = rehearsal.find("balance_transactions", charge["balance_transaction"] or "")
    return yen(booked["fee"]) if booked else Html("–")


def _refund_buttons(here: str, row: Json) -> Html:
    ways = {
        "requires_action": (("bank_account", "The customer names a bank"), ("fails", "Fails")),
        "pending": (("arrives", "Arrives"), ("returned", "Comes back"), ("fails", "Fails")),
        "succeeded": (("fails", "Fails after all"),),
    }.get(row["status"], ())
    buttons = [
        button(f"{here}/move_refund", text, "", subject=row["id"], how=how)
        for how, text in ways
        if how != "returned" or row["instructions_email"]
    ]
    return html('<div class="buttons">{}</div>', join(buttons)) if buttons else Html("–")


def _dispute_buttons(here: str, row: Json) -> Html:
    if row["status"] not in ("needs_response", "warning_needs_response"):
        return Html("–")
    return html(
        '<div class="buttons">{}{}</div>',
        button(f"{here}/decide", "Won", "", subject=row["id"], won="yes"),
        button(f"{here}/decide", "Lost", "danger", subject=row["id"], won="no"),
    )
