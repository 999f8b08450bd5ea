"""Events that never came: fetched from Stripe's list, each treated as if it had come, and none twice."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from procrastinate.contrib.django import app

from rehearsal import Fault
from rehearsal.answer import Answer, Request
from rehearsal.api import Rehearsal
from rehearsal.clock import Clock
from tests import shop, stripe_door
from tests.races.together import together
from tests.webhooks.sender import event, knock, told, used
from todoku.bad_news import Unavailable
from todoku.catalog.models import Product
from todoku.engines.management.commands.worker import work
from todoku.engines.models import Execution
from todoku.gateways import stripe as gateway
from todoku.notify.models import Case
from todoku.order.models import Order, Status
from todoku.webhooks import jobs
from todoku.webhooks.catch_up import AT_ONCE, CaughtUp, catch_up
from todoku.webhooks.models import Bookmark, StripeEvent
from todoku.webhooks.take import claim

THREE_D_SECURE = "4000002760003184"
DAY = 86_400.0


@pytest.fixture
def four_days_ago() -> Iterator[Rehearsal]:
    """A Stripe whose clock stands four days back and can be moved up to now.

    And 90 minutes more: in the hour after midnight (JST) Stripe has not yet given up the vouchers of the day before.
    """
    past = Rehearsal(clock=Clock(offset=-4 * DAY - 5400))
    stripe_door.current.append(past)
    gateway.forget()
    yield past
    stripe_door.current.remove(past)


def waiting(rehearsal: Rehearsal, product: Product) -> Order:
    order = shop.order_one(rehearsal, product, number=THREE_D_SECURE)
    shop.work_off()
    return order


def read_until(**ago: float) -> None:
    Bookmark.objects.update_or_create(name="stripe", defaults={"read_until": timezone.now() - timedelta(**ago)})


def listed(rehearsal: Rehearsal) -> int:
    """How often Stripe's list of events has been asked for."""
    return sum(asked["path"] == "/v1/events" for asked in rehearsal.requests)


def statuses() -> set[str]:
    return set(Order.objects.values_list("status", flat=True))


def test_an_endpoint_that_was_off_for_four_days_has_lost_nothing(
    four_days_ago: Rehearsal, transactional_db: None
) -> None:
    stripe = four_days_ago
    shop.furnish()
    crab = shop.sell(stock=20)
    read_until(days=4, hours=2)
    by_card = [shop.order_one(stripe, crab, number=THREE_D_SECURE) for _ in range(4)]
    by_konbini = [shop.order_at_konbini(stripe, crab) for _ in range(5)]
    shop.work_off()
    assert statuses() == {Status.PLACED}
    for day in range(4):
        stripe.authenticate(by_card[day].intent.stripe_id or "")
        if day < 3:
            stripe.pay_at_till(by_konbini[day].intent.stripe_id or "")
        stripe.advance(DAY)
    stripe.advance(5400)
    assert abs(stripe.clock.now() - time.time()) < 60

    # No event has come, nobody has looked, and the last two vouchers were given up by Stripe.
    found = catch_up()
    shop.work_off()

    assert found.new == StripeEvent.objects.filter(listed=True).count() > 9
    assert found.knocked == 9
    done = {order.pk: order.status for order in Order.objects.all()}
    assert {done[order.pk] for order in (*by_card, *by_konbini[:3])} == {Status.COMPLETE}
    assert {done[order.pk] for order in by_konbini[3:]} == {Status.CANCELED}
    assert shop.levels(crab) == (13, 0, 7)
    assert len(shop.charges(stripe)) == 7
    assert {play.knock for play in Execution.objects.exclude(number=1)} == {"webhook"}
    # What a cancel of ours has caused meanwhile is news; after that there is none.
    catch_up()
    assert catch_up().new == 0
    assert claim() == 0


def test_a_shop_that_no_event_reaches_lives_by_the_list_alone(rehearsal: Rehearsal, crab: Product) -> None:
    assert catch_up() == CaughtUp(0, 0, 0)
    passed, failed = waiting(rehearsal, crab), waiting(rehearsal, crab)
    rehearsal.authenticate(passed.intent.stripe_id or "")
    rehearsal.authenticate(failed.intent.stripe_id or "", passed=False)

    assert catch_up().knocked == 2
    shop.work_off()

    assert Order.objects.get(pk=passed.pk).status == Status.COMPLETE
    assert Order.objects.get(pk=failed.pk).status == Status.NOT_PAID
    assert shop.levels(crab) == (9, 0, 1)


