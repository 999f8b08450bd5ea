"""Build the whole shop, in one transaction: all of it is there, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.core.management.color import no_style
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from todoku.big_shop import arrival, goods, money, plan
from todoku.big_shop.fill import ask, run
from todoku.big_shop.plan import Size
from todoku.cart.models import Cart
from todoku.engines.models import Execution
from todoku.flows.models import Done
from todoku.order.models import Order
from todoku.payment.models import Attempt


def build(
    size: Size, *, now: datetime | None = None, told: Callable[[str], object] = lambda line: None
) -> dict[str, int]:
    """Build a shop of this size that ends now; return how many orders and ledger rows it has got."""
    values: dict[str, Any] = {
        "now": now or timezone.now(),
        "seed": size.seed,
        "first_order": ask("SELECT coalesce(max(id), 0) FROM order_order"),
        "first_cart": ask("SELECT coalesce(max(id), 0) FROM cart_cart"),
        # Digits and capitals that nobody mixes up, as the shop's own numbers have.
        "alphabet": plan.ALPHABET,
    }
    before = Done.objects.count()
    with transaction.atomic():
        _hurry("replica")
        goods.stock_the_shelves(size.products)
        plan.draw(size, values)
        goods.choose(values)
        told("orders and carts")
        goods.fill_carts(values)
        money.write_orders(values)
        goods.write_lines(values)
        told("payments")
        money.write_attempts(values)
        told("stock")
        goods.move_stock(values)
        told("plays and ledger")
        arrival.play(values)
        told("parcels and mails")
        arrival.deliver(values)
        # The audit log's own triggers number and seal what is written into it.
        _hurry("origin")
        arrival.keep_books(values)
        run("DROP TABLE person, plan, big_order, goods, bought, sums, held, big_attempt, big_play")
        for statement in connection.ops.sequence_reset_sql(no_style(), [Cart, Order, Attempt, Execution]):
            run(statement)
    # A shop that has grown in two years has been tidied up all the time.
    patience = ask("SHOW statement_timeout")
    run("SET statement_timeout = 0")
    run("ANALYZE" if connection.in_atomic_block else "VACUUM (ANALYZE)")
    run(f"SET statement_timeout = '{patience}'")
    return {"orders": size.orders, "ledger": Done.objects.count() - before}


def _hurry(role: str) -> None:
    """Do without what makes many rows slow; a database that does not let us is only slower."""
    # A page's patience with the database is not this command's.
    run("SET LOCAL statement_timeout = 0; SET LOCAL synchronous_commit = off; SET LOCAL work_mem = '256MB'")
    try:
        with transaction.atomic():
            # Every foreign key that is written here is read from the very row that it names.
            run(f"SET LOCAL session_replication_role = {role}")
    except DatabaseError:
        pass
