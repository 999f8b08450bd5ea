"""Who orders when, and how it ends: one row for each order, before anything of the shop is written.

Everything is drawn from the seed and the order's place in time, so the same seed gives the same shop.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.db import connection

from todoku.big_shop import words
from todoku.big_shop.fill import Values, ask, run
from todoku.order.rules import ALPHABET as ALPHABET

#: Nobody orders in the last minutes before "now", so that nothing happens in the future.
QUIET = 180
#: Orders younger than this have no more declines than a real shop's; the ledger is filled up with older ones.
RECENT_DAYS = 60


class TooMuch(ValueError):
    """So many ledger rows cannot come of so few orders."""


@dataclass(frozen=True)
class Size:
    """How big the shop is to be. Without a number of ledger rows there are as many as come by themselves."""

    orders: int = 100_000
    ledger: int = 0
    products: int = 300
    days: int = 730
    seed: int = 1


#: A number from 0 to 1 for each (row, question), always the same for the same seed.
_DRAW = """
    CREATE OR REPLACE FUNCTION pg_temp.u(n bigint, question int) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT (hashint8extended(n, question + {seed} * 1000003) & 9007199254740991)::float8 / 9007199254740992 $$
"""

_PEOPLE = """
    CREATE TEMP TABLE person AS
    SELECT n, family.word || ' ' || given.word AS name, family.kana || ' ' || given.kana AS kana,
           given.latin || '.' || family.latin || n || '@'
               || (ARRAY['example.com', 'example.jp', 'example.net'])[1 + n %% 3]
               AS email,
           CASE WHEN pg_temp.u(n, 104) < 0.85 THEN (ARRAY['090', '080', '070'])[1 + n %% 3] ELSE '0' END
               || lpad(((n * 7368787 + 1234567) %% 100000000)::text, 8, '0')
               || CASE WHEN pg_temp.u(n, 104) < 0.85 THEN '' ELSE '3' END AS phone,
           place.postal_code, place.prefecture, place.city,
           place.street || (1 + n %% 9) || '-' || (1 + n %% 23) || '-' || (1 + n %% 17) AS street,
           CASE WHEN n %% 3 = 0 THEN 'コーポ北風 ' || (101 + n %% 800) || '号室' ELSE '' END AS building,
           encode(sha256(convert_to('big shop ' || %(seed)s || ' ' || n, 'UTF8')), 'hex') AS shopper
      FROM generate_series(1::bigint, %(people)s) AS n
      JOIN unnest(%(family)s::text[], %(family_kana)s::text[], %(family_latin)s::text[])
           WITH ORDINALITY AS family (word, kana, latin, i)
           ON family.i = 1 + floor(%(families)s * pg_temp.u(n, 101) ^ 1.5)
      JOIN unnest(%(given)s::text[], %(given_kana)s::text[], %(given_latin)s::text[])
           WITH ORDINALITY AS given (word, kana, latin, i) ON given.i = 1 + floor(%(givens)s * pg_temp.u(n, 102))
      JOIN unnest(%(postal)s::text[], %(prefecture)s::text[], %(city)s::text[], %(street)s::text[])
           WITH ORDINALITY AS place (postal_code, prefecture, city, street, i)
           ON place.i = 1 + floor(%(places)s * pg_temp.u(n, 103))
