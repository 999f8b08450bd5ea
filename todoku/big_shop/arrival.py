"""What became of the orders: plays, ledger, cases, parcels, mails, and what people and the reconciliation did."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User

from todoku.audit.models import Entry
from todoku.big_shop.fill import Values, ask, run, write
from todoku.engines.models import Definition, Execution, Mishap
from todoku.flows import registry
from todoku.flows.models import Done
from todoku.fulfilment.models import Delivery
from todoku.notify.models import Case, Mail
from todoku.order.models import MyPageEntry
from todoku.reconciliation.models import Run

_PLAYS = """
    CREATE TEMP TABLE big_play AS
    SELECT %(first_play)s + row_number() OVER (ORDER BY o.at, o.n, place) AS id, o.n, o.id AS order_id, place AS number,
           place = o.plays AS last,
           (o.ends = 'stuck' AND place = o.plays) OR (o.mended AND place = o.plays - 1) AS failed,
           CASE WHEN place = o.plays AND o.mended THEN o.completed_at - interval '2 seconds'
                WHEN place <= o.attempts THEN o.at + make_interval(secs => 75 * (place - 1))
                ELSE coalesce(o.paid_at, CASE WHEN o.konbini THEN o.pay_by ELSE o.last_at + interval '20 seconds' END)
           END AS started_at
      FROM big_order o CROSS JOIN LATERAL generate_series(1, greatest(o.plays, 1)) AS place
"""

#: The step at which a stopped order stopped, and why.
_STEP = "CASE WHEN o.unallocated THEN 'RecordOrder' ELSE 'SendMail' END"
_CODE = "CASE WHEN o.unallocated THEN 'paid_unallocated' WHEN o.n %% 5 = 0 THEN 'mail_refused' ELSE 'Unavailable' END"
#: When its first failure was given up: the flow has tried for a while by then.
_FAILED_AT = "o.paid_at + interval '9 minutes'"

_LEDGER = """
    (SELECT o.id AS order_id, o.n, o.plays, step.* FROM big_order o CROSS JOIN LATERAL (
        SELECT 'TakeStock' AS step, place AS attempt, '{"outcome": "taken"}' AS answer,
               o.at + make_interval(secs => 75 * (place - 1) + 0.1) AS at FROM generate_series(1, o.attempts) AS place
        UNION ALL
        SELECT 'ReturnStock', place, '{"outcome": "returned"}',
               CASE WHEN place = o.attempts AND o.ends = 'canceled' THEN o.pay_by
                    WHEN place = o.attempts AND o.unallocated THEN o.paid_at - interval '10 minutes'
                    ELSE o.at + make_interval(secs => 75 * (place - 1) + 2) END
          FROM generate_series(1, o.attempts) AS place
         WHERE place < o.attempts OR o.ends IN ('not_paid', 'canceled') OR o.unallocated
        UNION ALL SELECT 'TakePayment', 0, '{"outcome": "paid"}', o.paid_at WHERE o.paid
        UNION ALL SELECT 'RecordOrder', 0, '{"outcome": "recorded"}', o.recorded_at WHERE o.recorded_at IS NOT NULL
        UNION ALL SELECT 'CloseCart', 0, '{"outcome": "closed"}', o.recorded_at + interval '30 milliseconds'
           WHERE o.recorded_at IS NOT NULL
        UNION ALL SELECT 'PublishToMyPage', 0, '{"outcome": "published"}', o.recorded_at + interval '50 milliseconds'
           WHERE o.recorded_at IS NOT NULL
        UNION ALL SELECT 'SendMail', 0, '{"outcome": "sent"}', o.completed_at WHERE o.completed_at IS NOT NULL
     ) AS step ORDER BY step.at, o.id) AS done
