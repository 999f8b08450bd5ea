"""A cut of the hostile webhook bodies; and that the proof notices what it is there to notice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from proof import assault
from todoku.order.models import Order
from todoku.webhooks import views


def test_a_cut_of_them_changes_nothing_and_breaks_nothing(transactional_db: None) -> None:
    thrown = assault.throw(700, seed=7)
    assert thrown.wrong == []
    assert thrown.bodies == 700 and thrown.signed == 280
    assert thrown.stored > 50 and thrown.plays > 0
    assert {status[:3] for status in thrown.statuses} == {"200", "400", "413"}


def test_a_door_that_believes_an_event_is_noticed(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[..., Any] = views.take

    def believe(events: Any, order: Any, **more: Any) -> int:
        if order is not None:
            Order.objects.filter(pk=order.pk).update(language="en")
        return int(real(events, order, **more))

    monkeypatch.setattr(views, "take", believe)
    assert [wrong for wrong in assault.throw(200, seed=1).wrong if "order_order" in wrong]


def test_a_door_that_breaks_is_noticed(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "LARGEST_BODY", "much")
    assert "was answered with 500" in assault.throw(5, seed=1).wrong[0]
