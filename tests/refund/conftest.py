"""What the refund's tests may ask for besides what every test may."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rehearsal.api import Rehearsal
from tests.clock import Clock, moved_by_hand


@pytest.fixture
def clock(rehearsal: Rehearsal) -> Iterator[Clock]:
    """One clock for the shop and for Stripe, moved by hand."""
    with moved_by_hand(rehearsal) as clock:
        yield clock
