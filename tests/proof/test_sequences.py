"""A cut of the sequences of webhook events; and that the proof notices what it is there to notice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from proof import order_of_events, sequences
from proof.report import Effort
from todoku.webhooks import views


def test_there_are_1957_ordered_subsets_of_six() -> None:
    every = list(sequences.sequences())
    assert len(every) == len(set(every)) == 1957
    assert len(sequences.trials(Effort())) == 2 * 1957
    assert set(order_of_events.TYPES) == set(sequences.EVENTS)
    assert set(order_of_events.END) == set(sequences.WAYS)


def test_a_cut_of_them_ends_the_same(transactional_db: None) -> None:
    effort = Effort(share=0.006)
    names = sequences.trials(effort)
    found = list(order_of_events.play(names, effort.seed))
    proof = sequences.told(found, [], len(names), 0.0, effort)
    assert proof.failures == []
    assert proof.trials == len(names) >= 20
    assert proof.holds


def test_a_door_that_answers_and_forgets_is_noticed(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[..., Any] = views.take
    monkeypatch.setattr(views, "take", lambda events, order, **more: real(events, None, **more))
    found = list(order_of_events.play(["card:succeeded", "konbini:charged,booked"], 1))
    assert all("paid and told of, and yet not played" in row["wrong"] for row in found)
