"""Money that comes in for an order that has ended: it still arrives, or a person is called. It is never dropped."""

from __future__ import annotations

import pytest
from django.core import mail
from django.utils import timezone

from rehearsal.api import Rehearsal
from tests import shop
from tests.quick import knock, play
from todoku.catalog.models import Product
from todoku.engines import engine
from todoku.engines.models import Execution
from todoku.fulfilment.models import Delivery
from todoku.notify import outbox
from todoku.notify.models import Case, Mail
from todoku.order.models import Order, Status
from todoku.payment.models import Outcome
from todoku.ringing.ring import ring_new
from todoku.stock.models import Level


def ended(rehearsal: Rehearsal, product: Product, how: str = "expired", quantity: int = 1) -> Order:
    """A konbini order that has ended unpaid, with its stock back on the shelf."""
    order = play(shop.order_at_konbini(rehearsal, product, quantity))
    if how == "expired":
        rehearsal.expire_voucher(order.intent.stripe_id)
        Order.objects.filter(pk=order.pk).update(pay_by=timezone.now())
    else:
        Order.objects.filter(pk=order.pk).update(withdrawn_at=timezone.now())
    order = knock(order)
    assert (order.status, shop.levels(product)) == (Status.CANCELED, (10, 0, 0))
    return order


@pytest.mark.parametrize("how", ["expired", "withdrawn"])
@pytest.mark.parametrize("who", ["webhook", "reconciliation"])
def test_it_still_arrives_if_the_goods_are_there(how: str, who: str, rehearsal: Rehearsal, crab: Product) -> None:
    order = ended(rehearsal, crab, how)
    rehearsal.report_late(order.intent.stripe_id, "lawson")

    order = knock(order, who)

    assert (order.status, order.setback, shop.levels(crab)) == (Status.COMPLETE, None, (9, 0, 1))
    assert Delivery.objects.filter(order=order).count() == 1
    assert order.payment_attempts.get().chain == "lawson"
    assert len(shop.charges(rehearsal)) == 1
    # What has been said is not taken back, but what was not yet sent is not said any more.
    outbox.send_due()
    assert [letter.subject for letter in mail.outbox] == [Mail.objects.get(kind="order_complete").subject]
    assert set(Mail.objects.exclude(overtaken_at=None).values_list("kind", flat=True)) == {
        "konbini_codes", "konbini_expired" if how == "expired" else "konbini_canceled",
    }  # fmt: skip


@pytest.mark.parametrize("who", ["poller", "return", "withdrawn"])
def test_an_order_at_its_end_listens_to_stripes_word_only(who: str, rehearsal: Rehearsal, crab: Product) -> None:
    order = ended(rehearsal, crab)
    plays = Execution.objects.count()
    knock(order, who)
    assert Execution.objects.count() == plays


def test_without_the_goods_a_person_is_called_and_resume_finishes_it_after_restocking(
    rehearsal: Rehearsal, crab: Product
) -> None:
    order = ended(rehearsal, crab, quantity=2)
    Level.objects.update(on_hand=1)  # the others have been sold meanwhile
    rehearsal.report_late(order.intent.stripe_id)

    order = knock(order)

    assert (order.status, shop.levels(crab)) == (Status.PAID, (1, 0, 0))
    assert order.payment_attempts.get().outcome == Outcome.PAID
    case = Case.objects.get()
    assert (case.code, case.step, case.closed_at, case.order) == ("paid_unallocated", "RecordOrder", None, order)
    assert "KANI (2 ordered, 1 in stock)" in case.why
    assert "Add stock, then press Resume" in case.why and "refund by hand" in case.why
    assert "hanako" not in case.why and "北野" not in case.why
    mail.outbox.clear()
    ring_new()
    [rung] = mail.outbox
    assert order.number in rung.subject and rung.subject.endswith("(paid_unallocated)")
    assert case.why in rung.body

    # Nobody but a person plays it on.
    plays = Execution.objects.count()
    for who in ("webhook", "poller", "return", "reconciliation"):
        order = knock(order, who)
    assert Execution.objects.count() == plays

    # Resumed too early: the same case, and nothing has moved.
    assert engine.resume(Execution.objects.latest("pk"), who="sato") is not None
    order = play(order)
    assert (order.status, shop.levels(crab), Case.objects.get().failures) == (Status.PAID, (1, 0, 0), 2)

    Level.objects.update(on_hand=2)
    engine.resume(Execution.objects.latest("pk"), who="sato")
    order = play(order)
    assert (order.status, shop.levels(crab)) == (Status.COMPLETE, (0, 0, 2))
    assert Case.objects.get().closed_by == "sato"
    assert len(shop.charges(rehearsal)) == 1


def test_goods_that_are_held_for_others_are_not_taken_from_them(rehearsal: Rehearsal, crab: Product) -> None:
    late = ended(rehearsal, crab)
    Level.objects.update(on_hand=1)
    other = play(shop.order_at_konbini(rehearsal, crab))
    assert shop.levels(crab) == (0, 1, 0)

    rehearsal.report_late(late.intent.stripe_id)
    late = knock(late)
    assert (late.status, shop.levels(crab)) == (Status.PAID, (0, 1, 0))

    rehearsal.pay_at_till(other.intent.stripe_id)
    other = knock(other)
    assert (other.status, shop.levels(crab)) == (Status.COMPLETE, (0, 0, 1))
    assert Case.objects.filter(closed_at=None).count() == 1


def test_stripes_word_during_the_play_that_ends_the_order_is_not_lost(rehearsal: Rehearsal, crab: Product) -> None:
    order = play(shop.order_at_konbini(rehearsal, crab))
    Order.objects.filter(pk=order.pk).update(withdrawn_at=timezone.now())

    def till_reports(request: object, _answer: object) -> None:
        if not request.path.endswith("/cancel"):  # type: ignore[attr-defined]
            return
        # The cancel has just been done; the till tells now, and Stripe's event comes before the play's end.
        rehearsal.observers.remove(till_reports)
        rehearsal.report_late(order.intent.stripe_id)
        assert engine.play("checkout", order, knock="webhook") is None

    rehearsal.observers.append(till_reports)
    assert knock(order, "withdrawn").status == Status.COMPLETE
    assert shop.levels(crab) == (9, 0, 1)


def test_a_card_payment_that_comes_through_after_its_end_arrives_too(rehearsal: Rehearsal, crab: Product) -> None:
    # A stand-in for anything that Stripe may tell about a canceled payment one day: only the till can tell late here.
    order = ended(rehearsal, crab)
    assert Order.objects.filter(pk=order.pk, status=Status.CANCELED).exists()
    rehearsal.report_late(order.intent.stripe_id)
    with pytest.raises(LookupError):
        rehearsal.report_late(order.intent.stripe_id)
    for _ in range(3):  # told three times, sold once
        order = knock(order)
    assert shop.levels(crab) == (9, 0, 1)
