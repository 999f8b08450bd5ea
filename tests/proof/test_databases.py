"""One crash of a real database under load; the whole of it is ``python -m proof databases``."""

from __future__ import annotations

import pytest

from proof import databases
from proof.report import Effort


@pytest.mark.timeout(300)
def test_a_database_stopped_at_once_under_load_loses_nothing() -> None:
    proof = databases.prove(Effort(share=1 / databases.CRASHES, seed=3))
    print(*proof.figures, sep="\n")
    assert proof.failures == []
    assert proof.trials == 1
    assert proof.holds
