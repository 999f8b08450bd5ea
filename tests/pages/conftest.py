"""A shopper with a browser, and a shop with a crab in it."""

from __future__ import annotations

import pytest
from django.test import Client

from rehearsal.api import Rehearsal
from tests.pages.visitor import Visitor
from todoku.catalog.models import Product


@pytest.fixture
def visitor(crab: Product, rehearsal: Rehearsal) -> Visitor:
    """A shopper who has just come in; the shop sells a crab at 4,800 yen, ten of them."""
    return Visitor(Client(raise_request_exception=True), rehearsal)