"""

#: An order's parcels: all but the last days' are on their way.
_PARCELS = """
    (SELECT o.n, o.id AS order_id, o.recorded_at, o.pace, parcel.place AS number, parcel.value AS parcel,
            (SELECT jsonb_agg(jsonb_build_object('sku', sku, 'name_ja', name_ja, 'name_en', name_en,
                                                 'quantity', quantity))
               FROM bought WHERE bought.n = o.n AND bought.temperature = parcel.value->>'temperature') AS contents,
            o.recorded_at + make_interval(hours => 12 + (30 * o.pace)::int) AS shipped_at,
            (at AT TIME ZONE 'Asia/Tokyo')::date + 3 + (o.n %% 9)::int AS wished, person.*
       FROM big_order o JOIN sums USING (n) JOIN person ON person.n = o.person
       CROSS JOIN LATERAL jsonb_array_elements(sums.parcels) WITH ORDINALITY AS parcel (value, place)
      WHERE o.recorded_at IS NOT NULL ORDER BY o.recorded_at, o.n, parcel.place) AS parcel
"""

#: The acts of three operators, whom the console names.
OPERATORS = ("big-shop-sato", "big-shop-suzuki", "big-shop-kitano")


def play(values: Values) -> None:
    """Write every play, the ledger of finished steps, the tries that failed, and the cases."""
    flow = registry.flow("checkout")
    definition, _made = Definition.objects.get_or_create(
        flow="checkout", digest=flow.digest, defaults={"text": flow.text}
    )
    given: dict[str, Any] = {**values, "definition": definition.pk}
    given["first_play"] = ask("SELECT coalesce(max(id), 0) FROM engines_execution")
    run(_PLAYS, given)
    run("CREATE INDEX ON big_play (n); ANALYZE big_play")
    write(
        Execution,
        f"(SELECT p.*, {_STEP} AS step, {_CODE} AS code FROM big_play p JOIN big_order o USING (n)) AS p ORDER BY id",
        given,
        id="id",
        order_id="order_id",
        flow="'checkout'",
        number="number",
        definition_id="%(definition)s",
        status="CASE WHEN failed THEN 'FAILED' ELSE 'SUCCEEDED' END",
        position="CASE WHEN failed THEN step ELSE '' END",
        knock="CASE WHEN number = 1 THEN 'press' WHEN number %% 2 = 0 THEN 'webhook' ELSE 'poller' END",
        started_at="started_at",
        stopped_at="started_at + CASE WHEN failed THEN interval '9 minutes' ELSE interval '3 seconds' END",
        error="CASE WHEN failed THEN code ELSE '' END",
        cause="CASE WHEN failed THEN 'ConnectionRefusedError' ELSE '' END",
    )
    write(
        Done,
        _LEDGER.replace("%", "%%"),
        given,
        order_id="order_id",
        step="step",
        attempt="attempt",
        answer="answer::jsonb",
        began_at="at - interval '20 milliseconds'",
        ended_at="at",
        execution="'checkout-' || order_id || '-' || least(greatest(attempt, 1), plays)",
    )
    write(
        Mishap,
        f"(SELECT p.*, {_STEP} AS step, {_CODE} AS code, again FROM big_play p JOIN big_order o USING (n),"
        " generate_series(1, 6) AS again WHERE p.failed) AS p ORDER BY id, again",
        given,
        execution_id="id",
        state="step",
        error="code",
        cause="'ConnectionRefusedError'",
        at="started_at + make_interval(secs => 10 * again)",
        again_at="CASE WHEN again < 6 THEN started_at + make_interval(secs => 10 * again + 10) END",
    )
    write(
        Case,
        "big_play p JOIN big_order o USING (n) WHERE p.failed ORDER BY p.id",
        given,
        order_id="o.id",
        execution_id="p.id",
        code=_CODE,
        step=_STEP,
        why="'The step failed again and again.'",
        technical="'ConnectionRefusedError: [Errno 111] Connection refused'",
        failures="1",
        opened_at=_FAILED_AT,
        failed_at=_FAILED_AT,
        rung_at=f"{_FAILED_AT} + interval '3 seconds'",
        closed_at="o.completed_at",
        closed_by="CASE WHEN o.mended THEN 'big-shop-sato' ELSE '' END",
    )


def deliver(values: Values) -> None:
    """Write the parcels, my page's entries and the mails."""
    shipped = "shipped_at < %(now)s"
    write(
        Delivery,
        _PARCELS,
        values,
        order_id="order_id",
        number="number",
        temperature="parcel->>'temperature'",
        size="(parcel->>'size')::int",
        contents="coalesce(contents, '[]')",
        name="name",
        kana="kana",
        email="email",
        phone="phone",
        postal_code="postal_code",
        prefecture="prefecture",
        city="city",
        street="street",
        building="building",
        wished_on="CASE WHEN order_id %% 4 = 0 THEN wished END",
        created_at="recorded_at",
        state=f"CASE WHEN {shipped} THEN 'shipped' ELSE 'to_ship' END",
        carrier=f"CASE WHEN {shipped} THEN 'yamato' ELSE '' END",
        tracking_number=f"CASE WHEN {shipped} THEN lpad((order_id * 10 + number)::text, 12, '4') ELSE '' END",
        shipped_at=f"CASE WHEN {shipped} THEN shipped_at END",
    )
    write(
        MyPageEntry,
        "big_order o JOIN person ON person.n = o.person WHERE o.recorded_at IS NOT NULL ORDER BY o.n",
        values,
        order_id="o.id",
        shopper="shopper",
        published_at="recorded_at + interval '50 milliseconds'",
    )
    for kind, subject, whose, written, sent in (
        (
            "order_complete",
            "ご注文ありがとうございます",
            "o.recorded_at IS NOT NULL",
            "o.recorded_at",
            "o.completed_at",
        ),
        ("konbini_codes", "お支払いの番号のお知らせ", "o.konbini", "o.at", "o.at + interval '4 seconds'"),
    ):
        write(
            Mail,
            f"big_order o JOIN person ON person.n = o.person WHERE {whose} ORDER BY o.n",
            values,
            order_id="o.id",
            kind=f"'{kind}'",
            recipient="email",
            subject=f"'{subject} ' || number",
            message_id=f"'<' || md5('{kind} ' || %(seed)s || ' ' || o.id) || '@example.jp>'",
            text=f"repeat('{subject}。' || chr(10), 12)",
            written_at=written,
            sent_at=sent,
            tries="1",
        )


