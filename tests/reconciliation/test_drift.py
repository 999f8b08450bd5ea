"""Every kind of drift is planted once and found: by its own name, about the right thing, and nothing else is."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from rehearsal.api import Rehearsal
from tests import shop
from tests.reconciliation.planting import ALSO, MAKE, OURS, THEIRS
from todoku.catalog.models import Product
from todoku.gateways import stripe as gateway
from todoku.order.models import Order
from todoku.reconciliation.compare import compare
from todoku.reconciliation.kinds import KINDS
from todoku.reconciliation.words import SENTENCES
from todoku.stock.count import adjust


class Undo(Exception):
    """Take back what was planted."""


def found(*, whole: bool = True) -> set[tuple[str, str]]:
    """What a comparison finds now: kinds, and what they are about."""
    since = timezone.now() - timedelta(days=3)
    book = compare(gateway.for_worker(), since=since, until=None, whole=whole, watched=[])
    assert not book.trouble
    assert not book.left
    return set(book.drifts)


@pytest.fixture
def orders(rehearsal: Rehearsal, crab: Product) -> dict[str, Order]:
    """A healthy shop with an order of each kind; two of them complete."""
    made = {kind: make(rehearsal, crab) for kind, make in MAKE.items()}
    MAKE["complete"](rehearsal, crab)
    shop.work_off()
    assert found() == set()
    return {kind: Order.objects.select_related("intent").get(pk=order.pk) for kind, order in made.items()}


def test_every_kind_has_a_sentence_and_is_planted() -> None:
    assert set(SENTENCES) == set(KINDS)
    assert {*OURS, *THEIRS} == set(KINDS)
    assert len(KINDS) >= 30


def test_every_drift_on_our_own_side_is_found(orders: dict[str, Order]) -> None:
    wrong = {}
    for code, (kind, plant) in OURS.items():
        try:
            with transaction.atomic():
                plant(orders[kind])
                codes = {code for code, _about in found()}
                raise Undo
        except Undo:
            pass
        if codes - ALSO.get(code, set()) != {code}:
            wrong[code] = codes
    assert not wrong, "\n".join(f"{code}: {what}" for code, what in wrong.items())
    assert found() == set()


def test_every_drift_between_stripe_and_us_is_found(rehearsal: Rehearsal, crab: Product) -> None:
    adjust({crab.pk: 100}, who="test", why="plenty")
    made = {code: MAKE[kind](rehearsal, crab) for code, (kind, _plant) in THEIRS.items()}
    shop.work_off()
    wrong = {}
    before = found()
    for code, (_kind, plant) in THEIRS.items():
        about = plant(rehearsal, Order.objects.select_related("intent").get(pk=made[code].pk))
        now = found()
        fresh, before = now - before, now
        if {(one, what) for one, what in fresh if one not in ALSO.get(code, set())} != {(code, about)}:
            wrong[code] = (about, fresh)
    assert not wrong, "\n".join(f"{code}: {what}" for code, what in wrong.items())