"""

#: An order's fate: complete, stuck (paid, and a person is needed), konbini or secure (waiting), not_paid, canceled.
_PLAN = """
    CREATE TEMP TABLE plan AS
    WITH day AS (
        SELECT n, floor(%(days)s * (1 - sqrt(pg_temp.u(n, 1))))::int AS ago,
               make_interval(secs => 3600 * mod(((pg_temp.u(n, 2) + pg_temp.u(n, 3)) * 12 + 8)::numeric, 24)::float8)
                   AS clock,
               date_trunc('day', %(now)s, 'Asia/Tokyo') AS midnight,
               %(now)s - make_interval(secs => %(quiet)s) AS latest
          FROM generate_series(1::bigint, %(orders)s) AS n
    ), moment AS (
        SELECT n, midnight + clock - make_interval(days => ago
               + CASE WHEN midnight + clock - make_interval(days => ago) > latest THEN 1 ELSE 0 END) AS at
          FROM day
    ), numbered AS (
        SELECT row_number() OVER (ORDER BY at, n) AS n, at FROM moment
    ), drawn AS (
        SELECT n, at, %(now)s - at AS age, pg_temp.u(n, 10) < 0.22 AS konbini, pg_temp.u(n, 11) AS fate,
               CASE WHEN %(now)s - at < interval '20 minutes' THEN 0
                    WHEN pg_temp.u(n, 12) < 0.06 THEN 1 WHEN pg_temp.u(n, 12) < 0.075 THEN 2 ELSE 0 END AS declines,
               1 + floor(%(people)s * pg_temp.u(n, 13))::bigint AS person, pg_temp.u(n, 14) AS pace,
               pg_temp.u(n, 15) < 0.2 AS asked_back, pg_temp.u(n, 16) AS rank,
               1 + floor(4 * pg_temp.u(n, 17) ^ 2.2)::int AS pieces
          FROM numbered
    ), fated AS (
        SELECT *, CASE
                   WHEN konbini AND age < interval '70 hours' * pace ^ 2 + interval '1 hour' THEN 'konbini'
                   WHEN konbini AND fate < 0.12 AND age > interval '4 days' THEN 'canceled'
                   WHEN NOT konbini AND age < interval '25 minutes' AND asked_back THEN 'secure'
                   WHEN NOT konbini AND fate < 0.04 THEN 'not_paid'
                   WHEN NOT konbini AND fate < 0.05 AND age > interval '1 day' THEN 'canceled'
                   WHEN age BETWEEN interval '30 minutes' AND interval '5 days'
                        AND rank < %(stuck)s::float8 / greatest(1, %(lately)s) THEN 'stuck'
                   ELSE 'complete' END AS ends
          FROM drawn
    )
    SELECT n, at, konbini, declines, person, pace, pieces, ends, rank, NOT konbini AND asked_back AS asked_back,
           ends IN ('complete', 'stuck') AS paid,
           ends = 'stuck' AND rank < 0.2 * %(stuck)s::float8 / greatest(1, %(lately)s) AS unallocated,
           ends = 'complete' AND age > interval '2 hours' AND rank > 0.997 AS mended
      FROM fated
"""

#: Times, once the number of attempts is settled: when the last one began, when it was paid, recorded, complete.
_TIMES = """
    CREATE TEMP TABLE big_order AS
    WITH paid AS (
        SELECT *, at + make_interval(secs => 75 * declines) AS last_at,
               CASE WHEN NOT paid THEN NULL
                    WHEN konbini THEN at + interval '70 hours' * pace ^ 2 + interval '1 hour'
                    ELSE at + make_interval(secs => 75 * declines + 1.1 + 4 * pace ^ 4
                         + CASE WHEN asked_back THEN 15 + 50 * pace ELSE 0 END) END AS paid_at
          FROM plan
    )
    SELECT paid.*, %(first_order)s + n AS id, %(first_cart)s + n AS cart_id,
           md5('quote ' || %(seed)s || ' ' || %(first_order)s + n)::uuid AS quote_id,
           md5('intent ' || %(seed)s || ' ' || %(first_order)s + n)::uuid AS intent_id,
           'pi_' || substr(md5('pi ' || %(seed)s || ' ' || %(first_order)s + n), 1, 24) AS stripe_id,
           to_char(at AT TIME ZONE 'Asia/Tokyo', '"T"YYMMDD-') || (
               SELECT string_agg(substr(%(alphabet)s, 1 + ((((%(first_order)s + n) * 668265263) %% 1073741824)
                                                           >> (5 * place))::int %% 32, 1), '' ORDER BY place DESC)
                 FROM generate_series(0, 5) AS place) AS number,
           CASE ends WHEN 'complete' THEN 'complete'
                     WHEN 'stuck' THEN CASE WHEN unallocated THEN 'paid' ELSE 'recorded' END
                     WHEN 'not_paid' THEN 'not_paid' WHEN 'canceled' THEN 'canceled' ELSE 'placed' END AS status,
           CASE WHEN NOT unallocated THEN paid_at + interval '80 milliseconds' END AS recorded_at,
           CASE WHEN ends = 'complete' THEN paid_at + make_interval(secs => 0.3 + 1.5 * pace ^ 3
                + CASE WHEN mended THEN 5400 * pace ELSE 0 END) END AS completed_at,
           CASE WHEN konbini THEN date_trunc('day', at, 'Asia/Tokyo') + interval '4 days' - interval '1 second'
                ELSE at + make_interval(secs => 75 * declines) + interval '30 minutes' END AS pay_by,
           1 + declines AS attempts,
           1 + declines + CASE WHEN konbini OR asked_back THEN 1 ELSE 0 END + CASE WHEN mended THEN 1 ELSE 0 END
             - CASE WHEN ends IN ('konbini', 'secure') THEN 1 ELSE 0 END AS plays
      FROM paid
