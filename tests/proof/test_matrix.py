"""The fault matrix, all 156 cells; and that it notices what it is there to notice."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from proof import matrix
from proof.matrix import cells, journey
from proof.report import Effort
from todoku.bad_news import Unavailable
from todoku.flows import step
from todoku.gateways.gateway import Declined
from todoku.gateways.stripe import StripeGateway
from todoku.notify import letters
from todoku.notify.models import Mail
from todoku.stock import steps as stock


def test_there_are_thirteen_steps_and_twelve_kinds_and_no_cell_is_empty() -> None:
    every = cells.cells()
    assert len(every) == len({cell.name for cell in every}) == 13 * 12
    for one in every:
        assert one.strike.words
        assert one.strike.does


# On a machine that does other things too (seconds).
@pytest.mark.timeout(400)
def test_every_cell_ends_well() -> None:
    proof = matrix.prove(Effort(share=0.0, processes=1))
    assert proof.trials == 156
    assert proof.failures == []
    assert proof.holds


@pytest.fixture
def stage(transactional_db: None) -> Iterator[journey.Stage]:
    with journey.stage() as opened:
        yield opened


def _play(stage: journey.Stage, name: str, way: str = "") -> list[str]:
    return journey.play(stage, [cells.cell(name)], way).wrong


def _write_nothing(*_: Any) -> None:
    """A ledger that forgets."""


def _post_under_a_new_name(mail: Mail, inner: Callable[[Mail], None] = letters.post) -> None:
    mail.message_id = f"<{uuid.uuid4().hex}@example.jp>"
    inner(mail)


def _confirm_and_believe_the_worst(
    self: StripeGateway, intent: str, inner: Callable[..., Any] = StripeGateway.confirm, **more: Any
) -> Any:
    try:
        return inner(self, intent, **more)
    except Unavailable:
        return Declined("card_declined", "generic_decline", None)


def _return_nothing(*_: Any) -> dict[str, Any]:
    return {"outcome": "returned"}


@pytest.mark.parametrize(
    ("cell", "way", "owner", "name", "bug"),
    [
        ("8c", "", step, "_write", _write_nothing),
        ("11b", "", letters, "post", _post_under_a_new_name),
        ("6e", "", StripeGateway, "confirm", _confirm_and_believe_the_worst),
        ("5a", "declined", stock, "return_stock", _return_nothing),
    ],
    ids=["no ledger", "a new Message-ID each time", "a lost answer taken for a decline", "stock not returned"],
)
def test_control_a_bug_that_the_matrix_is_there_for_is_noticed(
    stage: journey.Stage, monkeypatch: pytest.MonkeyPatch, cell: str, way: str, owner: Any, name: str, bug: Any
) -> None:
    assert _play(stage, cell, way) == []
    monkeypatch.setattr(owner, name, bug)
    assert _play(stage, cell, way) != []


def test_control_a_fault_that_never_strikes_is_no_pass(stage: journey.Stage) -> None:
    assert _play(stage, "9a", "declined") == [f"{cells.cell('9a')} never struck"]
