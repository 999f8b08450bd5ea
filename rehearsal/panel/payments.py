"""The panel's pages about payments: the list, one payment with its story, and the cards to try."""

from __future__ import annotations

from contextlib import suppress

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from rehearsal.api import Rehearsal, without_secrets
from rehearsal.call import Call
from rehearsal.cards import CARDS, Card
from rehearsal.errors import ApiError
from rehearsal.markup import Html, html, join
from rehearsal.panel import money
from rehearsal.panel.layout import (
    back_to,
    badge,
    button,
    code,
    facts,
    guarded,
    link,
    moment,
    not_found,
    page,
    status_badge,
    table,
    yen,
)
from rehearsal.panel.traffic import as_json
from rehearsal.store import Json
from rehearsal.three_d_secure import open_challenge


def routes(rehearsal: Rehearsal) -> list[Route]:
    async def listing(request: Request) -> Response:
        rehearsal.run_due()
        rows: list[list[object]] = [
            [
                moment(intent["created"]),
                yen(intent["amount"]),
                status_badge(intent["status"]),
                _means(rehearsal, intent),
                intent["metadata"].get("order") or intent["description"] or "–",
                link(f"/payments/{intent['id']}", code(intent["id"])),
            ]
            for intent in rehearsal.rows("payment_intents", 200)
        ]
        body = table(
            ("Made", "Amount", "Status", "Paid with", "Order", "PaymentIntent"),
            rows,
            "No payment yet. Buy something in the shop with one of the cards to try.",
        )
        return page("Payments", body, "/")

    async def one(request: Request) -> Response:
        rehearsal.run_due()
        intent = rehearsal.find("payment_intents", request.path_params["id"])
        if intent is None:
            return not_found("payment", "/")
        return page(f"¥{intent['amount']:,}", _story(rehearsal, intent), "/")

    def answer(request: Request, fields: dict[str, str]) -> Response:
        id = request.path_params["id"]
        with suppress(LookupError, ApiError):  # it was answered meanwhile; the page shows how
            rehearsal.authenticate(id, fields.get("passed") == "yes")
        return back_to(f"/payments/{id}")

    async def cards(request: Request) -> Response:
        groups: dict[str, list[Card]] = {}
        for card in CARDS:
            groups.setdefault(_group(card), []).append(card)
        parts = [
            html(
                "<h2>{}</h2>{}",
                name,
                table(
                    ("Number", "Brand", "What happens", "Test name"),
                    [
                        [
                            html('<code class="number">{}</code>', _spaced(card)),
                            badge(f"{card.brand} {card.funding}", "plain"),
                            card.title,
                            code(card.name),
                        ]
                        for card in members
                    ],
                    "",
                ),
            )
            for name, members in groups.items()
        ]
        lead = Html(
            "<p class=lead>Any expiry date in the future and any three digits as security code (four for American "
            "Express). The numbers are those of Stripe's documentation.</p>"
        )
        konbini_words = table(
            ("Confirmation number", "or mail", "What happens"),
            [[code(number), code(mail) if mail else "–", what] for number, mail, what in _KONBINI],
            "",
        )
        parts.append(
            html(
                "<h2>Konbini</h2><p class=lead>The customer's phone number is the confirmation number; the number wins "
                "over the mail. Any other voucher waits until it is paid here, on the payment's page.</p>{}",
                konbini_words,
            )
        )
        return page("Cards to try", join([lead, *parts]), "/cards")

    return [
        Route("/", listing),
        Route("/payments/{id}", one),
        Route("/payments/{id}/answer", guarded(answer), methods=["POST"]),
        *money.routes(rehearsal),
        Route("/cards", cards),
    ]


_KONBINI = (
    ("11111111110", "", "Paid after 3 minutes"),
    ("22222222220", "…succeed_immediately@", "Paid at once"),
    ("33333333330", "…expire_immediately@", "Expires at once"),
    ("44444444440", "…expire_with_delay@", "Expires after 3 minutes"),
    ("55555555550", "…fill_never@", "Never paid, expires in its time"),
    ("01234567890", "", "The number is rejected"),
)


def _story(rehearsal: Rehearsal, intent: Json) -> Html:
    id = intent["id"]
    parts = [
        html("<p class=lead>{} {}</p>", status_badge(intent["status"]), code(id)),
        facts(
            [
                ("Made", moment(intent["created"])),
                ("Paid with", _means(rehearsal, intent)),
                ("Description", intent["description"]),
                ("Received", yen(intent["amount_received"]) if intent["amount_received"] else None),
                ("Canceled", moment(intent["canceled_at"]) if intent["canceled_at"] else None),
                ("Reason", intent["cancellation_reason"]),
                *((f"metadata · {name}", value) for name, value in intent["metadata"].items()),
            ]
        ),
    ]
    error = intent["last_payment_error"]
    if error:
        parts.append(
            html(
                '<p class="note bad"><strong>{}</strong> {}</p>',
                error.get("decline_code") or error.get("code"),
                error["message"],
            )
        )
    with rehearsal.lock:
        challenge = open_challenge(Call(rehearsal, params={}), id)
    if challenge is not None:
        parts.append(
            html(
                '<div class="note wait"><p>The customer is asked by the card\'s bank. {}</p>'
                '<div class="buttons">{}{}</div></div>',
                link(f"/_challenge/{challenge['id']}", "See the question"),
                button(f"/payments/{id}/answer", "Pass", "primary", passed="yes"),
                button(f"/payments/{id}/answer", "Fail", "danger", passed="no"),
            )
        )
    parts += money.waiting(rehearsal, intent)
    charges = [row for row in rehearsal.rows("charges", 5000) if row["payment_intent"] == id]
    parts += money.moved(rehearsal, intent, charges)
    events = [row for row in rehearsal.rows("events", 5000) if _about(row) == id]
    parts.append(
        html(
            "<h2>Events</h2>{}",
            table(
                ("Made", "Type", "Event"),
                [
                    [moment(row["created"]), row["type"], link(f"/events/{row['id']}", code(row["id"]))]
                    for row in events
                ],
                "Nothing happened yet.",
            ),
        )
    )
    parts.append(
        html("<details><summary>As the API tells it</summary>{}</details>", as_json(without_secrets(intent)))
    )
    return join(parts)


def _about(event: Json) -> str | None:
    subject = event["data"]["object"]
    found = subject["id"] if subject.get("object") == "payment_intent" else subject.get("payment_intent")
    return found if isinstance(found, str) else None


def _means(rehearsal: Rehearsal, intent: Json) -> Html:
    method = rehearsal.find("payment_methods", intent["payment_method"] or "")
    if method is None:
        method = (intent["last_payment_error"] or {}).get("payment_method")
    if method is None:
        return Html("–")
    if method["type"] != "card":
        return Html(method["type"])
    card = method["card"]
    return html("{} •••• {}", card["brand"], card["last4"])


def _group(card: Card) -> str:
    if card.three_d_secure == "required" or card.name.startswith("pm_card_threeDSecure"):
        return "3-D Secure"
    if card.risk != "normal" or "check" in card.title:
        return "Radar and checks"
    if card.refund != "at_once" or card.afterwards:
        return "Refunds and disputes"
    return "Declined" if card.decline else "Succeeds"


def _spaced(card: Card) -> str:
    number = card.number
    if len(number) in (14, 15):
        return f"{number[:4]} {number[4:10]} {number[10:]}"
    return " ".join(number[at : at + 4] for at in range(0, len(number), 4))