"""

#: How many ledger rows an order leaves without any declines.
_OF_ITSELF = """
    SELECT coalesce(sum(2 * declines + CASE ends WHEN 'complete' THEN 6
                        WHEN 'stuck' THEN CASE WHEN unallocated THEN 3 ELSE 5 END
                        WHEN 'not_paid' THEN 2 WHEN 'canceled' THEN 2 ELSE 1 END), 0) FROM plan
"""


def draw(size: Size, values: Values) -> None:
    """Draw every order's life, and the people who order."""
    families, givens, places = (
        zip(*words.FAMILIES, strict=True),
        zip(*words.GIVEN, strict=True),
        zip(*words.PLACES, strict=True),
    )
    people = max(1, size.orders * 3 // 5)
    given: dict[str, object] = dict(values)
    given |= dict(zip(("family", "family_kana", "family_latin"), map(list, families), strict=True))
    given |= dict(zip(("given", "given_kana", "given_latin"), map(list, givens), strict=True))
    given |= dict(zip(("postal", "prefecture", "city", "street"), map(list, places), strict=True))
    given |= {
        "people": people,
        "families": len(words.FAMILIES),
        "givens": len(words.GIVEN),
        "places": len(words.PLACES),
    }
    given |= {"quiet": QUIET, "orders": size.orders, "days": size.days, "stuck": max(3, size.orders // 2000)}
    # About so many orders are younger than five days: the density grows evenly over the shop's life.
    given["lately"] = size.orders * (1 - (1 - 5 / max(size.days, 6)) ** 2)
    with connection.cursor() as cursor:
        cursor.execute(_DRAW.format(seed=int(size.seed)))
    run(_PEOPLE, given)
    run("CREATE UNIQUE INDEX ON person (n)")
    run(_PLAN, given)
    if size.ledger:
        _fill_up(size, given)
    run(_TIMES, given)
    run(
        "CREATE UNIQUE INDEX ON big_order (n); CREATE UNIQUE INDEX ON big_order (id); ANALYZE big_order; ANALYZE person"
    )


def _fill_up(size: Size, values: Values) -> None:
    """Give old orders more declined attempts until the ledger is as long as it is to be: each leaves two rows."""
    missing = size.ledger - int(ask(_OF_ITSELF))
    most = settings.MOST_ATTEMPTS - 1
    old = f"FROM plan WHERE at < %(now)s::timestamptz - interval '{RECENT_DAYS} days'"
    room = int(ask(f"SELECT coalesce(sum({most} - declines), 0) {old}", values))
    wanted = -(-missing // 2)
    if wanted > room:
        raise TooMuch(f"{size.orders:,} orders cannot have more than {size.ledger - missing + 2 * room:,} ledger rows.")
    if wanted <= 0:
        return
    run(
        f"""
        UPDATE plan SET declines = declines + more.number
          FROM (SELECT n, count(*) AS number
                  FROM (SELECT n, place FROM (SELECT n, declines, rank {old}) AS old,
                               generate_series(declines + 1, {most}) AS place
                         ORDER BY place, rank LIMIT %(wanted)s) AS given
                 GROUP BY n) AS more
         WHERE more.n = plan.n
        """,
        {**values, "wanted": wanted},
    )
