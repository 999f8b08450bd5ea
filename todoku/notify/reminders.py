"""Reminders: the day before a konbini voucher's last day, whoever has not paid is asked once more.

When that is stands in the voucher (``payment/rules.py::remind_at``). The reminder is written in the transaction that
strikes it off, so a worker that dies between the two has done neither, and nobody is reminded twice.
"""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from todoku.notify import outbox
from todoku.order.models import Order, Status
from todoku.payment.models import Outcome, Voucher

#: How many vouchers one round looks at.
AT_ONCE = 200


def remind_due() -> int:
    """Write every reminder that is due; return how many. Several may do this at once."""
    due = Voucher.objects.filter(remind_at__lte=timezone.now()).order_by("remind_at")
    return sum(_remind(*found) for found in due.values_list("pk", "attempt__order_id")[:AT_ONCE])


def _remind(voucher_id: int, order_id: int) -> bool:
    with transaction.atomic():
        order = Order.objects.select_for_update(no_key=True, skip_locked=True).filter(pk=order_id).first()
        if order is None:
            # It is being played at this moment: perhaps it is just being paid. The next round sees.
            return False
        now = timezone.now()
        if not Voucher.objects.filter(pk=voucher_id, remind_at__lte=now).update(remind_at=None):
            return False
        waits = (
            order.status == Status.PLACED
            and order.withdrawn_at is None
            and Voucher.objects.filter(
                pk=voucher_id,
                expires_at__gt=now,
                attempt__number=order.attempts,
                attempt__outcome=Outcome.WAITING,
                attempt__waits_for="konbini",
            ).exists()
        )
        if waits:
            outbox.write(order, "konbini_reminder")
    return waits
