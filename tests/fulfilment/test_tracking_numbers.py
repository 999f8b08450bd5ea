"""A tracking number is held against its carrier's own rule, however it was typed."""

from __future__ import annotations

import pytest

from todoku.fulfilment import rules


@pytest.mark.parametrize(
    ("carrier", "typed", "wrong"),
    [
        ("yamato", "1234-5678-9013", ""),
        ("yamato", "１２３４−５６７８−９０１３", ""),
        ("yamato", "1234 5678 9012", "check_digit"),
        ("yamato", "12345678901", "shape"),
        ("yamato", "1.23457E+11", "shape"),
        ("yamato", "", "shape"),
        ("sagawa", "400000000013", ""),
        ("sagawa", "400000000014", "check_digit"),
        ("japanpost", "12345678901", "check_digit"),
        ("japanpost", "12345678903", ""),
        ("japanpost", "EE123456785JP", ""),
        ("japanpost", "EE123456789JP", "check_digit"),
        ("japanpost", "EE12345678JP", "shape"),
        ("other", "AB-12", ""),
        ("other", "<b>", "shape"),
        ("other", "A" * 41, "shape"),
        ("yamato", "१२३४५६७८९०१३", "shape"),
    ],
)
def test_a_number_is_good_or_the_reason_is_known(carrier: str, typed: str, wrong: str) -> None:
    assert rules.trouble(carrier, rules.plain(typed)) == wrong


def test_one_wrong_digit_is_noticed_in_six_of_seven_cases_or_better() -> None:
    good = "123456789013"
    missed = [
        (at, digit)
        for at in range(12)
        for digit in "0123456789"
        if digit != good[at] and not rules.trouble("yamato", good[:at] + digit + good[at + 1 :])
    ]
    # What differs by seven (0 and 7, 1 and 8, 2 and 9) leaves the same remainder: the rule cannot see it.
    assert all(abs(int(digit) - int(good[at])) == 7 for at, digit in missed)


def test_a_parcel_is_followed_at_its_carrier() -> None:
    assert "123456789013" in rules.tracked_at("yamato", "123456789013")
    assert rules.tracked_at("yamato", "") == rules.tracked_at("other", "X1234") == rules.tracked_at("", "1") == ""
    assert rules.guess("EE123456785JP") == "japanpost"
    assert rules.guess("123456789013") == ""