def test_what_came_by_itself_is_not_played_again(rehearsal: Rehearsal, crab: Product) -> None:
    order = waiting(rehearsal, crab)
    rehearsal.authenticate(order.intent.stripe_id or "")
    for row in told(rehearsal, order.intent.stripe_id):
        knock(row)
    shop.work_off()
    plays = Execution.objects.count()
    found = catch_up()
    assert found.read >= 2
    assert (found.new, found.knocked) == (0, 0)
    assert Execution.objects.count() == plays
    assert not StripeEvent.objects.filter(listed=True).exists()


def plant(rehearsal: Rehearsal, intent: str, count: int, **more: Any) -> None:
    some = told(rehearsal, rehearsal.rows("payment_intents")[0]["id"])[0]["data"]["object"]
    for _ in range(count):
        rehearsal.send_event("payment_intent.processing", {**some, "id": intent}, **more)


def test_a_long_list_costs_few_questions_and_one_call_a_page(rehearsal: Rehearsal, crab: Product) -> None:
    orders = [waiting(rehearsal, crab) for _ in range(3)]
    for order in orders:
        plant(rehearsal, order.intent.stripe_id or "", 100)
    plant(rehearsal, "pi_of_nobody", 50)
    with CaptureQueriesContext(connection) as asked:
        found = catch_up()
    assert found.new == found.read >= 350
    pages = -(-found.read // AT_ONCE)
    assert listed(rehearsal) == pages
    assert len(asked) <= 25 * pages, "far fewer questions than events"
    with CaptureQueriesContext(connection) as asked:
        assert catch_up().new == 0
    assert len(asked) <= 4 * pages + 10


def test_two_workers_at_once_store_and_knock_once(rehearsal: Rehearsal, crab: Product) -> None:
    orders = [waiting(rehearsal, crab) for _ in range(4)]
    for order in orders:
        rehearsal.authenticate(order.intent.stripe_id or "")
        plant(rehearsal, order.intent.stripe_id or "", 40)
    in_list = len([row for row in rehearsal.rows("events", 1000) if row["type"].startswith("payment_intent.")])
    first, second = together(catch_up, catch_up)
    assert isinstance(first, CaughtUp) and isinstance(second, CaughtUp), (first, second)
    assert StripeEvent.objects.count() == first.new + second.new <= in_list
    assert Execution.objects.filter(number=2).count() == 4
    assert not Execution.objects.filter(number__gt=2).exists()
    shop.work_off()
    assert statuses() == {Status.COMPLETE}
    assert len(shop.charges(rehearsal)) == 4


def test_the_door_and_the_list_at_the_same_moment_store_once(rehearsal: Rehearsal, crab: Product) -> None:
    order = waiting(rehearsal, crab)
    rehearsal.authenticate(order.intent.stripe_id or "")
    rows = told(rehearsal, order.intent.stripe_id)
    answers = together(catch_up, *[lambda row=row: knock(row).status_code for row in rows], catch_up)
    assert not [answer for answer in answers if isinstance(answer, Exception)], answers
    assert StripeEvent.objects.count() == len({row["id"] for row in rows})
    shop.work_off()
    assert statuses() == {Status.COMPLETE}
    assert len(shop.charges(rehearsal)) == 1


class Killed(BaseException):
    """The process ends here."""


def test_a_crash_in_the_middle_loses_nothing(rehearsal: Rehearsal, crab: Product) -> None:
    order = waiting(rehearsal, crab)
    rehearsal.authenticate(order.intent.stripe_id or "")
    plant(rehearsal, "pi_of_nobody", 2 * AT_ONCE)  # the order's own events stand on the last page

    def kill(request: Request, _answer: Answer) -> None:
        if request.path == "/v1/events" and "starting_after" in request.query:
            raise Killed

    rehearsal.observers.append(kill)
    with pytest.raises(Killed):
        catch_up()
    assert StripeEvent.objects.count() == AT_ONCE
    assert Bookmark.objects.get().read_until is None

    rehearsal.observers.remove(kill)
    assert catch_up().knocked == 1
    assert Bookmark.objects.get().read_until is not None
    shop.work_off()
    assert statuses() == {Status.COMPLETE}


def test_an_event_whose_knock_could_not_be_made_is_not_stored_either(rehearsal: Rehearsal, crab: Product) -> None:
    order = waiting(rehearsal, crab)
    rehearsal.authenticate(order.intent.stripe_id or "")
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE procrastinate_jobs ADD CONSTRAINT full_up CHECK (false) NOT VALID")
    try:
        with pytest.raises(Exception, match="full_up"):
            catch_up()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE procrastinate_jobs DROP CONSTRAINT full_up")
    assert not StripeEvent.objects.filter(order=order).exists()
    assert catch_up().knocked == 1


@pytest.mark.parametrize("kind", ["drop_after", "malformed", "truncated", "wrong_type", "bad_gateway", "rate_limit"])
def test_a_page_that_cannot_be_read_leaves_the_bookmark_where_it_was(
    rehearsal: Rehearsal, crab: Product, kind: Any
) -> None:
    order = waiting(rehearsal, crab)
    rehearsal.authenticate(order.intent.stripe_id or "")
    plant(rehearsal, "pi_of_nobody", AT_ONCE)
    read_until(minutes=30)
    before = Bookmark.objects.get().read_until
    rehearsal.faults.set(Fault(kind, method="GET", path="/v1/events", skip=1, times=None))
    with pytest.raises(Unavailable):
        catch_up()
    assert Bookmark.objects.get().read_until == before
    assert StripeEvent.objects.count() == AT_ONCE

    rehearsal.faults.clear()
    assert catch_up().knocked == 1
    shop.work_off()
    assert statuses() == {Status.COMPLETE}


def test_events_of_another_mode_or_account_in_the_list_are_left_alone(rehearsal: Rehearsal, crab: Product) -> None:
    order = waiting(rehearsal, crab)
    catch_up()
    plant(rehearsal, order.intent.stripe_id or "", 1, livemode=True)
    plant(rehearsal, order.intent.stripe_id or "", 1, account="acct_another")
    assert catch_up().new == 0


# Who is told ---------------------------------------------------------------------------------------------------------


def unreachable(rehearsal: Rehearsal) -> None:
    rehearsal.faults.set(Fault("drop_before", method="GET", path="/v1/events", times=None))


def findings(code: str) -> list[Case]:
    return list(Case.objects.filter(code=code, closed_at=None))


def test_a_list_not_read_for_an_hour_is_a_finding_that_ends_by_itself(rehearsal: Rehearsal, crab: Product) -> None:
    unreachable(rehearsal)
    read_until(minutes=59)
    for _ in range(2):
        with pytest.raises(Unavailable):
            catch_up()
    assert not findings("events_not_read")

    read_until(minutes=61)
    for _ in range(3):
        with pytest.raises(Unavailable):
            catch_up()
    [case] = findings("events_not_read")
    assert (case.failures, case.order, case.execution) == (3, None, None)
    assert "secret" not in case.why and "sk_test" not in case.technical

    rehearsal.faults.clear()
    catch_up()
    assert not findings("events_not_read")

    unreachable(rehearsal)
    read_until(hours=2)
    with pytest.raises(Unavailable):
        catch_up()
    assert len(findings("events_not_read")) == 1


def test_a_new_shop_that_never_reached_stripe_is_told_too(rehearsal: Rehearsal, crab: Product) -> None:
    unreachable(rehearsal)
    with pytest.raises(Unavailable):
        catch_up()
    assert not Case.objects.exists()
    with pytest.raises(Unavailable):
        catch_up(now=timezone.now() + timedelta(minutes=61))
    assert len(findings("events_not_read")) == 1


def test_an_outage_of_more_than_thirty_days_says_what_is_not_to_be_had(rehearsal: Rehearsal, crab: Product) -> None:
    order = waiting(rehearsal, crab)
    rehearsal.authenticate(order.intent.stripe_id or "")
    read_until(days=29)
    catch_up()
    assert not Case.objects.exists()

    read_until(days=41)
    since = timezone.localtime(Bookmark.objects.get().read_until).date().isoformat()
    catch_up()
    [case] = findings("events_lost")
    assert "41 days" in case.why and f"todoku reconcile --since {since}" in case.why
    # What is still listed was read all the same, and the next round has nothing to say.
    shop.work_off()
    assert statuses() == {Status.COMPLETE}
    catch_up()
    assert len(findings("events_lost")) == 1


def test_a_key_that_may_not_list_events_is_a_finding_and_no_crash(rehearsal: Rehearsal, crab: Product) -> None:
    rehearsal.secret_key = "sk_test_changed"
    read_until(hours=2)
    with pytest.raises(Unavailable):
        catch_up()
    assert len(findings("events_not_read")) == 1


# Before there is an order ------------------------------------------------------------------------------------------


def test_an_event_before_its_order_is_kept_and_given_to_the_order(rehearsal: Rehearsal, crab: Product) -> None:
    cart = shop.fill_cart((crab, 1))
    quote = shop.agree(cart)
    intent = shop.stripe_payments(rehearsal)[0]["id"]
    assert not used(knock(event(intent, type="payment_intent.processing")))
    assert claim() == 0
    shop.press(rehearsal, cart, quote, number=THREE_D_SECURE)
    shop.work_off()
    assert StripeEvent.objects.get().order is None

    assert claim() == 1
    order = Order.objects.get()
    assert StripeEvent.objects.get().order == order
    assert list(Execution.objects.order_by("number").values_list("knock", flat=True)) == ["press", "webhook"]
    assert claim() == 0


def test_an_event_while_the_order_is_being_written_is_taken_up_by_the_catch_up(
    rehearsal: Rehearsal, crab: Product
) -> None:
    cart = shop.fill_cart((crab, 1))
    quote = shop.agree(cart)
    intent = shop.stripe_payments(rehearsal)[0]["id"]
    answers = []
    with transaction.atomic():
        shop.press(rehearsal, cart, quote, number=THREE_D_SECURE)
        # The order is there, but nobody else can see it yet.
        answers += together(lambda: used(knock(event(intent))))
    assert answers == [False]
    shop.work_off()
    assert catch_up().knocked >= 1
    assert StripeEvent.objects.filter(order=None).count() == 0


def test_a_payment_made_before_its_order_is_found_by_the_press(rehearsal: Rehearsal, crab: Product) -> None:
    cart = shop.fill_cart((crab, 1))
    quote = shop.agree(cart)
    intent = shop.stripe_payments(rehearsal)[0]["id"]
    paid = rehearsal.handle(
        "POST", f"/v1/payment_intents/{intent}/confirm", {"Authorization": "Bearer sk_test_rehearsal"},
        "payment_method=pm_card_visa",
    )  # fmt: skip
    assert paid.status == 200, paid.body
    [succeeded] = told(rehearsal, intent, "payment_intent.succeeded")
    assert not used(knock(succeeded))

    shop.press(rehearsal, cart, quote)
    shop.work_off()

    assert Order.objects.get().status == Status.COMPLETE
    assert len(shop.charges(rehearsal)) == 1
    catch_up()
    assert StripeEvent.objects.get(event_id=succeeded["id"]).order == Order.objects.get()
    assert list(Execution.objects.values_list("knock", flat=True)) == ["press"]


# Who does it ---------------------------------------------------------------------------------------------------------


def test_of_several_workers_one_reads_each_round(
    rehearsal: Rehearsal, crab: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = waiting(rehearsal, crab)
    rehearsal.authenticate(order.intent.stripe_id or "")
    # As outside the tests: the round before the workers' start is made up for.
    monkeypatch.setattr(app, "periodic_defaults", {"max_delay": 600})

    async def three() -> None:
        workers = [asyncio.create_task(work(concurrency=2, signals=False)) for _ in range(3)]
        for _ in range(200):
            await asyncio.sleep(0.05)
            if await asyncio.to_thread(Order.objects.filter(status=Status.COMPLETE).exists):
                break
        await asyncio.sleep(0.3)
        for worker in workers:
            worker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*workers, return_exceptions=True)

    asyncio.run(three())
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM procrastinate_periodic_defers WHERE task_name = %s", [jobs.CATCH_UP])
        rounds = cursor.fetchone()[0]
    assert statuses() == {Status.COMPLETE}, "a worker reads the list without being asked"
    assert listed(rehearsal) == rounds >= 1


def test_the_tests_themselves_are_not_disturbed_by_a_round(rehearsal: Rehearsal, crab: Product) -> None:
    shop.work_off()
    assert not rehearsal.requests


def test_the_job_gives_up_quietly_when_stripe_is_away(rehearsal: Rehearsal, crab: Product) -> None:
    unreachable(rehearsal)
    act: Callable[..., None] = jobs.read_events
    act(timestamp=0)
    assert Bookmark.objects.get().read_until is None
