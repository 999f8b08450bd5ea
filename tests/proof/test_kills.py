"""A few kills of real processes under load; the whole of it is ``python -m proof kills``."""

from __future__ import annotations

import pytest

from proof import kills
from proof.report import Effort


@pytest.mark.timeout(300)
def test_a_few_processes_killed_under_load_lose_nothing() -> None:
    proof = kills.prove(Effort(share=10 / kills.KILLS, seed=3))
    print(*proof.figures, sep="\n")
    assert proof.failures == []
    assert proof.trials >= 10
    assert proof.holds
