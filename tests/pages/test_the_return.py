"""Coming back from the bank: nothing the browser says is believed, and saying it twice changes nothing."""

from __future__ import annotations

from django.test import Client

from tests import shop
from tests.pages.visitor import Visitor
from todoku.catalog.models import Product
from todoku.engines.models import Execution
from todoku.order.models import Order, Status

THREE_D_SECURE = "4000002500003155"
#: What Stripe adds to the address, and what anybody can add to it.
FORGED = "payment_intent=pi_forged&payment_intent_client_secret=pi_forged_secret_x&redirect_status=succeeded"


def order_with_question(visitor: Visitor) -> tuple[Order, str]:
    """Order with a card whose bank asks; the order and its page."""
    page = visitor.press(visitor.to_confirm(), number=THREE_D_SECURE).headers["Location"]
    shop.work_off()
    return Order.objects.latest("pk"), page


def test_a_forged_return_asks_stripe_and_changes_nothing(visitor: Visitor, crab: Product) -> None:
    order, page = order_with_question(visitor)
    for _again in range(3):
        assert visitor.client.get(f"{page}back/?{FORGED}").headers["Location"] == page
        shop.work_off()
    order.refresh_from_db()
    assert order.status == Status.PLACED
    assert visitor.client.get(page + "status/").json() == {"state": "authenticate"}
    assert not shop.charges(visitor.rehearsal)
    assert shop.levels(crab) == (9, 1, 0)


def test_a_return_that_says_failed_does_not_undo_a_payment(visitor: Visitor) -> None:
    order, page = order_with_question(visitor)
    visitor.rehearsal.authenticate(str(order.intent.stripe_id), True)
    visitor.client.get(f"{page}back/?redirect_status=failed")
    shop.work_off()
    assert Order.objects.get(pk=order.pk).status == Status.COMPLETE


def test_a_return_twice_by_page_and_by_form_is_one_order_and_one_charge(visitor: Visitor, crab: Product) -> None:
    order, page = order_with_question(visitor)
    visitor.rehearsal.authenticate(str(order.intent.stripe_id), True)
    assert visitor.client.get(page + "back/").headers["Location"] == page
    assert visitor.client.post(page + "back/").headers["Location"] == page
    shop.work_off()
    for answer in (visitor.client.get(page + "back/"), visitor.client.post(page + "back/")):
        assert (answer.status_code, answer.headers["Location"]) == (303, page)
    plays = Execution.objects.filter(order=order).count()
    shop.work_off()
    assert Execution.objects.filter(order=order).count() == plays
    assert "order-thanks" in visitor.read(page)
    assert len(shop.charges(visitor.rehearsal)) == 1
    assert shop.levels(crab) == (9, 0, 1)


def test_a_return_with_another_orders_token_is_about_that_order_only(visitor: Visitor) -> None:
    order, page = order_with_question(visitor)
    other = Visitor(Client(), visitor.rehearsal)
    other_order, other_page = _of_another(other)
    visitor.rehearsal.authenticate(str(order.intent.stripe_id), True)

    # With the other's token, and with my own intent's id in its query: it is the other order that is looked at.
    answer = visitor.client.get(f"{other_page}back/?payment_intent={order.intent.stripe_id}&redirect_status=succeeded")
    assert answer.headers["Location"] == other_page
    shop.work_off()
    other_order.refresh_from_db()
    assert other_order.status == Status.PLACED
    assert "order-authenticate" in visitor.read(other_page)
    # Not this browser's order: it is shown, but its secret is not.
    assert other_order.intent.client_secret not in visitor.read(other_page)

    visitor.client.get(page + "back/")
    shop.work_off()
    assert "order-thanks" in visitor.read(page)
    assert [Order.objects.get(pk=o.pk).status for o in (order, other_order)] == [Status.COMPLETE, Status.PLACED]


def _of_another(other: Visitor) -> tuple[Order, str]:
    other.put()
    other.client.post("/checkout/")
    other.fill_in(email="jiro@example.jp", phone="080-1111-2222")
    page = other.press(other.shown_quote(), number=THREE_D_SECURE).headers["Location"]
    shop.work_off()
    return Order.objects.latest("pk"), page


def test_a_failed_question_leads_to_another_card_on_the_same_order(visitor: Visitor, crab: Product) -> None:
    order, page = order_with_question(visitor)
    visitor.rehearsal.authenticate(str(order.intent.stripe_id), False)
    visitor.client.post(page + "back/")
    shop.work_off()
    assert "本人" in visitor.read(page)
    assert shop.levels(crab) == (10, 0, 0)
    # A late return of the first attempt knocks on the order's second one, and finds it paid.
    assert visitor.press(visitor.shown_quote()).headers["Location"] == page
    visitor.client.get(page + "back/")
    shop.work_off()
    assert "order-thanks" in visitor.read(page)
    assert len(shop.charges(visitor.rehearsal)) == 1


def test_a_return_to_an_order_that_has_ended_plays_nothing(visitor: Visitor) -> None:
    order, page = order_with_question(visitor)
    visitor.client.post(page + "cancel/")
    shop.work_off()
    plays = Execution.objects.filter(order=order).count()
    visitor.client.get(f"{page}back/?{FORGED}")
    visitor.client.post(page + "back/")
    shop.work_off()
    assert Execution.objects.filter(order=order).count() == plays
    assert Order.objects.get().status == Status.CANCELED


def test_the_bank_sends_the_browser_back_as_a_page_and_no_form_from_elsewhere_is_taken(visitor: Visitor) -> None:
    _order, page = order_with_question(visitor)
    strict = Client(enforce_csrf_checks=True)
    # Stripe sends the browser back with a GET; a POST from elsewhere is no form of ours.
    assert strict.get(f"{page}back/?{FORGED}").headers["Location"] == page
    assert strict.post(page + "back/").status_code == 403
    assert strict.head(page + "back/").status_code == 303
