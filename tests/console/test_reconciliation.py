"""The reconciliation's report page: what was compared, what is open, and one more run for those who may."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from rehearsal.api import Rehearsal
from tests import shop
from tests.console import desk
from tests.reconciliation import planting
from todoku.catalog.models import Product
from todoku.reconciliation import run
from todoku.reconciliation.models import Run

REPORT = "/console/reconciliation/run/"
NOW = "/console/reconciliation/run/now/"


@pytest.fixture
def owner(transactional_db: None) -> Client:
    """A browser in which the shop's owner has logged in."""
    return desk.operator("owner", superuser=True)


def test_the_report_tells_the_last_runs_and_what_is_open(owner: Client, rehearsal: Rehearsal, crab: Product) -> None:
    owner.cookies["todoku_language"] = "en"
    assert reverse("admin:reconciliation_run_changelist") == REPORT
    assert "Nothing has been compared yet." in owner.get(REPORT).content.decode()
    order = shop.order_one(rehearsal, crab)
    shop.work_off()
    run.reconcile_window()
    assert "Everything agrees" in owner.get(REPORT).content.decode()

    refund = rehearsal.refund_by_hand(planting.charge_of(order), 500)
    planting.on(crab.level, on_hand=5)
    found = run.reconcile_in_full()

    words = {"en": "Somebody has refunded a part of the payment", "ja": "Stripeで一部が返金されています"}
    for language, said in words.items():
        owner.cookies["todoku_language"] = language
        for link in (REPORT, desk.page(found.run)):
            page = owner.get(link)
            assert page.status_code == 200
            shown = page.content.decode()
            assert said in shown
            assert refund["id"] in shown
        assert order.number in owner.get(REPORT).content.decode()
    assert "棚を数えてください" in owner.get(reverse("admin:index")).content.decode()


def test_a_run_by_hand_is_a_post_by_somebody_who_may_once_and_written_down(
    owner: Client, rehearsal: Rehearsal, crab: Product
) -> None:
    looker = desk.operator("looker", "reconciliation.view_run")
    assert looker.get(REPORT).status_code == 200
    assert NOW not in looker.get(REPORT).content.decode()
    assert looker.post(NOW).status_code == 403
    assert desk.operator("nobody").get(REPORT).status_code == 403
    assert owner.get(NOW).status_code == 405
    assert owner.post(REPORT, {"action": "x"}).status_code == 405
    assert not Run.objects.exists()

    for _ in range(2):
        assert owner.post(NOW).status_code == 302

    assert Run.objects.count() == 1
    assert [entry.who for entry in desk.acts()] == ["owner"]
    shop.work_off()
    done = Run.objects.get()
    assert (done.kind, done.who, done.ended_at is not None, done.trouble) == ("hand", "owner", True, "")
