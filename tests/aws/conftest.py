"""What tests of the shop on AWS may ask for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.aws import street
from tests.flows.conftest import mailbox

__all__ = ["at_aws", "mailbox"]


@pytest.fixture
def at_aws(transactional_db: None, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[str]:
    """The shop's flows play on AWS Step Functions (moto's server over HTTP)."""
    with street.opened(monkeypatch, settings) as url:
        yield url
