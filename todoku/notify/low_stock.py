"""The bell for what is running out: rung once for each fall, and closed by itself when there is enough again."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Max, Q
from django.utils.translation import gettext_noop

from todoku.notify import bell
from todoku.notify.models import Case
from todoku.shop import chosen
from todoku.stock import low
from todoku.stock.models import Kind, Movement

CODE = "low_stock"
WHY = gettext_noop("A product is running out. Order more of it, or count the shelf.")


def look() -> int:
    """Report what has begun to run out, when the owner wants to be told, and say how much that is."""
    running_out = {level.product_id: level.product.sku for level in low.levels()} if chosen.now().low_stock_bell else {}
    # Named by the last time that goods came in: a person who closes the case is told again after the next delivery.
    came_in = dict(
        Movement.objects.filter(Q(kind=Kind.COUNTED), product__in=running_out)
        .values_list("product_id")
        .annotate(Max("id"))
        .order_by()
    )
    abouts = {f"{sku} (#{came_in.get(product, 0)})" for product, sku in running_out.items()}
    known = dict(Case.objects.filter(code=CODE, execution=None, closed_at=None).values_list("about", "id"))
    with transaction.atomic():
        bell.withdraw(case for about, case in known.items() if about not in abouts)
        # Few at a time: only what has fallen under its number since the last look.
        news = [bell.report(CODE, about=about, why=WHY)[1] for about in sorted(abouts - set(known))]
    return sum(news)
