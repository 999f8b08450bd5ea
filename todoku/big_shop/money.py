"""The orders themselves, with the quotes, intents and attempts that stand behind them."""

from __future__ import annotations

from todoku.big_shop import words
from todoku.big_shop.fill import Values, ask, run, write
from todoku.order.models import Order
from todoku.payment.models import Attempt, Intent, Voucher
from todoku.quote.models import Quote
from todoku.webhooks.models import StripeEvent

_ORDERS = "big_order o JOIN sums USING (n) JOIN person ON person.n = o.person ORDER BY o.n"
_SUMS = {
    "goods_total": "goods_total",
    "shipping": "shipping",
    "total": "total",
    "parcels": "parcels",
    "taxes": "taxes",
}

_ATTEMPTS = """
    CREATE TEMP TABLE big_attempt AS
    SELECT %(first_attempt)s + row_number() OVER (ORDER BY o.at, o.n, place) AS id, o.n, o.id AS order_id,
           place AS number,
           o.at + make_interval(secs => 75 * (place - 1)) AS at, place = o.attempts AS last,
           o.konbini AND place = o.attempts AS konbini,
           CASE WHEN place < o.attempts THEN 'declined' WHEN o.paid THEN 'paid' WHEN o.ends = 'not_paid' THEN 'declined'
                WHEN o.ends = 'canceled' THEN 'canceled' ELSE 'waiting' END AS outcome,
           CASE WHEN place < o.attempts THEN o.at + make_interval(secs => 75 * (place - 1) + 2)
                WHEN o.paid THEN o.paid_at WHEN o.ends = 'not_paid' THEN o.last_at + interval '2 seconds'
                WHEN o.ends = 'canceled' THEN o.pay_by END AS settled_at,
           CASE WHEN place < o.attempts THEN '' WHEN o.konbini THEN 'konbini'
                WHEN o.asked_back THEN 'authentication' ELSE '' END AS waits_for
      FROM big_order o CROSS JOIN LATERAL generate_series(1, o.attempts) AS place
"""


def write_orders(values: Values) -> None:
    """Write each order with its quote and its intent."""
    write(
        Quote,
        "big_order o JOIN sums USING (n) ORDER BY n",
        values,
        id="quote_id",
        cart_id="cart_id",
        cart_version="3",
        fingerprint="encode(sha256(quote_id::text::bytea), 'hex')",
        created_at="at - interval '2 minutes'",
        **_SUMS,
    )
    write(
        Intent,
        "big_order o JOIN sums USING (n) ORDER BY n",
        values,
        id="intent_id",
        cart_id="cart_id",
        quote_id="quote_id",
        stripe_id="stripe_id",
        amount="total",
        ready="true",
        created_at="at - interval '2 minutes'",
        changed_at="at - interval '1 minute'",
        canceled_at="CASE WHEN ends = 'canceled' THEN pay_by END",
    )
    waiting = "ends IN ('konbini', 'secure')"
    write(
        Order,
        _ORDERS,
        values,
        id="o.id",
        uuid="md5('order ' || %(seed)s || ' ' || o.id)::uuid",
        number="number",
        shopper="CASE WHEN paid THEN shopper ELSE encode(sha256(convert_to('cart ' || cart_id, 'UTF8')), 'hex') END",
        cart_id="cart_id",
        cart_version="3",
        quote_id="quote_id",
        intent_id="intent_id",
        **_SUMS,
        language="CASE WHEN o.n %% 23 = 0 THEN 'en' ELSE 'ja' END",
        status="status",
        attempts="attempts",
        pay_by="pay_by",
        next_look_at=f"CASE WHEN {waiting} THEN %(now)s + make_interval(secs => 60 + 1500 * pace) END",
        setback="CASE ends WHEN 'not_paid' THEN jsonb_build_object('outcome', 'declined', 'reason', 'declined')"
        " WHEN 'canceled' THEN jsonb_build_object('outcome', 'canceled', 'reason',"
        " CASE WHEN konbini THEN 'konbini_expired' ELSE 'withdrawn' END) END",
        placed_at="at",
        paid_at="paid_at",
        recorded_at="recorded_at",
        completed_at="completed_at",
        name="person.name",
        kana="person.kana",
        email="person.email",
        phone="person.phone",
        postal_code="postal_code",
        prefecture="prefecture",
        city="city",
        street="street",
        building="building",
        wished_on="CASE WHEN o.n %% 4 = 0 THEN (at AT TIME ZONE 'Asia/Tokyo')::date + 3 + (o.n %% 9)::int END",
    )


