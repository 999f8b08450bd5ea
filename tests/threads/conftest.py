"""What the tests of the threads share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rehearsal.api import Rehearsal
from tests.pages.conftest import visitor
from tests.threads.street import Witness

__all__ = ["visitor"]


@pytest.fixture
def witness(rehearsal: Rehearsal) -> Witness:
    """Who sees what reaches Stripe."""
    return Witness(rehearsal)


@pytest.fixture(autouse=True)
def _says_its_numbers(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> None:
    """A report (--junitxml) says of each test which threads it rebuilds."""
    for name in ("threads", "seen"):
        value = getattr(request.function, name, None)
        if value:
            record_property(name, " ".join(map(str, value)) if isinstance(value, tuple) else value)
