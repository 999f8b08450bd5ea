"""An execution's line tells the truth about every state of the flow, whatever has happened."""

from __future__ import annotations

from datetime import timedelta

from rehearsal.api import Rehearsal
from tests import shop
from tests.console import desk
from todoku.catalog.models import Product
from todoku.console import timeline
from todoku.console.resume import plays_of
from todoku.engines.models import Definition, Execution
from todoku.flows.models import Done


def line(execution: Execution) -> list[tuple[str, str]]:
    """The line of an execution, in short."""
    execution = Execution.objects.select_related("definition", "order").get(pk=execution.pk)
    drawn = timeline.draw(execution, execution.order.ledger.all(), execution.mishaps.all(), plays_of(execution))
    return [(stop.state, stop.kind) for stop in drawn.stops]


PAID = [(step, "done") for step in desk.STEPS]


def test_a_failed_play_stops_at_the_failure_and_shows_what_is_to_come(crab: Product) -> None:
    execution = desk.stuck_order(crab).executions.get()
    assert line(execution) == [*PAID, ("SendMail", "failed"), ("Done", "open")]


def test_a_play_that_failed_early_shows_the_whole_way_to_come(crab: Product) -> None:
    execution = desk.stuck_order(crab).executions.get()
    Done.objects.exclude(step="TakeStock").delete()
    Execution.objects.update(position="TakePayment")
    assert line(execution) == [
        ("TakeStock", "done"), ("TakePayment", "failed"), ("RecordOrder", "open"), ("CloseCart", "open"),
        ("PublishToMyPage", "open"), ("SendMail", "open"), ("Done", "open"),
    ]  # fmt: skip


def test_a_definition_that_cannot_be_read_any_more_still_shows_the_ledger(crab: Product) -> None:
    execution = desk.stuck_order(crab).executions.get()
    Definition.objects.update(text="{}")
    assert line(execution) == [*PAID, ("SendMail", "failed")]


def test_a_paid_order_shows_every_step_done(rehearsal: Rehearsal, crab: Product) -> None:
    order = shop.order_one(rehearsal, crab)
    assert line(order.executions.get())[0] == ("TakeStock", "now")
    shop.work_off()
    assert line(order.executions.get()) == [*PAID, ("SendMail", "done"), ("Done", "end")]


def test_a_decline_and_a_second_card_are_two_lines_of_their_own(rehearsal: Rehearsal, crab: Product) -> None:
    cart = shop.fill_cart((crab, 1))
    quote = shop.agree(cart)
    shop.press(rehearsal, cart, quote, shop.DECLINED)
    shop.work_off()
    shop.press(rehearsal, cart, quote, shop.VISA)
    shop.work_off()
    first, second = Execution.objects.order_by("number")
    assert line(first) == [
        ("TakeStock", "done"), ("TakePayment", "asked"), ("ReturnStock", "done"), ("NotPaid", "end"),
    ]  # fmt: skip
    assert line(second) == [*PAID, ("SendMail", "done"), ("Done", "end")]


def test_what_came_from_the_ledger_is_marked_so(rehearsal: Rehearsal, crab: Product) -> None:
    order = desk.stuck_order(crab)
    first = order.executions.get()
    second = Execution.objects.create(
        order=order, flow="checkout", number=2, definition=first.definition, knock="resume", who="operator"
    )
    Execution.objects.filter(pk=second.pk).update(started_at=first.stopped_at + timedelta(seconds=60))  # type: ignore[operator]
    assert line(second) == [*((step, "earlier") for step in desk.STEPS), ("SendMail", "now"), ("Done", "open")]
