"""What was found without any play: shown for what it is, linked, and closed with a reason by somebody who may."""

from __future__ import annotations

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from tests.console import desk
from todoku.catalog.models import Product
from todoku.notify import bell
from todoku.notify.models import Case
from todoku.order.models import Order

WHY = "A mail (konbini_codes) could not be delivered: nobody takes it. Tell the customer in another way."


@pytest.fixture
def owner(transactional_db: None) -> Client:
    """A browser in which the shop's owner has logged in, in English."""
    browser = desk.operator("owner", superuser=True)
    browser.cookies["todoku_language"] = "en"
    return browser


def found(code: str = "mail_not_taken", about: str = "mail 7", order: Order | None = None) -> Case:
    """A finding that nobody has closed."""
    with transaction.atomic():
        case, _ = bell.report(code, about=about, why=WHY, order=order)
    return case


def test_a_finding_about_no_order_stands_on_every_page_that_lists_cases(owner: Client, crab: Product) -> None:
    case = found(about="pi_0001abc")
    for link in (reverse("admin:index"), reverse("admin:notify_case_changelist"), desk.page(case)):
        shown = owner.get(link)
        assert shown.status_code == 200
        assert "pi_0001abc" in shown.content.decode()
    page = owner.get(desk.page(case)).content.decode()
    assert "/payments/pi_0001abc" in page
    assert "It belongs to no order." in page
    assert "resume/" not in page
    assert "1 thing needs you" in owner.get(reverse("admin:index")).content.decode()


def test_a_finding_about_an_order_leads_to_it_and_back(owner: Client, crab: Product) -> None:
    order = desk.stuck_order(crab)
    case = found(about="mail 7", order=order)
    page = owner.get(desk.page(case)).content.decode()
    assert desk.page(order) in page
    assert f"/payments/{order.intent.stripe_id}" in page
    assert "resume/" not in page
    # The order's own page leads to the stopped execution's case first, and to the finding when that is closed.
    stopped = order.cases.get(execution__isnull=False)
    assert desk.page(stopped) in owner.get(desk.page(order)).content.decode()
    bell.close_case(order.pk, by="test")
    shown = owner.get(desk.page(order)).content.decode()
    assert desk.page(case) in shown
    assert "Something was found about this order" in shown


def test_a_finding_is_closed_with_a_reason_once_and_never_reopened(owner: Client, crab: Product) -> None:
    case = found()
    link = desk.page(case, "close")
    assert owner.get(link).status_code == 302
    assert owner.post(link, {"why": ""}).status_code == 422
    assert owner.post(link, {"why": "x" * 201}).status_code == 422
    assert Case.objects.get().closed_at is None

    assert owner.post(link, {"why": "Rang her up."}).status_code == 302
    assert owner.post(link, {"why": "Once more"}).status_code == 302

    fresh = Case.objects.get()
    assert (fresh.closed_by, fresh.closed_at is not None) == ("owner", True)
    assert [(entry.act, entry.reason) for entry in desk.acts()] == [("closed", "Rang her up.")]
    found()
    assert Case.objects.get().closed_at is not None


def test_only_who_may_change_cases_closes_one_and_a_stopped_order_is_not_closed_by_hand(
    owner: Client, crab: Product
) -> None:
    case = found()
    looker = desk.operator("looker", "notify.view_case")
    assert looker.get(desk.page(case)).status_code == 200
    assert looker.post(desk.page(case, "close"), {"why": "because"}).status_code == 403
    stopped = desk.stuck_order(crab).cases.get()
    assert owner.post(desk.page(stopped, "close"), {"why": "because"}).status_code == 302
    assert owner.post(desk.page(stopped, "mail"), {}).status_code in (302, 422)
    assert owner.post(desk.page(case, "mail"), {"email": "a@example.jp", "seen": ""}).status_code == 302
    assert not Case.objects.exclude(closed_at=None).exists()