def write_attempts(values: Values) -> None:
    """Write every press of the button, the konbini vouchers, and what Stripe told of them."""
    given = {**values, "declines": words.DECLINES, "chains": words.CHAINS, "brands": words.BRANDS}
    given["first_attempt"] = ask("SELECT coalesce(max(id), 0) FROM payment_attempt")
    run(_ATTEMPTS, given)
    run("CREATE INDEX ON big_attempt (n); ANALYZE big_attempt")

    def one_of(name: str, question: int) -> str:
        return f"(%({name})s::text[])[1 + floor(cardinality(%({name})s::text[]) * pg_temp.u(id, {question}))::int]"

    write(
        Attempt,
        "big_attempt ORDER BY id",
        given,
        id="id",
        key="md5('key ' || %(seed)s || ' ' || id)::uuid",
        order_id="order_id",
        number="number",
        confirmation_token="'ctoken_' || md5('token ' || %(seed)s || ' ' || id)",
        outcome="outcome",
        decline_code=f"CASE WHEN outcome = 'declined' THEN {one_of('declines', 301)} ELSE '' END",
        method="CASE WHEN konbini THEN 'konbini' ELSE 'card' END",
        waits_for="waits_for",
        chain=f"CASE WHEN konbini AND outcome = 'paid' THEN {one_of('chains', 302)} ELSE '' END",
        charge="CASE WHEN outcome = 'paid' THEN 'py_' || substr(md5('charge ' || %(seed)s || ' ' || id), 1, 24)"
        " ELSE '' END",
        card_brand=f"CASE WHEN konbini THEN '' ELSE {one_of('brands', 303)} END",
        card_last4="CASE WHEN konbini THEN '' ELSE lpad(((id * 7919) %% 10000)::text, 4, '0') END",
        created_at="at",
        asked_at="at + interval '300 milliseconds'",
        settled_at="settled_at",
    )
    write(
        Voucher,
        "big_attempt a JOIN big_order o USING (n) WHERE a.konbini ORDER BY a.id",
        given,
        attempt_id="a.id",
        expires_at="o.pay_by",
        issued_at="a.at + interval '1 second'",
        remind_at="CASE WHEN a.outcome = 'waiting' AND o.pay_by > %(now)s THEN o.pay_by - interval '15 hours' END",
        stores="jsonb_build_array(jsonb_build_object('chain', 'lawson', 'payment_code', lpad(o.n::text, 6, '0'),"
        " 'confirmation_number', lpad((o.n * 31)::text, 11, '0')))",
    )
    write(
        StripeEvent,
        """(SELECT a.*, o.stripe_id FROM big_attempt a JOIN big_order o USING (n)
             WHERE a.settled_at IS NOT NULL OR a.konbini ORDER BY coalesce(a.settled_at, a.at), a.id) AS a""",
        given,
        event_id="'evt_' || substr(md5('event ' || %(seed)s || ' ' || id), 1, 24)",
        type="CASE outcome WHEN 'paid' THEN 'payment_intent.succeeded'"
        " WHEN 'declined' THEN 'payment_intent.payment_failed'"
        " WHEN 'canceled' THEN 'payment_intent.canceled' ELSE 'payment_intent.requires_action' END",
        object_id="stripe_id",
        livemode="false",
        order_id="order_id",
        happened_at="coalesce(settled_at, at)",
        received_at="coalesce(settled_at, at) + interval '400 milliseconds'",
    )
