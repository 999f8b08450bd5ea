"""A cut of the planted bugs: each still has its place and its guards, and one is planted for real."""

from __future__ import annotations

from pathlib import Path

import pytest

from proof import sabotage
from proof.planted import PLANTED, Sabotage
from proof.report import HOUSE


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name)
def test_each_planted_bug_has_its_place_and_its_guards(planted: Sabotage) -> None:
    for file, before, after in planted.edits:
        assert (HOUSE / file).read_text().count(before) == 1, f"{file} has changed: write {planted.name} anew"
        assert before != after
    for guard in planted.guards:
        assert (HOUSE / guard.partition("::")[0]).exists(), guard


def test_there_are_more_than_forty_and_none_twice() -> None:
    assert len({planted.name for planted in PLANTED}) == len({planted.edits for planted in PLANTED}) == len(PLANTED)
    assert len(PLANTED) >= 40


def test_a_planted_bug_is_caught_and_an_unspoilt_house_is_green(tmp_path: Path) -> None:
    [planted] = [one for one in PLANTED if one.name == "status_goes_back"]
    caught = sabotage.attempt(planted, tmp_path / "var")
    assert caught.by, caught.trouble
    assert caught.by[0].startswith("tests/order/test_rules.py::")

    status, red, said = sabotage.guard(sabotage.copy_house(tmp_path / "house"), planted.guards, tmp_path / "var")
    assert (status, red) == (0, []), said


def test_a_bug_whose_place_is_gone_is_not_counted_as_caught(tmp_path: Path) -> None:
    gone = Sabotage("gone", "Nothing.", (("todoku/money.py", "what nobody wrote", ""),), ("tests/test_money.py",))
    caught = sabotage.attempt(gone, tmp_path / "var")
    assert not caught.by
    assert "0 times" in caught.trouble
