"""What the shop sells, what each order is made of, and how the stock moved for it."""

from __future__ import annotations

from typing import Any

from todoku.big_shop import words
from todoku.big_shop.fill import Values, ask, run, write
from todoku.cart.models import Cart, Line
from todoku.catalog.models import Product
from todoku.order.models import OrderLine
from todoku.quote.models import QuoteLine
from todoku.stock.models import Level, Movement, Reservation

_GOODS = """
    CREATE TEMP TABLE goods AS
    SELECT row_number() OVER (ORDER BY pg_temp.u(id, 201)) AS place, id AS product_id, sku, name_ja, name_en, price,
           CASE tax_class WHEN 'standard' THEN 10 ELSE 8 END AS percent, tax_class, temperature, parcel_size
      FROM catalog_product WHERE sku LIKE 'BIG-%%'
"""

_BOUGHT = """
    CREATE TEMP TABLE bought AS
    SELECT DISTINCT ON (o.n, goods.product_id) o.n, o.id AS order_id, goods.*,
           1 + floor(2.4 * pg_temp.u(o.n * 8 + piece, 203) ^ 4)::int AS quantity
      FROM big_order o
      CROSS JOIN LATERAL generate_series(1, o.pieces) AS piece
      JOIN goods ON goods.place = 1 + floor(%(products)s * pg_temp.u(o.n * 8 + piece, 202) ^ 2)
"""

#: Parcels of one temperature travel together; shipping is the parcels' fees, and free from 15,000 yen on.
_SUMS = """
    CREATE TEMP TABLE sums AS
    WITH line AS (
        SELECT n, sum(price * quantity) AS goods_total,
               coalesce(sum(price * quantity) FILTER (WHERE percent = 8), 0) AS at8,
               coalesce(sum(price * quantity) FILTER (WHERE percent = 10), 0) AS at10
          FROM bought GROUP BY n
    ), parcel AS (
        SELECT n, temperature, max(parcel_size) AS size FROM bought GROUP BY n, temperature
    ), priced AS (
        SELECT parcel.*, CASE WHEN goods_total >= 15000 THEN 0
                              ELSE 400 + size * 4 + CASE temperature WHEN 'ambient' THEN 0 ELSE 220 END END AS fee
          FROM parcel JOIN line USING (n)
    ), sent AS (
        SELECT n, sum(fee) AS shipping,
               jsonb_agg(jsonb_build_object('temperature', temperature, 'size', size, 'fee', fee, 'remote', 0)
                         ORDER BY temperature) AS parcels
          FROM priced GROUP BY n
    )
    SELECT n, goods_total::int, shipping::int, (goods_total + shipping)::int AS total, parcels,
           CASE WHEN at8 > 0 THEN jsonb_build_array(jsonb_build_object('percent', 8, 'base', at8, 'tax', at8 * 8 / 108))
                ELSE '[]' END
           || CASE WHEN at10 + shipping > 0 THEN jsonb_build_array(jsonb_build_object(
                'percent', 10, 'base', at10 + shipping, 'tax', div(at10 + shipping, 11))) ELSE '[]' END AS taxes
      FROM line JOIN sent USING (n)
"""

#: Every attempt holds the order's lines; a declined or canceled one puts them back, a recorded one sells them.
_HELD = """
    CREATE TEMP TABLE held AS
    SELECT o.n, bought.order_id, press AS attempt, bought.product_id, bought.quantity,
           o.at + make_interval(secs => 75 * (press - 1) + 0.1) AS held_at,
           CASE WHEN press < o.attempts OR o.ends IN ('not_paid', 'canceled') OR o.unallocated THEN 'returned'
                WHEN o.recorded_at IS NOT NULL THEN 'sold' ELSE 'held' END AS state,
           CASE WHEN press < o.attempts OR o.ends = 'not_paid' THEN o.at + make_interval(secs => 75 * (press - 1) + 2)
                WHEN o.ends = 'canceled' THEN o.pay_by WHEN o.unallocated THEN o.paid_at - interval '10 minutes'
                ELSE o.recorded_at END AS ended_at
      FROM bought JOIN big_order o USING (n) CROSS JOIN LATERAL generate_series(1, o.attempts) AS press
"""

#: Each month's goods came in before that month; what is left at the end came with the first.
_COUNTED = """
    (SELECT goods.product_id, month, sum(quantity) AS came
       FROM (SELECT product_id, date_trunc('month', held_at, 'Asia/Tokyo') AS month, quantity
               FROM held WHERE state <> 'returned'
             UNION ALL
             SELECT product_id, (SELECT min(date_trunc('month', held_at, 'Asia/Tokyo')) FROM held),
                    floor(400 * pg_temp.u(product_id, 204) ^ 3)::int + CASE WHEN place % 25 = 0 THEN 0 ELSE 2 END
               FROM goods) AS moved
       JOIN goods USING (product_id)
      GROUP BY 1, 2 HAVING sum(quantity) > 0 ORDER BY 2, 1) AS counted
""".replace("%", "%%")

_LINE = {
    "product_id": "product_id",
    "sku": "sku",
    "name_ja": "name_ja",
    "name_en": "name_en",
    "unit_price": "price",
    "quantity": "quantity",
    "percent": "percent",
    "tax_class": "tax_class",
    "temperature": "temperature",
    "parcel_size": "parcel_size",
}


