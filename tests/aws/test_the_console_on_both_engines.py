"""The console knows no engine: the same pages and acts, on the embedded engine and on AWS Step Functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client

from rehearsal.api import Rehearsal
from rehearsal.mailbox import Mailbox
from tests import quick, shop
from tests.aws import street
from tests.console import desk
from tests.refund import desk as refunds
from todoku.catalog.models import Product
from todoku.engines.models import Execution, State
from todoku.notify.models import Case
from todoku.order.models import Order, Status
from todoku.refund.models import Refund

Rest = Callable[[Order], Order]


@pytest.fixture(params=["embedded", "step-functions"])
def rest(
    request: pytest.FixtureRequest, transactional_db: None, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> Iterator[Rest]:
    """Lets an order's plays come to rest, on one engine and then on the other."""
    if request.param == "embedded":
        yield quick.play
        return

    def at_aws(order: Order) -> Order:
        street.rest()
        return Order.objects.get(pk=order.pk)

    with street.opened(monkeypatch, settings):
        yield at_aws


@pytest.fixture
def owner(rest: Rest) -> Client:
    """An operator who may do everything."""
    return desk.operator("owner", superuser=True)


def test_a_stopped_order_is_found_understood_and_resumed(
    rest: Rest, owner: Client, rehearsal: Rehearsal, crab: Product, mailbox: Mailbox
) -> None:
    mailbox.refuse("later")
    order = rest(shop.order_one(rehearsal, crab))
    case = Case.objects.get()
    failed = Execution.objects.get()

    front = owner.get("/console/").content.decode()
    assert order.number in front
    page = owner.get(desk.page(case)).content.decode()
    assert order.number in page and desk.page(failed, "resume") in page
    shown = owner.get(desk.page(failed)).content.decode()
    assert "Send the mail" in shown or "メールを送る" in shown

    mailbox.refuse(None)
    answer = owner.post(desk.page(failed, "resume"), {"back": "case"})
    assert answer.status_code == 302
    order = rest(order)
    assert order.status == Status.COMPLETE
    assert [play.status for play in Execution.objects.order_by("number")] == [State.FAILED, State.SUCCEEDED]
    case.refresh_from_db()
    assert case.closed_by == "owner"
    # A second press finds nothing to do, and says so.
    owner.post(desk.page(failed, "resume"), {"back": "case"})
    assert Execution.objects.count() == 2
    assert len(shop.charges(rehearsal)) == 1
    assert owner.get(desk.page(Execution.objects.get(number=2))).status_code == 200


def test_a_person_gives_money_back(rest: Rest, rehearsal: Rehearsal, crab: Product, mailbox: Mailbox) -> None:
    order = rest(shop.order_one(rehearsal, crab, 2))
    assert order.status == Status.COMPLETE
    asked = refunds.request(order, crabs=1, back=True)
    rest(order)
    assert refunds.stands(asked) == "succeeded"
    [at_stripe] = refunds.at_stripe(rehearsal)
    assert at_stripe["amount"] == Refund.objects.get().amount == 4800
    assert shop.levels(crab) == (9, 0, 1)
    assert list(Execution.objects.order_by("id").values_list("flow", "status")) == [
        ("checkout", State.SUCCEEDED), ("refund", State.SUCCEEDED),
    ]  # fmt: skip


def test_a_refund_whose_mail_nobody_takes_stops_and_is_resumed_and_gives_back_once(
    rest: Rest, owner: Client, rehearsal: Rehearsal, crab: Product, mailbox: Mailbox
) -> None:
    order = rest(shop.order_one(rehearsal, crab, 2))
    mailbox.refuse("later")
    refunds.request(order, crabs=1)
    rest(order)
    failed = Execution.objects.get(flow="refund")
    assert failed.status == State.FAILED
    case = Case.objects.get(closed_at=None)
    assert owner.get(desk.page(case)).status_code == 200

    mailbox.refuse(None)
    owner.post(desk.page(failed, "resume"), {"back": "case"})
    rest(order)
    assert Execution.objects.filter(flow="refund").order_by("-number")[0].status == State.SUCCEEDED
    assert len(refunds.at_stripe(rehearsal)) == 1
    case.refresh_from_db()
    assert case.closed_at is not None
