"""A cut of the refunds' proof: a few runs keep the promise, and the control breaks it."""

from __future__ import annotations

from proof import refunds
from proof.report import Effort


def test_a_few_runs_refund_at_most_once_and_the_control_twice() -> None:
    proof = refunds.prove(Effort(share=0.008, processes=1))
    assert proof.failures == []
    assert (proof.trials, proof.violations) == (8, 0)
    assert proof.holds
