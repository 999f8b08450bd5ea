"""Yen."""

from __future__ import annotations

import pytest

from todoku.money import chargeable, spoken, yen


@pytest.mark.parametrize("wrong", ["", "-1", "1.5", "１２", "1e3", True, 1.0, None, -1, 100_000_000, "9" * 400])
def test_anything_but_a_whole_number_of_yen_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="yen"):
        yen(wrong)


def test_yen_are_spoken_as_each_language_writes_them() -> None:
    assert spoken(yen("5400")) == "5,400円"
    assert spoken(5400, "en") == "¥5,400"


def test_stripe_charges_from_50_to_99_999_999_yen() -> None:
    assert [chargeable(n) for n in (49, 50, 99_999_999, 100_000_000)] == [False, True, True, False]