def stock_the_shelves(number: int) -> None:
    """Make the products, a maker's name before each kind of goods, unless they are there already."""
    wanted = []
    for place in range(number):
        kind_ja, kind_en, price, tax_class, temperature, size = words.KINDS[place % len(words.KINDS)]
        maker_ja, maker_en = words.MAKERS[place // len(words.KINDS) % len(words.MAKERS)]
        again = place // (len(words.KINDS) * len(words.MAKERS))
        mark = f" {again + 1}" if again else ""
        wanted.append(
            Product(
                sku=f"BIG-{place + 1:04d}",
                name_ja=f"{maker_ja}の{kind_ja}{mark}",
                name_en=f"{maker_en} {kind_en}{mark}",
                price=price + 10 * (place // len(words.KINDS)),
                tax_class=tax_class,
                temperature=temperature,
                parcel_size=size,
                position=1000 + place,
            )
        )
    Product.objects.bulk_create(wanted, ignore_conflicts=True)


def choose(values: Values) -> None:
    """Choose what each order is made of, and what it costs."""
    run(_GOODS, values)
    run(_BOUGHT, {**values, "products": ask("SELECT count(*) FROM goods")})
    run("CREATE INDEX ON bought (n); ANALYZE bought")
    run(_SUMS, values)
    run("CREATE UNIQUE INDEX ON sums (n); ANALYZE sums")
    run(_HELD, values)
    run("ANALYZE held")


def fill_carts(values: Values) -> None:
    """Write each order's cart, and as many that somebody left behind: most carts are."""
    orders: Any = ask("SELECT count(*) FROM big_order")
    write(
        Cart,
        "(SELECT o.*, person.shopper FROM big_order o JOIN person ON person.n = o.person ORDER BY o.n) AS o",
        values,
        id="cart_id",
        shopper="CASE WHEN paid THEN shopper ELSE encode(sha256(convert_to('cart ' || cart_id, 'UTF8')), 'hex') END",
        created_at="at - interval '9 minutes'",
        changed_at="at - interval '1 minute'",
        version="3",
        closed_at="CASE WHEN unallocated THEN NULL ELSE recorded_at + interval '30 milliseconds' END",
        set_aside_at="CASE WHEN konbini THEN at + interval '2 seconds' END",
    )
    write(
        Line,
        "bought JOIN big_order o USING (n) ORDER BY o.n, product_id",
        values,
        cart_id="o.cart_id",
        product_id="product_id",
        quantity="quantity",
    )
    given = {**values, "orders": orders}
    write(
        Cart,
        "big_order AS o ORDER BY o.n",
        given,
        id="cart_id + %(orders)s",
        shopper="encode(sha256(convert_to('left ' || cart_id, 'UTF8')), 'hex')",
        created_at="at - interval '20 minutes'",
        changed_at="at - interval '15 minutes'",
        version="1",
        closed_at="NULL::timestamptz",
        set_aside_at="NULL::timestamptz",
    )
    write(
        Line,
        "big_order AS o JOIN goods ON goods.place = 1 + mod(o.n, (SELECT count(*) FROM goods)) ORDER BY o.n",
        given,
        cart_id="o.cart_id + %(orders)s",
        product_id="goods.product_id",
        quantity="1",
    )


def write_lines(values: Values) -> None:
    """Write the quotes' lines and the orders', which are the same."""
    write(QuoteLine, "bought JOIN big_order o USING (n) ORDER BY n, product_id", values, quote_id="o.quote_id", **_LINE)
    write(OrderLine, "bought ORDER BY n, product_id", values, order_id="order_id", **_LINE)


def move_stock(values: Values) -> None:
    """Write every hold and every movement, and then the levels that they add up to."""
    write(
        Reservation,
        "held ORDER BY held_at, order_id, product_id",
        values,
        order_id="order_id",
        attempt="attempt",
        product_id="product_id",
        quantity="quantity",
        state="state",
        held_at="held_at",
        ended_at="ended_at",
    )
    write(
        Movement,
        _COUNTED,
        values,
        product_id="product_id",
        kind="'counted'",
        on_hand="came",
        reserved="0",
        sold="0",
        who="'big shop'",
        why="'monthly delivery'",
        at="month",
        order_id="NULL::bigint",
    )
    write(
        Movement,
        """(SELECT order_id, product_id, 'taken' AS kind, -quantity AS on_hand, quantity AS reserved, 0 AS sold,
                   held_at AS at
              FROM held
            UNION ALL
            SELECT order_id, product_id, state, CASE state WHEN 'returned' THEN quantity ELSE 0 END, -quantity,
                   CASE state WHEN 'sold' THEN quantity ELSE 0 END, ended_at FROM held WHERE state <> 'held'
             ORDER BY 7, 1, 2) AS moved""",
        values,
        product_id="product_id",
        kind="kind",
        on_hand="on_hand",
        reserved="reserved",
        sold="sold",
        who="'checkout'",
        why="''",
        at="at",
        order_id="order_id",
    )
    run("DELETE FROM stock_level WHERE product_id IN (SELECT product_id FROM goods)")
    write(
        Level,
        """(SELECT movement.product_id, sum(on_hand) AS on_hand, sum(reserved) AS reserved, sum(sold) AS sold
              FROM stock_movement movement JOIN goods USING (product_id) GROUP BY 1 ORDER BY 1) AS level""",
        values,
        product_id="product_id",
        on_hand="on_hand",
        reserved="reserved",
        sold="sold",
    )