def keep_books(values: Values) -> None:
    """Write what three operators did, and the reconciliation's runs of the last weeks."""
    for name in OPERATORS:
        User.objects.get_or_create(username=name, defaults={"is_staff": True, "is_active": False, "password": "!"})
    given: dict[str, Any] = {
        **values,
        "operators": list(User.objects.filter(username__in=OPERATORS).order_by("pk").values_list("pk", flat=True)),
        "names": sorted(OPERATORS),
    }
    write(
        Entry,
        "(SELECT o.*, 1 + (o.n %% 3)::int AS whose FROM big_order o WHERE o.mended OR o.n %% 40 = 0 ORDER BY o.n) AS o",
        given,
        at="least(o.at + interval '3 hours', %(now)s)",
        user_id="(%(operators)s::int[])[whose]",
        who="(%(names)s::text[])[whose]",
        role="'operator'",
        ip="'192.0.2.' || whose",
        act="CASE WHEN mended THEN 'resumed' ELSE 'looked' END",
        kind="'order.order'",
        object_id="o.id::text",
        named="o.number",
        orders="ARRAY[o.number]",
        number="NULL::bigint",
    )
    given["began"] = values["now"] - timedelta(days=14)
    write(
        Run,
        "generate_series(%(began)s::timestamptz, %(now)s::timestamptz - interval '1 minute',"
        " interval '5 minutes') AS at",
        given,
        kind="'window'",
        since="at - interval '3 hours'",
        until="at",
        started_at="at",
        ended_at="at + interval '2 seconds'",
        payments="40",
        orders="60",
        products="300",
    )
